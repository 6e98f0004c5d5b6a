//! A disk that fails, or that says so although it has written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::super::database::Database;
use super::super::{Embedded, EmbeddedOptions};
use super::trigger;
use crate::domain::ids::Sequence;
use crate::ports::trigger_log::Entry;

const WORKS: u8 = 0;
/// Nothing is written any more.
const FAILS: u8 = 1;
/// Everything is written, but syncing fails: the next commit is there although it is said not to be.
const LIES: u8 = 2;

#[derive(Debug)]
struct Disk {
    file: FileBackend,
    mood: Arc<AtomicU8>,
}

impl Disk {
    fn fails_if(&self, mood: u8) -> Result<(), std::io::Error> {
        if self.mood.load(Ordering::SeqCst) == mood {
            return Err(std::io::Error::other("the disk burns"));
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.fails_if(FAILS)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.fails_if(FAILS)?;
        self.file.sync_data()?;
        self.fails_if(LIES)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.fails_if(FAILS)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), std::io::Error> {
        self.file.close()
    }
}

fn open(path: &Path, mood: &Arc<AtomicU8>) -> Embedded {
    let options = EmbeddedOptions::default();
    let (file, mood) = (path.to_owned(), Arc::clone(mood));
    let opener = Box::new(move || {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .unwrap();
        let disk = Disk {
            file: FileBackend::new(file)?,
            mood: Arc::clone(&mood),
        };
        redb::Builder::new().create_with_backend(disk)
    });
    let database = Database::open_with(path, options.partitions, opener).unwrap();
    Embedded::over(database, path, options).unwrap()
}

#[tokio::test]
async fn nothing_is_overwritten_after_a_disk_failed_or_lied() {
    let folder = tempfile::tempdir().unwrap();
    let mood = Arc::new(AtomicU8::new(WORKS));
    let embedded = open(&folder.path().join("db"), &mood);
    let triggers = embedded.backbone().triggers;
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for trouble in [FAILS, LIES, WORKS] {
        let before = trigger("g");
        triggers.append(before.clone()).await.unwrap();
        accepted.push(before.id);
        mood.store(trouble, Ordering::SeqCst);
        let during = trigger("g");
        match triggers.append(during.clone()).await {
            Ok(_) if trouble == WORKS => accepted.push(during.id),
            Err(_) if trouble != WORKS => refused.push(during.id),
            fate => panic!("{fate:?} with the disk in mood {trouble}"),
        }
        mood.store(WORKS, Ordering::SeqCst);
    }
    let partition = triggers.partitions().of(trigger("g").group.hash());
    let entries = triggers.read(partition, Sequence(0), 100).await.unwrap();
    let found: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Trigger(logged) => Some((logged.trigger.id, logged.sequence)),
            Entry::Undecodable { .. } => None,
        })
        .collect();
    let in_order: Vec<_> = found
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| accepted.contains(id))
        .collect();
    assert_eq!(in_order, accepted, "found {found:?}");
    // What was refused may be there all the same, but then as a whole.
    for (id, sequence) in found {
        assert!(accepted.contains(&id) || refused.contains(&id), "{id}");
        let logged = triggers.get(sequence).await.unwrap();
        assert_eq!(logged.map(|logged| logged.trigger.id), Some(id));
    }
    embedded.close().await;
}
