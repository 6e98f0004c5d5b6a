//! Stretches of the log whose listings are stored together: there are far fewer keys than if each block had its own, and each
//! key costs some hundred bytes of writing, whatever it leads to.

use std::collections::BTreeMap;

use stormhook_shared::audit::entry::LogEntry;

use super::block::Block;
use super::indexing::indexes;
use super::keys;
use super::listing::Listing;
use super::lookup::entry;
use super::store::{Meta, Store, StoreError};

/// How many listings are written at once: sled keeps a copy of a page for each of them meanwhile.
pub(super) const LISTINGS: usize = 256;

/// A segment. While it grows, its listings are in memory.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The number of its first entry.
    first: u64,
    /// The number of its last entry.
    last: u64,
    /// By their keys.
    listings: BTreeMap<Vec<u8>, Listing>,
}

impl Segment {
    /// How many entries it has at least, before its listings are stored.
    const FULL: u64 = 8_192;

    /// The segment after entry `number`, which has nothing yet.
    pub(super) fn after(number: u64) -> Self {
        Self {
            first: number + 1,
            last: number,
            listings: BTreeMap::new(),
        }
    }

    /// The segment after entry `listed`, made of its blocks. What cannot be read is for the verification to name.
    pub(super) fn read(db: &sled::Db, listed: u64) -> Result<Self, StoreError> {
        let mut segment = Self::after(listed);
        for item in db.range(keys::block(listed + 1)..vec![keys::BLOCK + 1]) {
            let (key, value) = item?;
            let first = keys::last_number(&key);
            let (Some(first), Some(block)) = (first, Block::decode(&value)) else {
                break;
            };
            let entries = block.entries.iter().map(|bytes| entry(bytes));
            let Ok(entries) = entries.collect::<Result<Vec<_>, _>>() else {
                break;
            };
            segment.add(first, &entries);
        }
        Ok(segment)
    }

    /// The number of its first entry.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of its last entry.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether it is full with `more` entries.
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        self.last + 1 - self.first + more as u64 >= Self::FULL
    }

    /// The listings by their keys.
    pub(super) fn listings(&self) -> &BTreeMap<Vec<u8>, Listing> {
        &self.listings
    }

    /// Adds a block, of which the first entry has the number `first`.
    pub(super) fn add(&mut self, first: u64, entries: &[LogEntry]) {
        for (number, entry) in (first..).zip(entries) {
            self.last = number;
            let LogEntry::Settled { group, outcome, .. } = entry else {
                continue;
            };
            let sequence = outcome.trigger.sequence;
            // A block more than full at most.
            let offset = u16::try_from(number - self.first).unwrap_or(u16::MAX);
            for index in indexes(group, outcome) {
                let key = index.key(keys::bucket(sequence), self.first);
                self.listings.entry(key).or_default().add(sequence, offset);
            }
        }
    }
}

impl Store {
    /// Stores the listings of the segment that grows, and begins the next one. In several steps: the log says before that
    /// the segment ends here, so that the steps are made again, and not others, if the process dies meanwhile.
    pub(super) fn end_segment(&mut self) -> Result<(), StoreError> {
        if !self.meta.is_ending {
            let meta = Meta {
                is_ending: true,
                ..self.meta
            };
            self.commit(sled::Batch::default(), meta)?;
        }
        let listings: Vec<_> = self.segment.listings().iter().collect();
        let mut bytes = 0;
        for some in listings.chunks(LISTINGS) {
            let mut batch = sled::Batch::default();
            for (key, listing) in some {
                bytes += key.len() + listing.as_bytes().len();
                batch.insert(key.as_slice(), listing.as_bytes());
            }
            self.db.apply_batch(batch)?;
        }
        let mut batch = sled::Batch::default();
        let last = self.segment.last();
        batch.insert(
            keys::segment(self.segment.first()),
            last.to_be_bytes().to_vec(),
        );
        let meta = Meta {
            listed: last,
            is_ending: false,
            bytes: self.meta.bytes + bytes as u64,
            ..self.meta
        };
        self.commit(batch, meta)?;
        self.segment = Segment::after(last);
        Ok(())
    }
}
