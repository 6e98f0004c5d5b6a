//! Reads all of the log, and tells whether it is as it was written.

use stormhook_shared::domain::ids::Sequence;

use super::block::Block;
use super::chain::{ChainHash, LogEntry};
use super::counts::{Counted, Counts};
use super::keys::{self, Index};
use super::listing;
use super::store::{Store, StoreError, parse, parse_number};

impl Store {
    /// Reads everything: the chain must hold from the first entry to the last, and every index must lead to
    /// every entry that it is for, exactly once.
    pub(crate) fn verify(&self) -> Result<(), StoreError> {
        let mut head = ChainHash::START;
        let mut number = 0;
        let (mut settled, mut planned, mut called, mut sampled) = <(Sum, Sum, Sum, Sum)>::default();
        let (mut keyed, mut replayed) = <(Sum, Sum)>::default();
        let mut counts = Counts::default();
        for item in self.db.scan_prefix([keys::BLOCK]) {
            let (key, value) = item?;
            let damaged =
                || StoreError::Damaged(format!("entry {} does not fit the chain", number + 1));
            let block = Block::decode(&value).ok_or_else(damaged)?;
            if *key != *keys::block(number + 1) {
                return Err(damaged());
            }
            let mut is_sampled = false;
            for bytes in &block.entries {
                number += 1;
                head = head.extend(number, bytes);
                match parse(bytes)? {
                    LogEntry::Settled { outcome, .. } => {
                        let Sequence(place) = outcome.trigger.sequence;
                        settled.add(number, place);
                        counts.add(&outcome);
                        if outcome.trigger.idempotency_key.is_some() {
                            keyed.add(number, place);
                        }
                        if outcome.trigger.replay_of.is_some() {
                            replayed.add(number, place);
                        }
                        if !std::mem::replace(&mut is_sampled, true) {
                            sampled.add(number, place);
                        }
                    }
                    LogEntry::Planned { plan, .. } => planned.add(number, plan.revision.0),
                    LogEntry::Called { record, .. } => called.add(number, record.0),
                    LogEntry::Abandoned { .. } => {}
                }
            }
            if head != block.head {
                let message = format!("the chain does not hold up to entry {number}");
                return Err(StoreError::Damaged(message));
            }
        }
        if (number, settled.count, head)
            != (self.meta().entries, self.meta().settled, self.meta().head)
        {
            let message = format!(
                "it ends at entry {number} instead of {}",
                self.meta().entries
            );
            return Err(StoreError::Damaged(message));
        }
        for (tag, expected) in [
            (keys::TRIGGER, settled),
            (keys::PLAN, planned),
            (keys::CALLS, called),
            (keys::ACCEPTED, sampled),
        ] {
            self.verify_index(tag, expected, |key, value, found| {
                found.add(parse_number(value)?, keys::last_number(key).unwrap_or(0));
                Ok(())
            })?;
        }
        let listed = Index::COMPLETE.map(|tag| (tag, settled));
        let sparse = [(Index::KEY, keyed), (Index::REPLAY, replayed)];
        for (tag, expected) in listed.into_iter().chain(sparse) {
            self.verify_index(tag, expected, |key, value, found| {
                for (Sequence(place), number) in listing::read(key, value)?.1 {
                    found.add(number, place);
                }
                Ok(())
            })?;
        }
        self.verify_counts(counts)
    }

    fn verify_counts(&self, counts: Counts) -> Result<(), StoreError> {
        let stored = self.db.scan_prefix([keys::COUNT]);
        let mut expected = counts.into_iter();
        for item in stored {
            let (key, value) = item?;
            let found = Counted::decode(&value)?;
            if expected.next() != Some((key.to_vec(), found)) {
                return Err(StoreError::Damaged("the counts do not fit".to_owned()));
            }
        }
        match expected.next() {
            None => Ok(()),
            Some(_) => Err(StoreError::Damaged("a count is missing".to_owned())),
        }
    }

    fn verify_index(
        &self,
        tag: u8,
        expected: Sum,
        read: impl Fn(&[u8], &[u8], &mut Sum) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut found = Sum::default();
        for item in self.db.scan_prefix([tag]) {
            let (key, value) = item?;
            read(&key, &value, &mut found)?;
        }
        if found == expected {
            return Ok(());
        }
        let message = format!("index {:?} does not fit its entries", char::from(tag));
        Err(StoreError::Damaged(message))
    }
}

/// Entries with their places in the trigger log or in the ledger, counted and summed: to tell whether two lists have
/// the same ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, number: u64, place: u64) {
        self.count += 1;
        let mut mixed = number.rotate_left(32) ^ place;
        // The finalizer of SplitMix64: one flipped bit in changes half of those out.
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.sum = self.sum.wrapping_add(mixed ^ (mixed >> 31));
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::entries;
    use super::*;
    use stormhook_shared::domain::ids::Revision;

    /// Every bit would take long: one of each byte.
    #[test]
    fn a_bit_that_was_flipped_anywhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(1), &entries(30)).unwrap();
        store.append(Revision(2), &entries(60)[30..]).unwrap();
        store.verify().unwrap();
        for item in store.db.iter() {
            let (key, value) = item.unwrap();
            if *key == *keys::META {
                continue; // Of the log, but not of the record.
            }
            for place in 0..value.len() {
                let mut flipped = value.to_vec();
                flipped[place] ^= 1 << (place % 8);
                store.db.insert(&key, flipped).unwrap();
                assert!(store.verify().is_err(), "byte {place} of {key:?}");
            }
            store.db.remove(&key).unwrap();
            assert!(store.verify().is_err(), "{key:?} dropped");
            store.db.insert(&key, value).unwrap();
        }
        store.verify().unwrap();
        let added = Index::sequence().key(7, 1);
        store.db.insert(added, &[7, 0, 1]).unwrap();
        assert!(store.verify().is_err(), "index key added");
    }
}
