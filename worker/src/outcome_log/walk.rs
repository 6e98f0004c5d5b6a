//! The walk through indexes, by the triggers' places in their log, whatever order they were settled in. Triggers that
//! are in several indexes are found by leaping from one index to the next, so that the entries of others are not read.

use std::iter::Peekable;
use std::ops::{Bound, RangeInclusive};

use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::ports::questions::Order;

use super::keys::{self, Bucket, Index};
use super::listing;
use super::store::{Store, StoreError};

/// A trigger's place and the number of its entry.
pub(super) type Found = (Sequence, u64);

/// What one key of an index lists.
type Listed = (Bucket, Vec<Found>);

/// The triggers that are in each of some indexes, in order.
pub(super) struct Walk<'a> {
    indexes: Vec<Listings<'a>>,
}

impl<'a> Walk<'a> {
    /// Walks through what all of `indexes` (at least one) have within `range`.
    pub(super) fn new(
        store: &'a Store,
        indexes: Vec<Index>,
        range: &RangeInclusive<Sequence>,
        order: Order,
    ) -> Self {
        let listings = |index| Listings::new(store, index, range.clone(), order);
        Self {
            indexes: indexes.into_iter().map(listings).collect(),
        }
    }

    /// Goes on to the next trigger that all have.
    fn leap(&mut self) -> Result<Option<Found>, StoreError> {
        let Some((first, others)) = self.indexes.split_first_mut() else {
            return Ok(None);
        };
        let mut candidate = first.take()?;
        'candidates: while let Some(found) = candidate {
            for other in &mut *others {
                other.skip_to(found.0);
                let Some(theirs) = other.look()? else {
                    return Ok(None);
                };
                if theirs.0 != found.0 {
                    first.skip_to(theirs.0);
                    candidate = first.take()?;
                    continue 'candidates;
                }
            }
            return Ok(Some(found));
        }
        Ok(None)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Found, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.leap().transpose()
    }
}

/// The triggers of one index, in order.
struct Listings<'a> {
    store: &'a Store,
    index: Index,
    range: RangeInclusive<Sequence>,
    order: Order,
    /// Listings that are stored, and those of the segment that grows.
    sources: [Source<'a>; 2],
    /// Of the bucket that is being told, the last to be told first.
    bucket: Vec<Found>,
}

/// Listings in order.
type Source<'a> = Peekable<Box<dyn Iterator<Item = Result<Listed, StoreError>> + 'a>>;

impl<'a> Listings<'a> {
    fn new(store: &'a Store, index: Index, range: RangeInclusive<Sequence>, order: Order) -> Self {
        Self {
            sources: sources(store, &index, &range, order),
            store,
            index,
            range,
            order,
            bucket: Vec::new(),
        }
    }

    /// The next trigger, which stays the next.
    fn look(&mut self) -> Result<Option<Found>, StoreError> {
        while self.bucket.is_empty() {
            if !self.gather()? {
                return Ok(None);
            }
        }
        Ok(self.bucket.last().copied())
    }

    /// The next trigger.
    fn take(&mut self) -> Result<Option<Found>, StoreError> {
        self.look()?;
        Ok(self.bucket.pop())
    }

    /// Passes over what comes before `target`.
    fn skip_to(&mut self, target: Sequence) {
        let order = self.order;
        let is_before = |sequence: Sequence| match order {
            Order::NewestFirst => sequence > target,
            Order::OldestFirst => sequence < target,
        };
        self.range = match order {
            Order::NewestFirst => *self.range.start()..=target.min(*self.range.end()),
            Order::OldestFirst => target.max(*self.range.start())..=*self.range.end(),
        };
        while self.bucket.last().is_some_and(|(at, _)| is_before(*at)) {
            self.bucket.pop();
        }
        let wanted = keys::bucket(target);
        let leads_there = !self.bucket.is_empty()
            || match (self.next_bucket(), order) {
                (Some(next), Order::NewestFirst) => next <= wanted,
                (Some(next), Order::OldestFirst) => next >= wanted,
                (None, _) => false,
            };
        if !leads_there {
            self.sources = sources(self.store, &self.index, &self.range, order);
        }
    }

    /// The bucket that comes next, as far as it can be read.
    fn next_bucket(&mut self) -> Option<Bucket> {
        let next = self
            .sources
            .iter_mut()
            .filter_map(|source| match source.peek() {
                Some(Ok((bucket, _))) => Some(*bucket),
                _ => None,
            });
        match self.order {
            Order::NewestFirst => next.max(),
            Order::OldestFirst => next.min(),
        }
    }

    /// Gathers the next bucket. `false`: there is none.
    fn gather(&mut self) -> Result<bool, StoreError> {
        let next = self.next_bucket();
        let mut triggers = Vec::new();
        for source in &mut self.sources {
            while let Some(listed) = source.next_if(|listed| match listed {
                Ok((bucket, _)) => Some(*bucket) == next,
                Err(_) => true,
            }) {
                triggers.extend(listed?.1);
            }
        }
        let base = self.store.meta().base.number;
        triggers.retain(|(sequence, number)| self.range.contains(sequence) && *number > base);
        triggers.sort_unstable();
        if self.order == Order::OldestFirst {
            triggers.reverse();
        }
        self.bucket = triggers;
        Ok(next.is_some())
    }
}

fn sources<'a>(
    store: &'a Store,
    index: &Index,
    range: &RangeInclusive<Sequence>,
    order: Order,
) -> [Source<'a>; 2] {
    let first = index.key(keys::bucket(*range.start()), 0);
    let last = index.key(keys::bucket(*range.end()), u64::MAX);
    // A range that ends before it begins has nothing; maps panic on it.
    let end = if first > last {
        Bound::Excluded(first.clone())
    } else {
        Bound::Included(last)
    };
    let keys = (Bound::Included(first), end);
    let growing = store.segment().listings().range(keys.clone());
    let growing = growing.map(|(key, listing)| listing::read(key, listing.as_bytes()));
    let stored = store.db.range(keys).map(|item| {
        let (key, bytes) = item?;
        listing::read(&key, &bytes)
    });
    [in_order(stored, order), in_order(growing, order)]
}

fn in_order<'a>(
    listings: impl DoubleEndedIterator<Item = Result<Listed, StoreError>> + 'a,
    order: Order,
) -> Source<'a> {
    let listings: Box<dyn Iterator<Item = _> + 'a> = match order {
        Order::NewestFirst => Box::new(listings.rev()),
        Order::OldestFirst => Box::new(listings),
    };
    listings.peekable()
}
