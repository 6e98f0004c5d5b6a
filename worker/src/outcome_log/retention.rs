//! Old entries are dropped from the front, whole blocks, and only behind an entry whose hash was signed and recorded: what is
//! left still verifies, and that signature vouches for where it begins.

use std::time::Duration;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::Place;
use stormhook_shared::audit::head::SignedHead;
use stormhook_shared::configuration::Retention;
use stormhook_shared::domain::time::Timestamp;

use super::block::Block;
use super::counts::Counts;
use super::indexing::index;
use super::keys;
use super::listing;
use super::lookup::{entry, parse_number, unreadable};
use super::segment::{LISTINGS, Segment};
use super::store::{Meta, Store, StoreError};

impl Store {
    /// Up to which signed head entries may be dropped at `now`, if up to any.
    pub(crate) fn droppable(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Option<SignedHead>, StoreError> {
        let meta = self.meta();
        let mut through = meta.base.number;
        if let Some(age) = retention.age {
            through = through.max(self.last_before(minus(now, age))?);
        }
        if let Some(bytes) = retention.bytes
            && meta.bytes > bytes
        {
            let share = (meta.bytes - bytes) as f64 / meta.bytes as f64;
            let count = (meta.entries - meta.base.number) as f64 * share;
            through = through.max(meta.base.number + count.ceil() as u64);
        }
        let head = self.signed_at_or_before(through)?;
        Ok(head.filter(|head| head.number > meta.base.number))
    }

    /// Drops the oldest blocks that are at or before entry `through` in all, at most those of one segment. `false`: there
    /// are none.
    pub(crate) fn drop_oldest(&mut self, through: u64) -> Result<bool, StoreError> {
        let is_dropped = self.begin_later(through)?;
        self.remove_dropped()?;
        Ok(is_dropped)
    }

    /// Has the log begin after the blocks that [`Store::drop_oldest`] drops, which are still there.
    fn begin_later(&mut self, through: u64) -> Result<bool, StoreError> {
        let blocks = self.blocks(self.meta().base.number + 1, through)?;
        let Some(base) = blocks.last().map(|block| block.last) else {
            return Ok(false);
        };
        if base.number > self.meta().listed {
            self.end_segment()?;
        }
        let entries: Vec<_> = blocks.into_iter().flat_map(|block| block.entries).collect();
        let mut batch = sled::Batch::default();
        for (key, less) in Counts::of(&entries).into_iter() {
            let left = self.counted(&key)?.minus(less);
            if left.is_zero() {
                batch.remove(key);
            } else {
                batch.insert(key, left.encode());
            }
        }
        let is_settled = |entry: &&LogEntry| matches!(entry, LogEntry::Settled { .. });
        let settled = entries.iter().filter(is_settled).count() as u64;
        let meta = self.meta();
        let meta = Meta {
            base,
            settled: meta.settled.saturating_sub(settled),
            ..meta
        };
        self.commit(batch, meta)?;
        Ok(true)
    }

    /// The blocks, from the one that begins with entry `first`, that are at or before entry `through` in all: those of one
    /// segment.
    fn blocks(&self, mut first: u64, through: u64) -> Result<Vec<OldBlock>, StoreError> {
        let mut blocks = Vec::new();
        let through = through.min(self.segment_of(first)?.1);
        while first <= through {
            let value = self.db.get(keys::block(first))?;
            let value = value.ok_or_else(|| unreadable(first))?;
            let block = Block::decode(&value).ok_or_else(|| unreadable(first))?;
            let entries = block.entries.iter().map(|bytes| entry(bytes));
            let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
            let last = Place {
                number: first + entries.len() as u64 - 1,
                hash: block.head,
            };
            if last.number > through {
                break;
            }
            blocks.push(OldBlock {
                first,
                last,
                size: value.len(),
                entries,
            });
            first = last.number + 1;
        }
        Ok(blocks)
    }

    /// The first and the last entry of the segment that has entry `number`.
    fn segment_of(&self, number: u64) -> Result<(u64, u64), StoreError> {
        if number > self.meta().listed {
            return Ok((self.segment().first(), self.segment().last()));
        }
        let segments = keys::segment(0)..=keys::segment(number);
        let Some(item) = self.db.range(segments).next_back() else {
            return Err(StoreError::Damaged(format!(
                "entry {number} has no segment"
            )));
        };
        let (key, value) = item?;
        Ok((keys::last_number(&key).unwrap_or(0), parse_number(&value)?))
    }

    /// Removes what there still is of entries that were dropped. In steps, which are made again if the process dies
    /// meanwhile: where the log begins says what is dropped.
    pub(crate) fn remove_dropped(&mut self) -> Result<(), StoreError> {
        let base = self.meta().base.number;
        while let Some(item) = self.db.range(keys::block(0)..=keys::block(base)).next() {
            let (key, _) = item?;
            let first = keys::last_number(&key).unwrap_or(0);
            let blocks = match self.blocks(first, base) {
                Err(StoreError::Damaged(_)) => Vec::new(),
                read => read?,
            };
            if blocks.is_empty() {
                tracing::warn!(
                    first,
                    "a block of dropped entries is damaged; what leads to it stays"
                );
                self.db.remove(key)?;
                continue;
            }
            let segment = self.segment_of(first)?;
            self.remove_listings(segment.0, &blocks)?;
            for block in &blocks {
                self.remove_block(segment, block)?;
            }
        }
        Ok(())
    }

    /// Takes dropped entries out of the listings of the segment that begins with entry `first`.
    fn remove_listings(&mut self, first: u64, blocks: &[OldBlock]) -> Result<(), StoreError> {
        let base = self.meta().base.number;
        let mut segment = Segment::after(first - 1);
        for block in blocks {
            segment.add(block.first, &block.entries);
        }
        let listings: Vec<_> = segment.listings().keys().collect();
        for some in listings.chunks(LISTINGS) {
            let mut batch = sled::Batch::default();
            let mut removed = 0;
            for key in some {
                let Some(value) = self.db.get(key)? else {
                    continue;
                };
                let left = listing::after(base, first, &value);
                removed += value.len() - left.len();
                if left.is_empty() {
                    removed += key.len();
                    batch.remove(key.as_slice());
                } else {
                    batch.insert(key.as_slice(), left);
                }
            }
            self.commit(batch, self.meta().without(removed))?;
        }
        Ok(())
    }

    /// Removes a dropped block and what leads to it alone, and its `segment` if it is the last of it.
    fn remove_block(&mut self, segment: (u64, u64), block: &OldBlock) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        let key = keys::block(block.first);
        let mut removed = key.len() + block.size;
        batch.remove(key);
        for (key, value) in index(block.first, &block.entries).keys {
            removed += key.len() + value.len();
            batch.remove(key);
        }
        if segment.1 == block.last.number {
            batch.remove(keys::segment(segment.0));
        }
        self.commit(batch, self.meta().without(removed))
    }

    /// The last signed head of entry `number` or one before it.
    fn signed_at_or_before(&self, number: u64) -> Result<Option<SignedHead>, StoreError> {
        let heads = keys::signed(0, 0)..=keys::signed(number, u64::MAX);
        let Some(item) = self.db.range(heads).next_back() else {
            return Ok(None);
        };
        let number = parse_number(&item?.1)?;
        match self.entry(number)? {
            Some(LogEntry::Signed { head }) => Ok(Some(head)),
            _ => Err(StoreError::Damaged(format!("entry {number} signs no head"))),
        }
    }
}

/// A block that is dropped.
struct OldBlock {
    /// The number of its first entry.
    first: u64,
    /// The place of its last entry.
    last: Place,
    /// How many bytes are stored.
    size: usize,
    entries: Vec<LogEntry>,
}

fn minus(now: Timestamp, age: Duration) -> Timestamp {
    let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

#[cfg(test)]
mod tests {
    use super::super::keys::Index;
    use super::super::store::tests::settled;
    use super::*;
    use stormhook_shared::audit::head::SigningKey;
    use stormhook_shared::domain::ids::{ProjectId, Revision, Sequence};
    use stormhook_shared::ports::questions::Order;

    /// A thousand triggers, with a head signed after each hundred.
    fn log(folder: &std::path::Path) -> Store {
        log_with(folder, &[])
    }

    /// The same with `more` after each head.
    fn log_with(folder: &std::path::Path, more: &[LogEntry]) -> Store {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let mut store = Store::open(&folder.join("log")).unwrap();
        for hundred in 0..10 {
            let numbers = hundred * 100 + 1..=hundred * 100 + 100;
            let entries: Vec<_> = numbers.map(settled).collect();
            store.append(Revision(hundred * 2 + 1), &entries).unwrap();
            let Place { number, hash } = store.meta().last();
            let head = key.sign(number, hash, Timestamp::from_millis(0));
            let signed = [&[LogEntry::Signed { head }], more].concat();
            store.append(Revision(hundred * 2 + 2), &signed).unwrap();
        }
        store
    }

    #[test]
    fn what_is_left_verifies_and_has_no_trace_of_what_was_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = log(folder.path());
        store.end_segment().unwrap();
        let (keys, bytes) = (store.db.len(), store.meta().bytes);
        let half = Retention {
            age: None,
            bytes: Some(bytes / 2),
        };
        let head = store
            .droppable(&half, Timestamp::from_millis(0))
            .unwrap()
            .unwrap();
        assert!((400..=505).contains(&head.number), "{head:?}");
        while store.drop_oldest(head.number).unwrap() {
            store.verify().unwrap();
        }
        let base = store.meta().base.number;
        assert!(base > head.number - 100 && base <= head.number, "{base}");
        assert!(store.db.len() < keys * 6 / 10 && store.meta().bytes < bytes * 6 / 10);
        assert_eq!(store.entry(base).unwrap(), None);
        assert!(store.entry(base + 1).unwrap().is_some());
        assert_eq!(store.place(base).unwrap(), Some(store.meta().base));
        // It goes on as ever, and another beginning than the true one is found out.
        store.append(Revision(99), &[settled(2_000)]).unwrap();
        store.verify().unwrap();
        let meta = store.meta();
        let mut other = meta;
        other.base.hash = meta.head;
        store.commit(sled::Batch::default(), other).unwrap();
        assert!(store.verify().is_err());
    }

    #[test]
    fn what_a_crash_left_of_dropped_entries_is_not_told_and_removed_later() {
        let folder = tempfile::tempdir().unwrap();
        let project: ProjectId = "1a5".parse().unwrap();
        let not_done = LogEntry::NotDone {
            project: project.clone(),
            call: Revision(1),
            reason: "a test".to_owned(),
            at: Timestamp::from_millis(0),
        };
        let mut store = log_with(folder.path(), &[not_done]);
        store.end_segment().unwrap();
        let keys = store.db.len();
        let (mut calls, _) = store.management_calls(&project, None, 100).unwrap();
        assert_eq!(calls.len(), 10);
        assert!(store.begin_later(500).unwrap());
        let base = store.meta().base.number;
        assert!((450..=500).contains(&base), "{base}");
        assert_eq!(store.db.len(), keys);
        store.verify().unwrap();
        let all = vec![Index::sequence()];
        let everywhere = Sequence(0)..=Sequence(u64::MAX);
        for found in store.walk(all, &everywhere, Order::OldestFirst) {
            let (_, number) = found.unwrap();
            assert!(number > base);
            assert!(store.entry(number).unwrap().is_some());
        }
        assert_eq!(store.entry(base).unwrap(), None);
        calls.retain(|(number, _)| *number > base);
        assert!((1..10).contains(&calls.len()), "{calls:?}");
        let left = store.management_calls(&project, None, 100).unwrap();
        assert_eq!(left, (calls, false));
        assert_eq!(store.place(base).unwrap(), Some(store.meta().base));
        assert_eq!(store.place(base - 1).unwrap(), None);
        // Some of it is removed, and one block cannot be read.
        let blocks = store.blocks(1, base).unwrap();
        let segment = store.segment_of(1).unwrap();
        store.remove_block(segment, &blocks[0]).unwrap();
        store.verify().unwrap();
        store
            .db
            .insert(keys::block(blocks[2].first), b"no block")
            .unwrap();
        drop(store);
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        assert!(store.db.len() < keys * 6 / 10);
        assert!(!store.drop_oldest(500).unwrap());
        store.verify().unwrap();
    }

    #[test]
    fn nothing_is_dropped_that_no_signature_vouches_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        let entries: Vec<_> = (1..500).map(settled).collect();
        store.append(Revision(1), &entries).unwrap();
        let everything = Retention {
            age: Some(Duration::ZERO),
            bytes: Some(0),
        };
        assert_eq!(
            store.droppable(&everything, Timestamp::now()).unwrap(),
            None
        );
    }
}
