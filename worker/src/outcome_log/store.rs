//! The log on disk: appends entries with their indexes, reads them back, verifies all of it. Blocking; knows
//! nothing of the ledger, and never repairs anything.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stormhook_shared::audit::chain::ChainHash;
use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::{Fault, Place};
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::outcome::Outcome;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::Order;
use stormhook_shared::ports::record::Position;

use super::block::{self, Block};
use super::counts::{Counted, Counts};
use super::keys::{self, Index};
use super::listing::Listing;
use super::recent::Recent;
use super::walk::Walk;

/// How long sled may take to free its lock, and how often it is tried.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How much sled keeps in memory.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// The format that this version writes.
const FORMAT: u32 = 5;

/// The log on disk.
pub(crate) struct Store {
    pub(super) db: sled::Db,
    meta: Meta,
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
        Ok(Self { db, meta, recent })
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
            let block = Block::new(self.meta.last(), encoded);
            meta.head = block.head;
            let indexed = index(first, entries);
            meta.settled += indexed.settled;
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
            head: place.hash,
            ..self.meta
        };
        self.commit(sled::Batch::default(), meta)
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

    /// The entry with this number.
    pub(crate) fn entry(&self, number: u64) -> Result<Option<LogEntry>, StoreError> {
        self.entries().get(number)
    }

    /// Reads entries; those of one block after the other are read from it once.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries {
            store: self,
            block: None,
        }
    }

    /// The entry that settles the trigger at `sequence`.
    pub(crate) fn settled(&self, sequence: Sequence) -> Result<Option<LogEntry>, StoreError> {
        let all = vec![Index::sequence()];
        let mut walk = self.walk(all, &(sequence..=sequence), Order::NewestFirst);
        match walk.next() {
            Some(found) => self.entry(found?.1),
            None => Ok(None),
        }
    }

    /// The place of the newest trigger that is settled; 0 if none is.
    pub(crate) fn newest_settled(&self) -> Result<Sequence, StoreError> {
        let all = vec![Index::sequence()];
        let everywhere = Sequence(0)..=Sequence(u64::MAX);
        let mut walk = self.walk(all, &everywhere, Order::NewestFirst);
        let newest = walk.next().transpose()?;
        Ok(newest.map_or_else(Sequence::default, |(sequence, _)| sequence))
    }

    /// The entry that settles the newest trigger with this id.
    pub(crate) fn settled_by_id(&self, id: TriggerId) -> Result<Option<LogEntry>, StoreError> {
        match self.db.scan_prefix(keys::trigger_id(id)).next_back() {
            Some(found) => self.entry(parse_number(&found?.1)?),
            None => Ok(None),
        }
    }

    /// The triggers that are in each of `indexes` within `range`, with the numbers of their entries.
    pub(super) fn walk(
        &self,
        indexes: Vec<Index>,
        range: &RangeInclusive<Sequence>,
        order: Order,
    ) -> Walk {
        Walk::new(&self.db, indexes, range, order)
    }

    /// What is counted under `key`.
    pub(super) fn counted(&self, key: &[u8]) -> Result<Counted, StoreError> {
        match self.db.get(key)? {
            Some(bytes) => Counted::decode(&bytes),
            None => Ok(Counted::default()),
        }
    }

    /// The entry that tells of the plan at `revision` of the ledger.
    pub(crate) fn plan(&self, revision: Revision) -> Result<Option<LogEntry>, StoreError> {
        match self.db.get(keys::plan(revision))? {
            Some(number) => self.entry(parse_number(&number)?),
            None => Ok(None),
        }
    }

    /// When the plan at `revision` of the ledger was made. `entries`: where its neighbours were read from.
    pub(super) fn decided_at(
        &self,
        revision: Revision,
        entries: &mut Entries<'_>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let entry = match self.db.get(keys::plan(revision))? {
            Some(number) => entries.get(parse_number(&number)?)?,
            None => None,
        };
        Ok(match entry {
            Some(LogEntry::Planned { plan, .. }) => Some(plan.decided_at),
            _ => None,
        })
    }

    /// What was called for the record at `revision` of the ledger.
    pub(crate) fn calls(&self, revision: Revision) -> Result<Calls, StoreError> {
        let entry = match self.db.get(keys::calls(revision))? {
            Some(number) => self.entry(parse_number(&number)?)?,
            None => None,
        };
        Ok(match entry {
            Some(LogEntry::Called { calls, .. }) => calls,
            _ => Calls::default(),
        })
    }

    /// The place of a trigger that was accepted before `at` and of which no later one is known, if there is one.
    pub(crate) fn accepted_before(&self, at: Timestamp) -> Result<Option<Sequence>, StoreError> {
        let beyond = keys::accepted(at, Sequence(0));
        match self.db.range(vec![keys::ACCEPTED]..beyond).next_back() {
            Some(item) => Ok(keys::last_number(&item?.0).map(Sequence)),
            None => Ok(None),
        }
    }

    /// The place of a trigger that was accepted at `at` or later and of which no earlier one is known, if there is
    /// one.
    pub(crate) fn accepted_from(&self, at: Timestamp) -> Result<Option<Sequence>, StoreError> {
        let first = keys::accepted(at, Sequence(0));
        match self.db.range(first..vec![keys::ACCEPTED + 1]).next() {
            Some(item) => Ok(keys::last_number(&item?.0).map(Sequence)),
            None => Ok(None),
        }
    }
}

/// Reads entries by number, and keeps the last block.
pub(crate) struct Entries<'a> {
    store: &'a Store,
    block: Option<(u64, Block)>,
}

impl Entries<'_> {
    /// The entry with this number.
    pub(crate) fn get(&mut self, number: u64) -> Result<Option<LogEntry>, StoreError> {
        if let Some(found) = self.in_block(number)? {
            return Ok(Some(found));
        }
        let before = self
            .store
            .db
            .range(keys::block(0)..=keys::block(number))
            .next_back();
        let Some(item) = before else {
            return Ok(None);
        };
        let (key, value) = item?;
        let damaged = || StoreError::Damaged(format!("entry {number} cannot be read"));
        let first = keys::last_number(&key).ok_or_else(damaged)?;
        self.block = Some((first, Block::decode(&value).ok_or_else(damaged)?));
        self.in_block(number)
    }

    fn in_block(&self, number: u64) -> Result<Option<LogEntry>, StoreError> {
        let Some((first, block)) = &self.block else {
            return Ok(None);
        };
        let offset = number
            .checked_sub(*first)
            .and_then(|offset| usize::try_from(offset).ok());
        match offset.and_then(|offset| block.entries.get(offset)) {
            Some(bytes) => entry(bytes).map(Some),
            None => Ok(None),
        }
    }
}

/// What the indexes have of a block.
pub(super) struct Indexed {
    /// By key.
    pub(super) keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many entries settle a trigger.
    pub(super) settled: u64,
}

/// What the indexes have of a block with these `entries`, of which the first has the number `first`.
pub(super) fn index(first: u64, entries: &[LogEntry]) -> Indexed {
    let mut listings: BTreeMap<Vec<u8>, Listing> = BTreeMap::new();
    let mut keys = BTreeMap::new();
    let mut settled = 0;
    for (offset, (place, entry)) in (first..).zip(entries).enumerate() {
        let key = match entry {
            LogEntry::Settled { group, outcome, .. } => {
                let trigger = &outcome.trigger;
                let sequence = trigger.sequence;
                if settled == 0 {
                    let sample = keys::accepted(trigger.accepted_at, sequence);
                    keys.insert(sample, place.to_be_bytes().to_vec());
                }
                settled += 1;
                for index in indexes(group, outcome) {
                    let key = index.key(keys::bucket(sequence), first);
                    listings.entry(key).or_default().add(sequence, offset);
                }
                keys::trigger(trigger.id, sequence)
            }
            LogEntry::Planned { plan, .. } => keys::plan(plan.revision),
            LogEntry::Called { record, .. } => keys::calls(*record),
            LogEntry::Managed { call, .. } => keys::managed(&call.project, place),
            LogEntry::NotDone { project, .. } => keys::managed(project, place),
            LogEntry::Signed { head } => keys::signed(head.number, place),
            LogEntry::Abandoned { .. } | LogEntry::Began { .. } => continue,
        };
        keys.insert(key, place.to_be_bytes().to_vec());
    }
    let listings = listings.into_iter();
    keys.extend(listings.map(|(key, listing)| (key, listing.as_bytes().to_vec())));
    Indexed { keys, settled }
}

fn indexes(group: &GroupKey, outcome: &Outcome) -> Vec<Index> {
    // An undecodable trigger has no receiver: it is found in a project and under a receiver that nobody has.
    let nobody = ReceiverId::from_bytes([0; ReceiverId::BYTES]);
    let trigger = &outcome.trigger;
    let (project, receiver) = trigger
        .receiver
        .as_ref()
        .map_or((None, nobody), |receiver| {
            (Some(&receiver.project), receiver.id)
        });
    let code = outcome.verdict.code;
    let mut indexes = vec![
        Index::sequence(),
        Index::project(project),
        Index::receiver(receiver),
        Index::group(group),
        Index::status(project, code.status()),
        Index::code(project, code),
    ];
    let key = trigger.idempotency_key.as_ref();
    indexes.extend(key.map(|key| Index::key_of_caller(project, key)));
    indexes.extend(trigger.replay_of.map(Index::replay_of));
    indexes
}

/// The entry that is stored like this.
pub(super) fn entry(bytes: &[u8]) -> Result<LogEntry, StoreError> {
    LogEntry::from_json(bytes).map_err(|error| StoreError::Damaged(error.to_string()))
}

pub(super) fn parse_number(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| StoreError::Damaged("an index entry has the wrong length".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Opens the database. sled's own threads may hold its lock for a moment after the last handle was dropped, and say so in
/// words alone; other processes are kept out by the data folder's lock.
fn open_when_unlocked(path: &Path) -> sled::Result<sled::Db> {
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
    use super::*;
    use stormhook_shared::domain::kind::Driver;
    use stormhook_shared::domain::ledger::Action;
    use stormhook_shared::domain::outcome::{CalledReceiver, Code, TriggerFacts, Verdict};
    use stormhook_shared::domain::trigger::Source;
    use stormhook_shared::ports::questions::PlanSummary;

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
    fn triggers_are_found_in_every_index_in_both_orders() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        let entries = entries(1_000);
        for (revision, some) in (1..).zip(entries.chunks(90)) {
            store.append(Revision(revision), some).unwrap();
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
