//! Makes an outcome log of an export, for a restored backup.

use std::path::Path;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::Place;
use stormhook_shared::ports::record::Position;

use super::block;
use super::store::{Store, StoreError};

/// A log that is being made.
pub struct Import {
    store: Store,
    waiting: Vec<LogEntry>,
}

/// Why a log cannot be made of these entries.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry is none that this version writes like that.
    #[error(
        "entry {0} is not as this version writes it: restore it with the version that exported it"
    )]
    Foreign(u64),
}

impl Import {
    /// Begins a log in the folder `path`, which must not be there, with the entries after `place`.
    pub fn begin(path: &Path, place: Place) -> Result<Self, ImportError> {
        let mut store = Store::open(path)?;
        store.begin_after(place)?;
        Ok(Self {
            store,
            waiting: Vec::new(),
        })
    }

    /// Adds the next entry, as it was exported.
    pub fn add(&mut self, text: &str) -> Result<(), ImportError> {
        let number = self.store.meta().entries + self.waiting.len() as u64 + 1;
        let entry = parsed(text).ok_or(ImportError::Foreign(number))?;
        self.waiting.push(entry);
        if self.waiting.len() == block::LARGEST {
            self.write()?;
        }
        Ok(())
    }

    /// Ends it where the ledger goes on after `position`. Returns the last entry's place.
    pub fn finish(mut self, position: Position) -> Result<Place, ImportError> {
        self.write()?;
        self.store.go_on_after(position)?;
        self.store.flush()?;
        Ok(self.store.meta().last())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.waiting);
        self.store.add(&entries)
    }
}

/// The entry that stands in `text`, if this version would write it like that: its hash is over the text.
pub(super) fn parsed(text: &str) -> Option<LogEntry> {
    let entry = LogEntry::from_json(text.as_bytes()).ok()?;
    let written = serde_json::to_string(&entry).ok()?;
    (written == text).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::{entries, settled};
    use super::*;
    use stormhook_shared::domain::ids::Revision;
    use stormhook_shared::ports::record::EntriesQuery;

    #[test]
    fn an_imported_log_is_the_same_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut original = Store::open(&folder.path().join("original")).unwrap();
        original.append(Revision(1), &entries(300)).unwrap();
        let all = EntriesQuery {
            worker: None,
            after: None,
            through: None,
            since: None,
            until: None,
            limit: 1_000,
        };
        let page = original.page(&all).unwrap().unwrap();
        let path = folder.path().join("imported");
        let mut import = Import::begin(&path, page.after).unwrap();
        for entry in &page.entries {
            import.add(entry).unwrap();
        }
        let position = page.position.unwrap();
        assert_eq!(import.finish(position).unwrap(), original.meta().last());
        let mut imported = Store::open(&path).unwrap();
        imported.verify().unwrap();
        for store in [&mut original, &mut imported] {
            store.append(Revision(2), &[settled(500)]).unwrap();
        }
        assert_eq!(imported.meta(), original.meta());
        let mut import = Import::begin(&folder.path().join("other"), page.after).unwrap();
        let spaced = page.entries[0].replacen(':', ": ", 1);
        assert!(matches!(import.add(&spaced), Err(ImportError::Foreign(1))));
    }
}
