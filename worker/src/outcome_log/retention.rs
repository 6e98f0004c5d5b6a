//! Old entries are dropped from the front, a block at a time, and only behind an entry whose hash was signed and recorded:
//! what is left still verifies, and that signature vouches for where it begins.

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
use super::lookup::{entry, parse_number};
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

    /// Drops the oldest block, if all of it is at or before entry `through`. `false`: there is none.
    pub(crate) fn drop_oldest(&mut self, through: u64) -> Result<bool, StoreError> {
        let meta = self.meta();
        let first = meta.base.number + 1;
        let key = keys::block(first);
        let damaged = || StoreError::Damaged(format!("entry {first} cannot be read"));
        let Some(value) = self.db.get(&key)? else {
            return Ok(false);
        };
        let block = Block::decode(&value).ok_or_else(damaged)?;
        let last = meta.base.number + block.entries.len() as u64;
        if last > through {
            return Ok(false);
        }
        let entries = block.entries.iter().map(|bytes| entry(bytes));
        let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        let mut batch = sled::Batch::default();
        let indexed = index(first, &entries);
        let mut bytes = key.len() + value.len();
        for (key, value) in indexed.keys {
            bytes += key.len() + value.len();
            batch.remove(key);
        }
        for (key, less) in Counts::of(&entries).into_iter() {
            let left = self.counted(&key)?.minus(less);
            if left.is_zero() {
                batch.remove(key);
            } else {
                batch.insert(key, left.encode());
            }
        }
        batch.remove(key);
        self.commit(
            batch,
            Meta {
                base: Place {
                    number: last,
                    hash: block.head,
                },
                settled: meta.settled.saturating_sub(indexed.settled),
                bytes: meta.bytes.saturating_sub(bytes as u64),
                ..meta
            },
        )?;
        Ok(true)
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

fn minus(now: Timestamp, age: Duration) -> Timestamp {
    let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::settled;
    use super::*;
    use stormhook_shared::audit::head::SigningKey;
    use stormhook_shared::domain::ids::Revision;

    /// A thousand triggers, with a head signed after each hundred.
    fn log(folder: &std::path::Path) -> Store {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let mut store = Store::open(&folder.join("log")).unwrap();
        for hundred in 0..10 {
            let numbers = hundred * 100 + 1..=hundred * 100 + 100;
            let entries: Vec<_> = numbers.map(settled).collect();
            store.append(Revision(hundred * 2 + 1), &entries).unwrap();
            let Place { number, hash } = store.meta().last();
            let head = key.sign(number, hash, Timestamp::from_millis(0));
            let signed = [LogEntry::Signed { head }];
            store.append(Revision(hundred * 2 + 2), &signed).unwrap();
        }
        store
    }

    #[test]
    fn what_is_left_verifies_and_has_no_trace_of_what_was_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = log(folder.path());
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
