//! The log on disk: appends entries with their indexes, reads them back, verifies all of it. Blocking; knows
//! nothing of the ledger, and never repairs anything.

use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stormhook_shared::domain::ids::{ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::time::Timestamp;

use super::chain::{ChainHash, LogEntry};
use super::keys::{self, Index};

/// How much sled keeps in memory.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// How many entries are written at once. sled 0.34 keeps a copy of a page for each key that a batch writes to it, until
/// the batch is done: large batches take gigabytes.
const CHUNK: usize = 32;
/// The format that this version writes.
const FORMAT: u32 = 1;

/// The log on disk.
pub(crate) struct Store {
    db: sled::Db,
    meta: Meta,
}

/// What the log knows of itself, written with every append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    format: u32,
    /// Every ledger record up to here is in the log.
    pub(crate) applied: Revision,
    /// How many entries of the records after that are in the log, too.
    beyond: usize,
    /// The number of the last entry.
    pub(crate) entries: u64,
    /// The number of entries that settle a trigger, which are those in the indexes.
    settled: u64,
    /// The hash of the last entry.
    pub(crate) head: ChainHash,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk is full, or refuses for another reason that will pass.
    #[error("the outcome log's disk: {0}")]
    Disk(std::io::Error),
    /// What is stored is not what was written.
    #[error("the outcome log is damaged: {0}")]
    Damaged(String),
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error)
                if error.kind() != std::io::ErrorKind::Other
                    && error.kind() != std::io::ErrorKind::InvalidData
                    && error.kind() != std::io::ErrorKind::UnexpectedEof =>
            {
                Self::Disk(error)
            }
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl Store {
    /// Opens the log at `path`, or begins one.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .open()?;
        let meta = match db.get(keys::META)? {
            Some(bytes) => parse::<Meta>(&bytes)?,
            None if db.is_empty() => Meta {
                format: FORMAT,
                applied: Revision(0),
                beyond: 0,
                entries: 0,
                settled: 0,
                head: ChainHash::START,
            },
            None => return Err(StoreError::Damaged("its head is missing".to_owned())),
        };
        if meta.format != FORMAT {
            let message = format!("format {} is not {FORMAT}", meta.format);
            return Err(StoreError::Damaged(message));
        }
        Ok(Self { db, meta })
    }

    /// What the log knows of itself.
    pub(crate) fn meta(&self) -> Meta {
        self.meta
    }

    /// Appends `entries`, which come of the ledger's records after what is applied, up to `through`. If the process
    /// dies meanwhile, a part of them is in the log; those are passed over when the same records come again.
    pub(crate) fn append(
        &mut self,
        through: Revision,
        entries: &[LogEntry],
    ) -> Result<(), StoreError> {
        let already = self.meta.beyond.min(entries.len());
        let mut beyond = already;
        for chunk in entries[already..].chunks(CHUNK) {
            beyond += chunk.len();
            if beyond < entries.len() {
                self.write(self.meta.applied, beyond, chunk)?;
            } else {
                return self.write(through, 0, chunk);
            }
        }
        self.write(through, self.meta.beyond - already, &[])
    }

    /// Writes entries, their index keys and the new head: all of it or nothing.
    fn write(
        &mut self,
        applied: Revision,
        beyond: usize,
        entries: &[LogEntry],
    ) -> Result<(), StoreError> {
        let damaged = |error: serde_json::Error| StoreError::Damaged(error.to_string());
        let mut meta = Meta {
            applied,
            beyond,
            ..self.meta
        };
        let mut batch = sled::Batch::default();
        for entry in entries {
            let bytes = serde_json::to_vec(entry).map_err(damaged)?;
            meta.entries += 1;
            meta.head = meta.head.extend(meta.entries, &bytes);
            let mut value = meta.head.as_bytes().to_vec();
            value.extend_from_slice(&bytes);
            batch.insert(keys::entry(meta.entries), value);
            for key in index_keys(entry).into_iter().flatten() {
                batch.insert(key, &meta.entries.to_be_bytes());
            }
            match entry {
                LogEntry::Settled { .. } => meta.settled += 1,
                LogEntry::Planned { plan, .. } => {
                    batch.insert(keys::plan(plan.revision), &meta.entries.to_be_bytes());
                }
                LogEntry::Abandoned { .. } => {}
            }
        }
        batch.insert(keys::META, serde_json::to_vec(&meta).map_err(damaged)?);
        self.db.apply_batch(batch)?;
        self.meta = meta;
        Ok(())
    }

    /// Writes to disk what is still in memory.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush()?;
        Ok(())
    }

    /// The entry with this number.
    pub(crate) fn entry(&self, number: u64) -> Result<Option<LogEntry>, StoreError> {
        let Some(value) = self.db.get(keys::entry(number))? else {
            return Ok(None);
        };
        let (_, bytes) = split_value(&value)?;
        parse(bytes).map(Some)
    }

    /// The entry that settles the trigger at `sequence`.
    pub(crate) fn settled(&self, sequence: Sequence) -> Result<Option<LogEntry>, StoreError> {
        match self.db.get(Index::sequence().key(sequence))? {
            Some(number) => self.entry(parse_number(&number)?),
            None => Ok(None),
        }
    }

    /// The entry that settles the newest trigger with this id.
    pub(crate) fn settled_by_id(&self, id: TriggerId) -> Result<Option<LogEntry>, StoreError> {
        let everything = Sequence(0)..=Sequence(u64::MAX);
        match self.newest_first(&Index::trigger(id), everything).next() {
            Some(found) => self.entry(found?.1),
            None => Ok(None),
        }
    }

    /// The triggers of an index within `range`, with the numbers of their entries, the newest first.
    pub(super) fn newest_first(
        &self,
        index: &Index,
        range: RangeInclusive<Sequence>,
    ) -> impl Iterator<Item = Result<(Sequence, u64), StoreError>> + use<> {
        self.db
            .range(index.key(*range.start())..=index.key(*range.end()))
            .rev()
            .map(|item| {
                let (key, number) = item?;
                let sequence = keys::sequence_of(&key)
                    .ok_or_else(|| StoreError::Damaged("an index key is too short".to_owned()))?;
                Ok((sequence, parse_number(&number)?))
            })
    }

    /// The entry that tells of the plan at `revision` of the ledger.
    pub(crate) fn plan(&self, revision: Revision) -> Result<Option<LogEntry>, StoreError> {
        match self.db.get(keys::plan(revision))? {
            Some(number) => self.entry(parse_number(&number)?),
            None => Ok(None),
        }
    }

    /// Reads everything: the chain must hold from the first entry to the last, and every index must lead to
    /// every entry that settles a trigger, exactly once.
    pub(crate) fn verify(&self) -> Result<(), StoreError> {
        let mut head = ChainHash::START;
        let mut number = 0;
        let (mut settled, mut sum) = (0_u64, 0_u64);
        for item in self.db.scan_prefix([keys::ENTRY]) {
            let (key, value) = item?;
            let (hash, bytes) = split_value(&value)?;
            number += 1;
            head = head.extend(number, bytes);
            if *key != *keys::entry(number) || head != hash {
                return Err(StoreError::Damaged(format!(
                    "entry {number} does not fit the chain"
                )));
            }
            if matches!(parse(bytes)?, LogEntry::Settled { .. }) {
                settled += 1;
                sum = sum.wrapping_add(number);
            }
        }
        if (number, settled, head) != (self.meta.entries, self.meta.settled, self.meta.head) {
            let message = format!("it ends at entry {number} instead of {}", self.meta.entries);
            return Err(StoreError::Damaged(message));
        }
        for tag in Index::TAGS {
            let mut found = (0_u64, 0_u64);
            for item in self.db.scan_prefix([tag]) {
                let (_, number) = item?;
                found = (found.0 + 1, found.1.wrapping_add(parse_number(&number)?));
            }
            if found != (settled, sum) {
                let message = format!("index {:?} does not fit its entries", char::from(tag));
                return Err(StoreError::Damaged(message));
            }
        }
        Ok(())
    }

    /// The place of the first trigger that was accepted at `at` or later, if there is one.
    pub(crate) fn first_accepted_from(
        &self,
        at: Timestamp,
    ) -> Result<Option<Sequence>, StoreError> {
        let mut range = self
            .db
            .range(keys::accepted(at, Sequence(0))..vec![b'a' + 1]);
        match range.next() {
            Some(item) => Ok(keys::sequence_of(&item?.0)),
            None => Ok(None),
        }
    }
}

fn index_keys(entry: &LogEntry) -> Option<[Vec<u8>; 7]> {
    let LogEntry::Settled { group, outcome, .. } = entry else {
        return None;
    };
    let trigger = &outcome.trigger;
    let sequence = trigger.sequence;
    // An undecodable trigger has no receiver: it is found in a project and under a receiver that nobody has.
    let nobody = "nobody".parse().ok()?;
    let (project, receiver) = trigger
        .receiver
        .as_ref()
        .map_or((&nobody, ReceiverId::from_bytes([0; 12])), |receiver| {
            (&receiver.project, receiver.id)
        });
    Some([
        keys::accepted(trigger.accepted_at, sequence),
        Index::trigger(trigger.id).key(sequence),
        Index::group(group).key(sequence),
        Index::project(project).key(sequence),
        Index::receiver(receiver).key(sequence),
        Index::sequence().key(sequence),
        Index::status(project, outcome.verdict.code.status()).key(sequence),
    ])
}

fn split_value(value: &[u8]) -> Result<(ChainHash, &[u8]), StoreError> {
    let (hash, bytes) = value
        .split_first_chunk::<32>()
        .ok_or_else(|| StoreError::Damaged("an entry is too short".to_owned()))?;
    Ok((ChainHash::from_bytes(*hash), bytes))
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn parse_number(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| StoreError::Damaged("an index entry has the wrong length".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormhook_shared::domain::group::GroupKey;

    fn entries(count: u64) -> Vec<LogEntry> {
        let entry = |number| LogEntry::Abandoned {
            group: GroupKey::named("g"),
            plan: Revision(number),
            reason: "no".to_owned(),
        };
        (1..=count).map(entry).collect()
    }

    #[test]
    fn whatever_was_altered_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(100), &entries(100)).unwrap();
        store.verify().unwrap();
        let key = keys::entry(50);
        let value = store.db.get(&key).unwrap().unwrap();
        for place in [0, 31, 32, value.len() - 1] {
            let mut flipped = value.to_vec();
            flipped[place] ^= 1;
            store.db.insert(&key, flipped).unwrap();
            assert!(store.verify().is_err(), "bit flipped in byte {place}");
        }
        store.db.remove(&key).unwrap();
        assert!(store.verify().is_err(), "entry dropped");
        store.db.insert(&key, &value).unwrap();
        store.verify().unwrap();
        store
            .db
            .insert(Index::sequence().key(Sequence(7)), &7_u64.to_be_bytes())
            .unwrap();
        assert!(store.verify().is_err(), "index key added");
    }

    #[test]
    fn what_a_crash_left_half_written_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut whole = Store::open(&folder.path().join("whole")).unwrap();
        whole.append(Revision(90), &entries(90)).unwrap();
        let mut cut = Store::open(&folder.path().join("cut")).unwrap();
        cut.write(Revision(0), 40, &entries(40)).unwrap();
        // After the restart the records come in other pages than before.
        cut.append(Revision(30), &entries(30)).unwrap();
        cut.append(Revision(90), &entries(90)[30..]).unwrap();
        assert_eq!((cut.meta.entries, cut.meta.head), (90, whole.meta.head));
        assert_eq!(cut.meta, whole.meta);
        cut.verify().unwrap();
    }
}
