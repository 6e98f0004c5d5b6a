//! Reads all of the log, step by step, and tells whether it is as it was written, or which entry is the first that is
//! not.

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::{Fault, Place};
use stormhook_shared::audit::heads::KnownHeads;
use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::outcome::Outcome;

use super::block::Block;
use super::counts::{Counted, Counts};
use super::keys::{self, Index};
use super::listing;
use super::lookup::parse_number;
use super::store::{Store, StoreError};

/// The indexes in the order in which they are verified.
const INDEXES: usize = NUMBERED + Index::COMPLETE.len() + 2;
/// How many of them lead to numbers, not to listings.
const NUMBERED: usize = 6;

/// A verification under way. The log may grow between its steps.
pub(crate) struct Verification {
    /// Where the chain begins.
    base: Place,
    at: Place,
    heads: KnownHeads,
    counts: Counts,
    /// What each index must have.
    expected: [Sum; INDEXES],
    /// Which index is verified, how far it was read, and what it was found to have; `None` before the chain was
    /// read to its end.
    index: Option<(usize, Vec<u8>, Sum)>,
    /// The entries that the indexes are verified for.
    through: u64,
    is_done: bool,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The number of the last entry there is.
    pub(crate) entries: u64,
    /// Everything was read, the indexes too.
    pub(crate) is_done: bool,
}

impl Store {
    /// Reads everything: the chain must hold from the first entry to the last, and every index must lead to
    /// every entry that it is for, exactly once.
    #[cfg(test)]
    pub(crate) fn verify(&self) -> Result<(), StoreError> {
        let mut verification = Verification::of(self)?;
        while !verification.step(self, 1_000)?.is_done {}
        Ok(())
    }
}

impl Verification {
    /// A verification of `store`, which has not begun yet.
    pub(crate) fn of(store: &Store) -> Result<Self, StoreError> {
        let base = store.meta().base;
        let mut heads = KnownHeads::new(Vec::new())?;
        heads.passes(base)?;
        Ok(Self {
            base,
            at: base,
            heads,
            counts: Counts::default(),
            expected: [Sum::default(); INDEXES],
            index: None,
            through: 0,
            is_done: false,
        })
    }

    /// The last entry that is certain to be as it was.
    pub(crate) fn at(&self) -> Place {
        self.at
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// The number of entries before the first.
    pub(crate) fn base(&self) -> u64 {
        self.base.number
    }

    /// Goes on by about `entries`.
    pub(crate) fn step(&mut self, store: &Store, entries: u64) -> Result<Progress, StoreError> {
        if store.meta().base != self.base {
            *self = Self::of(store)?; // Old entries were dropped meanwhile.
        }
        if self.index.is_none() {
            self.read_entries(store, entries)?;
            if self.at.number >= store.meta().entries {
                self.through = self.at.number;
                self.index = Some((0, Vec::new(), Sum::default()));
            }
        } else if !self.is_done {
            self.read_index(store, entries)?;
        }
        Ok(Progress {
            entries: store.meta().entries,
            is_done: self.is_done,
        })
    }

    fn read_entries(&mut self, store: &Store, entries: u64) -> Result<(), StoreError> {
        let until = self.at.number.saturating_add(entries);
        let rest = keys::block(self.at.number + 1)..vec![keys::BLOCK + 1];
        for item in store.db.range(rest) {
            let (key, value) = item?;
            if *key != *keys::block(self.at.number + 1) {
                let next = keys::last_number(&key).unwrap_or(0);
                return Err(self.fault(format!("it is missing; the next one there is {next}")));
            }
            self.read_block(&value)?;
            if self.at.number >= until {
                return Ok(());
            }
        }
        let meta = store.meta();
        if self.at.number < meta.entries {
            let message = format!("it is missing, and so is everything up to {}", meta.entries);
            return Err(self.fault(message));
        }
        if self.at.number > meta.entries || self.at.hash != meta.head {
            return Err(StoreError::Damaged(format!(
                "its last entry is said to be {} with hash {}, but it is {} with {}",
                meta.entries, meta.head, self.at.number, self.at.hash
            )));
        }
        Ok(())
    }

    fn read_block(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let whole = Block::decode(bytes);
        let is_whole = whole.is_some();
        let block = whole.or_else(|| Block::decode_damaged(bytes));
        let Some(block) = block else {
            return Err(self.fault("its block cannot be read".to_owned()));
        };
        let mut is_sampled = false;
        for (offset, bytes) in block.entries.iter().enumerate() {
            let next = self.at.next(bytes);
            if !block.has_mark(offset, next.hash) {
                let message = "it does not fit the chain: it, or its hash, is not what was written";
                return Err(self.fault(message.to_owned()));
            }
            let entry = LogEntry::from_json(bytes)
                .map_err(|error| self.fault(format!("it cannot be read: {error}")))?;
            self.at = next;
            self.heads.passes(next)?;
            match entry {
                LogEntry::Settled { outcome, .. } => {
                    let is_first = !std::mem::replace(&mut is_sampled, true);
                    self.settled(&outcome, is_first);
                }
                LogEntry::Planned { plan, .. } => {
                    self.expected[1].add(next.number, plan.revision.0);
                }
                LogEntry::Signed { head } => {
                    self.heads.recorded(&head, next.number)?;
                    self.expected[5].add(next.number, next.number);
                }
                LogEntry::Managed { .. } | LogEntry::NotDone { .. } => {
                    self.expected[3].add(next.number, next.number);
                }
                LogEntry::Called { record, .. } => self.expected[4].add(next.number, record.0),
                LogEntry::Abandoned { .. } | LogEntry::Began { .. } => {}
            }
        }
        if self.at.hash != block.head || !is_whole {
            let message =
                "it is missing, or the sums stored with the block before are not what was written";
            return Err(self.fault(message.to_owned()));
        }
        Ok(())
    }

    fn settled(&mut self, outcome: &Outcome, is_first_of_block: bool) {
        let number = self.at.number;
        let Sequence(place) = outcome.trigger.sequence;
        self.counts.add(outcome);
        let is_in = |index: usize| match index {
            0 => true,
            1 | 3..NUMBERED => false,
            2 => is_first_of_block,
            _ if index < INDEXES - 2 => true,
            _ if index == INDEXES - 2 => outcome.trigger.idempotency_key.is_some(),
            _ => outcome.trigger.replay_of.is_some(),
        };
        for (index, expected) in self.expected.iter_mut().enumerate() {
            if is_in(index) {
                expected.add(number, place);
            }
        }
    }

    fn read_index(&mut self, store: &Store, entries: u64) -> Result<(), StoreError> {
        let Some((index, after, mut found)) = self.index.take() else {
            return Ok(());
        };
        if index == INDEXES {
            // Without a pause in between, so that they are counts of the same entries.
            self.read_entries(store, u64::MAX)?;
            self.verify_counts(store)?;
            if self.base.number > 0 && self.heads.fitting() == 0 {
                let message =
                    "no signed head vouches for where it begins, as older entries were dropped";
                return Err(self.fault(message.to_owned()));
            }
            self.is_done = true;
            self.index = Some((index, after, found));
            return Ok(());
        }
        let tag = tag(index);
        let from = if after.is_empty() {
            vec![tag]
        } else {
            [after.as_slice(), &[0]].concat()
        };
        let mut read = 0;
        for item in store.db.range(from..vec![tag + 1]) {
            let (key, value) = item?;
            read += list(index, &key, &value, |number, place| {
                if number <= self.through {
                    found.add(number, place);
                }
            })?;
            if read >= entries {
                self.index = Some((index, key.to_vec(), found));
                return Ok(());
            }
        }
        if found != self.expected[index] {
            let message = format!("index {:?} does not fit its entries", char::from(tag));
            return Err(StoreError::Damaged(message));
        }
        self.index = Some((index + 1, Vec::new(), Sum::default()));
        Ok(())
    }

    fn verify_counts(&mut self, store: &Store) -> Result<(), StoreError> {
        let mut expected = std::mem::take(&mut self.counts).into_iter();
        for item in store.db.scan_prefix([keys::COUNT]) {
            let (key, value) = item?;
            let found = Counted::decode(&value)?;
            if expected.next() != Some((key.to_vec(), found)) {
                return Err(StoreError::Damaged("the counts do not fit".to_owned()));
            }
        }
        if expected.next().is_some() || self.expected[0].count != store.meta().settled {
            return Err(StoreError::Damaged("a count is missing".to_owned()));
        }
        Ok(())
    }

    /// Something is wrong with the entry that would come next.
    fn fault(&self, what: String) -> StoreError {
        StoreError::Entry(Fault {
            number: self.at.number + 1,
            what,
        })
    }
}

/// The first byte of an index's keys.
fn tag(index: usize) -> u8 {
    let complete = Index::COMPLETE;
    match index {
        0 => keys::TRIGGER,
        1 => keys::PLAN,
        2 => keys::ACCEPTED,
        3 => keys::MANAGED,
        4 => keys::CALLS,
        5 => keys::SIGNED,
        _ if index == INDEXES - 2 => Index::KEY,
        _ if index == INDEXES - 1 => Index::REPLAY,
        _ => complete[index - NUMBERED],
    }
}

/// Tells of what an index has under a key. Returns how much that is.
fn list(
    index: usize,
    key: &[u8],
    value: &[u8],
    mut tell: impl FnMut(u64, u64),
) -> Result<u64, StoreError> {
    if index < NUMBERED {
        tell(parse_number(value)?, keys::last_number(key).unwrap_or(0));
        return Ok(1);
    }
    let (_, triggers) = listing::read(key, value)?;
    for (Sequence(place), number) in &triggers {
        tell(*number, *place);
    }
    Ok(triggers.len() as u64)
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
    use proptest::prelude::*;
    use stormhook_shared::domain::ids::Revision;

    /// Every bit would take long: one of each byte.
    #[test]
    fn a_bit_that_was_flipped_anywhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(1), &entries(10)).unwrap();
        store.append(Revision(2), &entries(20)[10..]).unwrap();
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

    /// What somebody does who knows the format, and may go as far as to make the block fit in itself.
    #[derive(Debug, Clone, Copy)]
    enum Tampering {
        Flip { bit: usize },
        Drop,
        Swap { with: usize },
        Insert { like: usize },
    }

    fn tampering() -> impl Strategy<Value = Tampering> {
        prop_oneof![
            (0_usize..800).prop_map(|bit| Tampering::Flip { bit }),
            Just(Tampering::Drop),
            (0_usize..COUNT).prop_map(|with| Tampering::Swap { with }),
            (0_usize..COUNT).prop_map(|like| Tampering::Insert { like }),
        ]
    }

    const COUNT: usize = 150;

    /// Blocks of 64, 64 and 22 entries; `None` if nothing was changed.
    fn tampered(mut entries: Vec<Vec<u8>>, at: usize, how: Tampering) -> Option<Vec<Vec<u8>>> {
        match how {
            Tampering::Flip { bit } => {
                let bits = entries[at].len() * 8;
                let bit = bit % bits;
                entries[at][bit / 8] ^= 1 << (bit % 8);
            }
            Tampering::Drop => {
                entries.remove(at);
            }
            Tampering::Swap { with } if with != at => entries.swap(at, with),
            Tampering::Swap { .. } => return None,
            Tampering::Insert { like } => {
                let entry = entries[like].clone();
                entries.insert(at, entry);
            }
        }
        Some(entries)
    }

    #[test]
    fn the_first_entry_that_somebody_tampered_with_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(1), &entries(COUNT as u64)).unwrap();
        let blocks: Vec<_> = store
            .db
            .scan_prefix([keys::BLOCK])
            .map(|item| item.unwrap())
            .collect();
        let plain: Vec<_> = blocks
            .iter()
            .flat_map(|(_, value)| Block::decode(value).unwrap().entries)
            .collect();
        proptest!(ProptestConfig::with_cases(200), |(at in 0_usize..COUNT, how in tampering(), covers in any::<bool>())| {
            let Some(changed) = tampered(plain.clone(), at, how) else {
                return Ok(());
            };
            let first = (0..COUNT + 1)
                .find(|place| changed.get(*place) != plain.get(*place))
                .map(|place| place as u64 + 1);
            for (key, _) in &blocks {
                store.db.remove(key).unwrap();
            }
            let mut place = Place::START;
            let mut rest = changed.as_slice();
            for (_, value) in &blocks {
                let original = Block::decode(value).unwrap();
                let size = if place.number == 128 { rest.len() } else { original.entries.len().min(rest.len()) };
                let (some, after) = rest.split_at(size);
                rest = after;
                let mut block = Block::new(place, some.to_vec());
                let key = keys::block(place.number + 1);
                for entry in some {
                    place = place.next(entry);
                }
                if !covers {
                    block.keep_sums_of(&original);
                }
                store.db.insert(key, block.encode()).unwrap();
            }
            let found = store.verify();
            if let (Err(StoreError::Entry(fault)), false) = (&found, covers) {
                prop_assert_eq!(Some(fault.number), first);
            }
            prop_assert!(found.is_err());
            for (key, value) in &blocks {
                store.db.insert(key, value).unwrap();
            }
        });
    }
}
