//! What is found in the log by a number, a trigger, a plan or a time.

use std::ops::RangeInclusive;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::ids::{Revision, Sequence, TriggerId};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::Order;

use super::block::{Block, Header};
use super::counts::Counted;
use super::keys::{self, Index};
use super::store::{Store, StoreError};
use super::walk::Walk;

impl Store {
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
    ) -> Walk<'_> {
        Walk::new(self, indexes, range, order)
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
    block: Option<Kept>,
}

/// A block that was read.
struct Kept {
    /// The number of its first entry.
    first: u64,
    header: Header,
    bytes: sled::IVec,
    /// What is in it, once somebody asks.
    block: Option<Block>,
}

impl Entries<'_> {
    /// The entry with this number.
    pub(crate) fn get(&mut self, number: u64) -> Result<Option<LogEntry>, StoreError> {
        let Some(kept) = self.block_of(number)? else {
            return Ok(None);
        };
        let block = match kept.block.take() {
            Some(block) => block,
            None => Block::decode(&kept.bytes).ok_or_else(|| unreadable(number))?,
        };
        let offset = usize::try_from(number - kept.first).unwrap_or(usize::MAX);
        let found = block.entries.get(offset).map(|bytes| entry(bytes));
        kept.block = Some(block);
        found.transpose()
    }

    /// Whether the trigger that the entry with this number settles may have been accepted at `since` or later, and before
    /// `until`, as far as its block tells.
    pub(super) fn may_be_of(
        &mut self,
        number: u64,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let kept = self.block_of(number)?;
        Ok(kept.is_none_or(|kept| kept.header.accepted.overlaps(since, until)))
    }

    /// The block that has the entry with this number.
    fn block_of(&mut self, number: u64) -> Result<Option<&mut Kept>, StoreError> {
        if number <= self.store.meta().base.number {
            return Ok(None); // Dropped, and perhaps not removed yet.
        }
        let has = |kept: &Kept| {
            number
                .checked_sub(kept.first)
                .is_some_and(|offset| offset < u64::from(kept.header.count))
        };
        if !self.block.as_ref().is_some_and(has) {
            let blocks = keys::block(0)..=keys::block(number);
            let Some(item) = self.store.db.range(blocks).next_back() else {
                return Ok(None);
            };
            let (key, bytes) = item?;
            let first = keys::last_number(&key).ok_or_else(|| unreadable(number))?;
            let header = Block::header(&bytes).ok_or_else(|| unreadable(number))?;
            self.block = Some(Kept {
                first,
                header,
                bytes,
                block: None,
            });
        }
        Ok(self.block.as_mut().filter(|kept| has(kept)))
    }
}

/// What is said of an entry whose block is not as it was written.
pub(super) fn unreadable(number: u64) -> StoreError {
    StoreError::Damaged(format!("entry {number} cannot be read"))
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
