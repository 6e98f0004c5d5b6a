//! Reads some indexes, one after the other, beside those that another thread reads.

use std::thread;

use super::super::keys;
use super::super::store::{Store, StoreError};
use super::indexes::{INDEXES, NUMBERED, Sum, Sums, list, tag};

/// The entries that indexes are verified for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// The number of the last one that was dropped.
    pub(super) base: u64,
    /// That of the last one which keys of single entries lead to.
    pub(super) through: u64,
    /// That of the last one whose listing is stored.
    pub(super) listed: u64,
    /// What each index must have of them.
    pub(super) expected: &'a Sums,
}

/// Some indexes, and how far they were read.
#[derive(Debug)]
pub(super) struct Lane {
    /// Which one is being read.
    index: usize,
    /// The first that is not.
    end: usize,
    /// The last key that was read of it, if there was one.
    after: Option<Vec<u8>>,
    /// What it has up to there.
    found: Sum,
}

impl Lane {
    /// All indexes, in two lanes: the first one has a key for every trigger, and takes about as long as all others.
    pub(super) fn all() -> [Self; 2] {
        [(0, 1), (1, INDEXES)].map(|(index, end)| Self {
            index,
            end,
            after: None,
            found: Sum::NOTHING,
        })
    }

    /// Whether everything was read.
    pub(super) fn is_over(&self) -> bool {
        self.index == self.end
    }

    /// Goes on by about `most` keys.
    pub(super) fn step(
        &mut self,
        store: &Store,
        bounds: Bounds<'_>,
        most: u64,
    ) -> Result<(), StoreError> {
        if self.is_over() {
            return Ok(());
        }
        let index = self.index;
        let tag = tag(index);
        let from = match &self.after {
            None => vec![tag],
            Some(after) => [after.as_slice(), &[0]].concat(),
        };
        let meta = store.meta();
        let last = if index < NUMBERED {
            bounds.through
        } else {
            bounds.listed
        };
        let mut read = 0;
        for item in store.db.range(from..vec![tag + 1]) {
            let (key, value) = item?;
            let segment = (index >= NUMBERED).then(|| keys::listed(&key)).flatten();
            if segment.is_some_and(|(_, first)| first > meta.listed) && !meta.is_ending {
                let message = format!(
                    "index {:?} lists what is not to be listed yet",
                    char::from(tag)
                );
                return Err(StoreError::Damaged(message));
            }
            read += list(index, &key, &value, |number, place| {
                if number > bounds.base && number <= last {
                    self.found.add(number, place);
                }
            })?;
            if read >= most {
                self.after = Some(key.to_vec());
                return Ok(());
            }
        }
        if self.found != bounds.expected.of(index) {
            let message = format!("index {:?} does not fit its entries", char::from(tag));
            return Err(StoreError::Damaged(message));
        }
        self.index += 1;
        self.after = None;
        self.found = Sum::NOTHING;
        Ok(())
    }
}

/// Has both lanes go on by about `most` keys, at the same time if they are `parallel`.
pub(super) fn step_all(
    lanes: &mut [Lane; 2],
    store: &Store,
    bounds: Bounds<'_>,
    most: u64,
    parallel: bool,
) -> Result<(), StoreError> {
    let [one, two] = lanes;
    if !parallel {
        let lane = if one.is_over() { two } else { one };
        return lane.step(store, bounds, most);
    }
    thread::scope(|scope| {
        let other = scope.spawn(|| two.step(store, bounds, most));
        let stepped = one.step(store, bounds, most);
        let other = other.join();
        stepped?;
        other.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
