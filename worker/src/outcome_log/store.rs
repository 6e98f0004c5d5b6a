//! The log on disk: opened, and appended to with what leads to its entries (`indexing`). What is in it is found by `lookup`.
//! Blocking; knows nothing of the ledger, and repairs nothing: at a start it only makes the steps that a crash left out.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stormhook_shared::audit::chain::ChainHash;
use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::{Fault, Place};
use stormhook_shared::domain::ids::Revision;
use stormhook_shared::ports::record::Position;

use super::block::{self, Block};
use super::counts::Counts;
use super::indexing::index;
use super::keys;
use super::recent::Recent;
use super::segment::Segment;
use super::span::Span;

/// How long sled may take to free its lock, and how often it is tried.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How much sled keeps in memory.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// The format that this version writes.
const FORMAT: u32 = 6;

/// The log on disk.
pub(crate) struct Store {
    pub(super) db: sled::Db,
    pub(super) meta: Meta,
    /// The segment that grows.
    pub(super) segment: Segment,
    /// What the newest entries tell of receivers.
    recent: Recent,
}

/// What the log knows of itself, written with every append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(super) format: u32,
    /// Every ledger record up to here is in the log.
    pub(crate) applied: Revision,
    /// How many entries of the records after that are in the log, too.
    pub(super) beyond: usize,
    /// Where the chain begins: older entries were dropped.
    pub(crate) base: Place,
    /// The number of the last entry.
    pub(crate) entries: u64,
    /// The number of entries that settle a trigger, which are those in the indexes.
    pub(super) settled: u64,
    /// Up to which entry the listings are stored: the last one of a segment.
    pub(super) listed: u64,
    /// The segment after that ends with the last entry, and its listings may be stored in part.
    pub(super) is_ending: bool,
    /// The hash of the last entry.
    pub(crate) head: ChainHash,
    /// How many bytes blocks and indexes have, before sled stores them.
    pub(crate) bytes: u64,
}

impl Meta {
    /// The place of the last entry.
    pub(crate) fn last(&self) -> Place {
        Place {
            number: self.entries,
            hash: self.head,
        }
    }

    /// With fewer bytes.
    pub(super) fn without(self, bytes: usize) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(bytes as u64),
            ..self
        }
    }

    /// Whether it has entries of another worker's log, but not yet all of them, so that it does not say where in the
    /// ledger it is.
    pub(crate) fn is_unfinished(&self) -> bool {
        let nowhere = Position::default();
        self.entries > 0 && (self.applied, self.beyond) == (nowhere.applied, nowhere.beyond)
    }
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, or refuses for another reason that will pass.
    #[error("the outcome log's disk: {0}")]
    Disk(std::io::Error),
    /// What is stored is not what was written.
    #[error("the outcome log is damaged: {0}")]
    Damaged(String),
    /// The same, and which entry is the first.
    #[error("the outcome log is damaged: {0}")]
    Entry(#[from] Fault),
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
        let db = open_when_unlocked(path)?;
        let meta = match db.get(keys::META)? {
            Some(bytes) => serde_json::from_slice::<Meta>(&bytes)
                .map_err(|error| StoreError::Damaged(error.to_string()))?,
            None if db.is_empty() => Meta {
                format: FORMAT,
                applied: Revision(0),
                beyond: 0,
                base: Place::START,
                entries: 0,
                settled: 0,
                listed: 0,
                is_ending: false,
                head: ChainHash::START,
                bytes: 0,
            },
            None => return Err(StoreError::Damaged("its head is missing".to_owned())),
        };
        if meta.format != FORMAT {
            let message = format!("format {} is not {FORMAT}", meta.format);
            return Err(StoreError::Damaged(message));
        }
        let recent = Recent::read(&db)?;
        let segment = Segment::read(&db, meta.listed)?;
        let mut store = Self {
            db,
            meta,
            segment,
            recent,
        };
        if meta.is_ending {
            store.end_segment()?;
        }
        store.remove_dropped()?;
        Ok(store)
    }

    /// The segment that grows.
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// What the newest entries tell of receivers.
    pub(super) fn recent(&self) -> &Recent {
        &self.recent
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
        for chunk in entries[already..].chunks(block::LARGEST) {
            beyond += chunk.len();
            if beyond < entries.len() {
                self.write(self.meta.applied, beyond, chunk)?;
            } else {
                return self.write(through, 0, chunk);
            }
        }
        self.write(through, self.meta.beyond - already, &[])
    }

    /// Writes entries as one block, their index keys and the new head: all of it or nothing.
    fn write(
        &mut self,
        applied: Revision,
        beyond: usize,
        entries: &[LogEntry],
    ) -> Result<(), StoreError> {
        if self.meta.is_ending {
            self.end_segment()?; // The disk had refused a part of it.
        }
        let damaged = |error: serde_json::Error| StoreError::Damaged(error.to_string());
        let mut meta = Meta {
            applied,
            beyond,
            ..self.meta
        };
        let first = meta.entries + 1;
        let encoded = entries.iter().map(serde_json::to_vec);
        let encoded: Vec<_> = encoded.collect::<Result<_, _>>().map_err(damaged)?;
        let mut batch = sled::Batch::default();
        if !encoded.is_empty() {
            meta.entries += encoded.len() as u64;
            let block = Block::new(self.meta.last(), encoded, Span::of(entries));
            meta.head = block.head;
            let indexed = index(first, entries);
            meta.settled += indexed.settled;
            meta.is_ending = self.segment.is_full_with(entries.len());
            let written = indexed
                .keys
                .into_iter()
                .chain([(keys::block(first), block.encode())]);
            for (key, value) in written {
                meta.bytes += (key.len() + value.len()) as u64;
                batch.insert(key, value);
            }
            for (key, more) in Counts::of(entries).into_iter() {
                let counted = self.counted(&key)?.plus(more);
                batch.insert(key, counted.encode());
            }
        }
        self.commit(batch, meta)?;
        self.recent.add(entries);
        self.segment.add(first, entries);
        if meta.is_ending {
            self.end_segment()?;
        }
        Ok(())
    }

    /// Applies `batch` along with what the log knows of itself then: both or nothing.
    pub(super) fn commit(&mut self, mut batch: sled::Batch, meta: Meta) -> Result<(), StoreError> {
        let encoded = serde_json::to_vec(&meta);
        let encoded = encoded.map_err(|error| StoreError::Damaged(error.to_string()))?;
        batch.insert(keys::META, encoded);
        self.db.apply_batch(batch)?;
        self.meta = meta;
        Ok(())
    }

    /// Has the log, which is empty, begin after `place`.
    pub(super) fn begin_after(&mut self, place: Place) -> Result<(), StoreError> {
        let meta = Meta {
            base: place,
            entries: place.number,
            listed: place.number,
            head: place.hash,
            ..self.meta
        };
        self.commit(sled::Batch::default(), meta)?;
        self.segment = Segment::after(place.number);
        Ok(())
    }

    /// Adds entries as one block, wherever in the ledger they come from.
    pub(super) fn add(&mut self, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.write(self.meta.applied, self.meta.beyond, entries)
    }

    /// Adds entries of another worker's log, of which the first comes after `place`: where this log ends, unless it is empty.
    /// Until [`Store::go_on_after`] says where in the ledger that is, the log is unfinished.
    pub(super) fn take(&mut self, place: Place, entries: &[LogEntry]) -> Result<(), StoreError> {
        if self.meta.entries == 0 {
            self.begin_after(place)?;
        } else if self.meta.last() != place {
            let message = format!("entry {} is not the last", place.number);
            return Err(StoreError::Damaged(message));
        }
        let nowhere = Position::default();
        for block in entries.chunks(block::LARGEST) {
            self.write(nowhere.applied, nowhere.beyond, block)?;
        }
        Ok(())
    }

    /// Has the log go on after `position` of the ledger.
    pub(super) fn go_on_after(&mut self, position: Position) -> Result<(), StoreError> {
        let meta = Meta {
            applied: position.applied,
            beyond: position.beyond,
            ..self.meta
        };
        self.commit(sled::Batch::default(), meta)
    }

    /// Has the log go on after `applied` of the ledger with `entry`, which says that what is before that is gone.
    pub(super) fn leave_out(
        &mut self,
        applied: Revision,
        entry: LogEntry,
    ) -> Result<(), StoreError> {
        self.write(applied, 0, &[entry])
    }

    /// Writes to disk what is still in memory.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush()?;
        Ok(())
    }
}

/// Opens the database. sled's own threads may hold its lock for a moment after the last handle was dropped, and say so in
/// words alone; other processes are kept out by the data folder's lock. A new folder is its owner's alone: others may be let
/// into the one around it.
fn open_when_unlocked(path: &Path) -> sled::Result<sled::Db> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let began = Instant::now();
    loop {
        let opened = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .open();
        match &opened {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && began.elapsed() < UNLOCKED_WITHIN =>
            {
                std::thread::sleep(LOCK_PAUSE);
            }
            _ => return opened,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::keys::Index;
    use super::*;
    use stormhook_shared::domain::call::Calls;
    use stormhook_shared::domain::group::GroupKey;
    use stormhook_shared::domain::ids::{ReceiverId, Sequence, TriggerId};
    use stormhook_shared::domain::kind::Driver;
    use stormhook_shared::domain::ledger::Action;
    use stormhook_shared::domain::outcome::{CalledReceiver, Code, Outcome, TriggerFacts, Verdict};
    use stormhook_shared::domain::time::Timestamp;
    use stormhook_shared::domain::trigger::Source;
    use stormhook_shared::ports::questions::{Order, PlanSummary};

    /// The first `count` entries of a log: a plan, then the outcomes of triggers over three groups.
    pub(in super::super) fn entries(count: u64) -> Vec<LogEntry> {
        let plan = LogEntry::Planned {
            group: GroupKey::named("service/1a5/1s0"),
            plan: PlanSummary {
                revision: Revision(1),
                action: Action::ScaleService {
                    service_id: "1s0".to_owned(),
                    name: "web".to_owned(),
                    from: 1,
                    to: 2,
                    version: None,
                },
                triggers: 1,
                decided_at: Timestamp::from_millis(0),
                drift: None,
                calls: Calls::default(),
            },
        };
        std::iter::once(plan)
            .chain((1..count).map(settled))
            .collect()
    }

    pub(in super::super) fn settled(number: u64) -> LogEntry {
        // Triggers are settled in another order than they came in.
        let sequence = Sequence(number ^ 1);
        let receiver = u8::try_from(number % 3).unwrap();
        LogEntry::Settled {
            group: GroupKey::named(&format!("service/1a5/1s{receiver}")),
            plan: None,
            record: None,
            outcome: Outcome {
                trigger: TriggerFacts {
                    id: TriggerId::derived(
                        ReceiverId::from_bytes([receiver; 12]),
                        &number.to_string(),
                    ),
                    sequence,
                    receiver: Some(CalledReceiver {
                        id: ReceiverId::from_bytes([receiver; 12]),
                        name: "up".to_owned(),
                        driver: Driver::ScaleService,
                        project: "1a5".parse().unwrap(),
                    }),
                    accepted_at: Timestamp::from_millis(i64::try_from(number).unwrap()),
                    source: Source {
                        address: None,
                        user_agent: None,
                    },
                    idempotency_key: None,
                    replay_of: None,
                    parent_id: None,
                    parent_sequence: None,
                    body_sha256: String::new(),
                    body_bytes: 0,
                },
                receiver_revision: Some(1),
                verdict: Verdict::new(Code::Scaled, "scaled"),
                attempts: 1,
                settled_at: Timestamp::from_millis(0),
            },
        }
    }

    #[test]
    fn a_new_folder_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _store = Store::open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn triggers_are_found_in_every_index_in_both_orders() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        let entries = entries(1_000);
        for (revision, some) in (1..).zip(entries.chunks(90)) {
            store.append(Revision(revision), some).unwrap();
            if revision % 4 == 0 {
                store.end_segment().unwrap();
            }
        }
        let one = Index::receiver(ReceiverId::from_bytes([1; 12]));
        let mut expected: Vec<_> = (1..1_000_u64)
            .filter(|number| number % 3 == 1 && (10..=900).contains(&(number ^ 1)))
            .map(|number| (Sequence(number ^ 1), number + 1))
            .collect();
        expected.sort();
        let range = Sequence(10)..=Sequence(900);
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let found: Vec<_> = store
                .walk(vec![one.clone()], &range, order)
                .map(|found| found.unwrap())
                .collect();
            assert_eq!(found, expected);
            expected.reverse();
        }
        for (number, entry) in (1..).zip(&entries) {
            assert_eq!(store.entry(number).unwrap().as_ref(), Some(entry));
            if let LogEntry::Settled { outcome, .. } = entry {
                let by_place = store.settled(outcome.trigger.sequence).unwrap();
                assert_eq!(by_place.as_ref(), Some(entry));
                let by_id = store.settled_by_id(outcome.trigger.id).unwrap();
                assert_eq!(by_id.as_ref(), Some(entry));
            }
        }
        assert_eq!(store.entry(1_001).unwrap(), None);
        assert_eq!(store.settled(Sequence(1_001)).unwrap(), None);
        assert_eq!(store.plan(Revision(1)).unwrap().as_ref(), entries.first());
    }

    #[test]
    fn listings_are_stored_by_themselves_and_found_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        let entries = entries(20_000);
        for (revision, some) in (1..).zip(entries.chunks(2_000)) {
            store.append(Revision(revision), some).unwrap();
        }
        assert_eq!(store.meta.listed % 64, 0);
        assert!(store.meta.listed > 16_000);
        store.verify().unwrap();
        let all = |store: &Store| -> Vec<_> {
            let everywhere = Sequence(0)..=Sequence(u64::MAX);
            let all = store.walk(vec![Index::sequence()], &everywhere, Order::OldestFirst);
            all.map(|found| found.unwrap()).collect()
        };
        let before = all(&store);
        assert_eq!(before.len(), 19_999);
        drop(store);
        let store = Store::open(&folder.path().join("log")).unwrap();
        assert_eq!(all(&store), before);
        store.verify().unwrap();
    }

    #[test]
    fn a_segment_that_a_crash_left_half_stored_is_stored_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(90), &entries(90)).unwrap();
        let (key, listing) = store.segment.listings().iter().next().unwrap();
        let half = &listing.as_bytes()[..4];
        store.db.insert(key, half).unwrap();
        let meta = Meta {
            is_ending: true,
            ..store.meta
        };
        store.commit(sled::Batch::default(), meta).unwrap();
        drop(store);
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        assert_eq!((store.meta.listed, store.meta.is_ending), (90, false));
        store.verify().unwrap();
        store.append(Revision(180), &entries(180)[90..]).unwrap();
        store.verify().unwrap();
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
        // The blocks are others, and so are their sizes.
        let bytes = whole.meta.bytes;
        assert_eq!(Meta { bytes, ..cut.meta }, whole.meta);
        cut.verify().unwrap();
    }
}
