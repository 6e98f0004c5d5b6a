//! Reads all of the log, step by step, and tells whether it is as it was written, or which entry is the first that is
//! not.

mod block;
mod indexes;
mod lane;

use std::num::NonZeroUsize;
use std::thread;

use stormhook_shared::audit::export::{Fault, Place};
use stormhook_shared::audit::heads::KnownHeads;

use super::counts::{Counted, Counts};
use super::keys;
use super::lookup::parse_number;
use super::store::{Store, StoreError};
use block::{Following, Verified};
use indexes::{INDEXES, NUMBERED, Sums, list, tag};
use lane::Lane;

/// A verification under way. The log may grow between its steps.
pub(crate) struct Verification {
    /// How many threads take part.
    threads: NonZeroUsize,
    /// Where the chain begins.
    base: Place,
    at: Place,
    /// The blocks after that, if they were read already.
    ahead: Option<Following>,
    heads: KnownHeads,
    counts: Counts,
    /// What each index must have.
    expected: Sums,
    /// How far the indexes were read; `None` before the chain was read to its end.
    lanes: Option<[Lane; 2]>,
    /// The entries that the indexes of single entries are verified for, and those whose listings are stored.
    through: u64,
    listed: u64,
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
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let mut heads = KnownHeads::new(Vec::new())?;
        heads.passes(base)?;
        Ok(Self {
            threads,
            base,
            at: base,
            ahead: None,
            heads,
            counts: Counts::default(),
            expected: Sums::NOTHING,
            lanes: None,
            through: 0,
            listed: 0,
            is_done: false,
        })
    }

    /// Goes on with one thread, so that the rest of the worker has the other processors.
    pub(super) fn gently(self) -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            ..self
        }
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

    /// Goes on by about as many entries, or as many keys of indexes.
    pub(crate) fn step(&mut self, store: &Store, entries: u64) -> Result<Progress, StoreError> {
        if store.meta().base != self.base {
            // Old entries were dropped meanwhile.
            *self = Self {
                threads: self.threads,
                ..Self::of(store)?
            };
        }
        if self.lanes.is_none() {
            self.read_entries(store, entries)?;
            if self.at.number >= store.meta().entries {
                self.through = self.at.number;
                self.leave_out_growing(store)?;
                self.lanes = Some(Lane::all());
            }
        } else if !self.is_done {
            self.read_indexes(store, entries)?;
        }
        Ok(Progress {
            entries: store.meta().entries,
            is_done: self.is_done,
        })
    }

    fn read_entries(&mut self, store: &Store, entries: u64) -> Result<(), StoreError> {
        let until = self.at.number.saturating_add(entries);
        let mut blocks = match self.ahead.take() {
            Some(ahead) => ahead,
            None => Following::read(store, self.at)?,
        };
        while self.at.number < until {
            if blocks.blocks.is_empty() {
                return self.end_of_entries(store, blocks.found);
            }
            let (verified, next) = block::verify_all(&blocks.blocks, self.threads, || {
                Following::read(store, blocks.last)
            });
            for verified in verified {
                self.add(verified?)?;
            }
            blocks = next?;
        }
        // Where there was nothing yet, something may be by then.
        self.ahead = (!blocks.blocks.is_empty()).then_some(blocks);
        Ok(())
    }

    /// There are no more blocks, but perhaps one that begins with the entry `found`: the last entry must be the one that the
    /// log says is the last.
    fn end_of_entries(&self, store: &Store, found: Option<u64>) -> Result<(), StoreError> {
        let meta = store.meta();
        if let Some(next) = found {
            return Err(self.fault(format!("it is missing; the next one there is {next}")));
        }
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

    /// Goes on to the end of a block that is as it was written.
    fn add(&mut self, block: Verified) -> Result<(), StoreError> {
        let mut signed = block.signed.into_iter().peekable();
        for place in block.places {
            self.heads.passes(place)?;
            self.at = place;
            while let Some((head, number)) = signed.next_if(|(_, number)| *number == place.number) {
                self.heads.recorded(&head, number)?;
            }
        }
        self.expected.plus(&block.sums);
        self.counts.add_all(block.counts);
        Ok(())
    }

    /// Leaves out what the segment that grows lists: it is not stored yet, or will be while the indexes are read.
    fn leave_out_growing(&mut self, store: &Store) -> Result<(), StoreError> {
        self.listed = store.meta().listed;
        for (key, listing) in store.segment().listings() {
            let index = (NUMBERED..INDEXES).find(|index| key.first() == Some(&tag(*index)));
            let Some(index) = index else { continue };
            list(index, key, listing.as_bytes(), |number, place| {
                self.expected.remove(index, number, place);
            })?;
        }
        Ok(())
    }

    fn read_indexes(&mut self, store: &Store, entries: u64) -> Result<(), StoreError> {
        let Some(mut lanes) = self.lanes.take() else {
            return Ok(());
        };
        if lanes.iter().all(Lane::is_over) {
            self.lanes = Some(lanes);
            return self.end(store);
        }
        let bounds = lane::Bounds {
            base: self.base.number,
            through: self.through,
            listed: self.listed,
            expected: &self.expected,
        };
        let parallel = self.threads > NonZeroUsize::MIN;
        let stepped = lane::step_all(&mut lanes, store, bounds, entries, parallel);
        self.lanes = Some(lanes);
        stepped
    }

    /// Compares what there is once of all entries.
    fn end(&mut self, store: &Store) -> Result<(), StoreError> {
        // Without a pause in between, so that they are counts of the same entries.
        self.read_entries(store, u64::MAX)?;
        self.verify_counts(store)?;
        verify_segments(store)?;
        if self.base.number > 0 && self.heads.fitting() == 0 {
            let message =
                "no signed head vouches for where it begins, as older entries were dropped";
            return Err(self.fault(message.to_owned()));
        }
        self.is_done = true;
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
        if expected.next().is_some() || self.expected.of(0).count != store.meta().settled {
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

/// The segments whose listings are stored must follow each other, from where the log begins.
fn verify_segments(store: &Store) -> Result<(), StoreError> {
    let meta = store.meta();
    let mut last = meta.base.number;
    for item in store.db.range(keys::segment(0)..=keys::segment(u64::MAX)) {
        let (key, value) = item?;
        let (first, end) = (keys::last_number(&key).unwrap_or(0), parse_number(&value)?);
        if end <= meta.base.number {
            continue; // Dropped, and not removed yet.
        }
        let is_next = first == last + 1 || (last == meta.base.number && first <= last);
        if !is_next || end < first {
            return Err(StoreError::Damaged(format!(
                "segment {first} is not the next"
            )));
        }
        last = end;
    }
    if last != meta.listed {
        return Err(StoreError::Damaged("a segment is missing".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::block::Block;
    use super::super::keys::Index;
    use super::super::span::Span;
    use super::super::store::tests::entries;
    use super::*;
    use proptest::prelude::*;
    use stormhook_shared::audit::entry::LogEntry;
    use stormhook_shared::audit::head::SigningKey;
    use stormhook_shared::domain::ids::Revision;
    use stormhook_shared::domain::time::Timestamp;

    /// Every bit would take long: one of each byte.
    #[test]
    fn a_bit_that_was_flipped_anywhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(1), &entries(10)).unwrap();
        store.append(Revision(2), &entries(20)[10..]).unwrap();
        store.end_segment().unwrap();
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
        store.db.insert(added, &[0, 7, 0, 1]).unwrap();
        assert!(store.verify().is_err(), "index key added");
        store.db.remove(Index::sequence().key(7, 1)).unwrap();
        let early = Index::sequence().key(0, 21);
        store.db.insert(&early, &[0, 7, 0, 1]).unwrap();
        assert!(
            store.verify().is_err(),
            "listing of the segment that grows added"
        );
        store.db.remove(early).unwrap();
        store.verify().unwrap();
        // A block that fits in itself, but says that its triggers were accepted at another time.
        let key = keys::block(1);
        let mut block = Block::decode(&store.db.get(&key).unwrap().unwrap()).unwrap();
        block.accepted = Span::NOTHING;
        store.db.insert(key, block.encode()).unwrap();
        assert!(store.verify().is_err(), "another time");
    }

    #[test]
    fn a_log_that_grows_and_loses_its_oldest_entries_meanwhile_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let mut revision = 0;
        let mut append = |store: &mut Store, entries: &[LogEntry]| {
            revision += 1;
            store.append(Revision(revision), entries).unwrap();
            let Place { number, hash } = store.meta().last();
            let head = key.sign(number, hash, Timestamp::from_millis(0));
            revision += 1;
            let signed = [LogEntry::Signed { head }];
            store.append(Revision(revision), &signed).unwrap();
        };
        let entries = entries(6_000);
        let mut chunks = entries.chunks(150);
        for chunk in chunks.by_ref().take(20) {
            append(&mut store, chunk);
        }
        for threads in [NonZeroUsize::MIN, NonZeroUsize::new(3).unwrap()] {
            let mut verification = Verification::of(&store).unwrap();
            verification.threads = threads;
            let mut steps = 0;
            while !verification.step(&store, 300).unwrap().is_done {
                steps += 1;
                if steps % 3 == 0
                    && let Some(chunk) = chunks.next()
                {
                    append(&mut store, chunk);
                }
                if steps % 7 == 0 {
                    store.end_segment().unwrap();
                }
                if steps == 10 {
                    let through = store.meta().base.number + 500;
                    assert!(store.drop_oldest(through).unwrap());
                }
            }
            assert!(steps > 10, "{steps}");
        }
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
                let mut block = Block::new(place, some.to_vec(), original.accepted);
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
