//! The walk through indexes, by the triggers' places in their log, whatever order they were settled in. Triggers that
//! are in several indexes are found by leaping from one index to the next, so that the entries of others are not read.

use std::ops::RangeInclusive;

use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::ports::questions::Order;

use super::keys::{self, Bucket, Index};
use super::listing;
use super::store::StoreError;

/// A trigger's place and the number of its entry.
pub(super) type Found = (Sequence, u64);

/// The triggers that are in each of some indexes, in order.
pub(super) struct Walk {
    indexes: Vec<Listings>,
}

impl Walk {
    /// Walks through what all of `indexes` (at least one) have within `range`.
    pub(super) fn new(
        db: &sled::Db,
        indexes: Vec<Index>,
        range: &RangeInclusive<Sequence>,
        order: Order,
    ) -> Self {
        let listings = |index| Listings::new(db.clone(), index, range.clone(), order);
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

impl Iterator for Walk {
    type Item = Result<Found, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.leap().transpose()
    }
}

/// The triggers of one index, in order.
struct Listings {
    db: sled::Db,
    index: Index,
    range: RangeInclusive<Sequence>,
    order: Order,
    iter: sled::Iter,
    /// Of the bucket that is being told, the last to be told first.
    bucket: Vec<Found>,
    /// The first listing of the next bucket.
    next: Option<(Bucket, Vec<Found>)>,
}

impl Listings {
    fn new(db: sled::Db, index: Index, range: RangeInclusive<Sequence>, order: Order) -> Self {
        let iter = listings(&db, &index, &range);
        Self {
            db,
            index,
            range,
            order,
            iter,
            bucket: Vec::new(),
            next: None,
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
        let leads_there = match (&self.next, order) {
            (_, _) if !self.bucket.is_empty() => true,
            (Some((next, _)), Order::NewestFirst) => *next <= wanted,
            (Some((next, _)), Order::OldestFirst) => *next >= wanted,
            (None, _) => false,
        };
        if !leads_there {
            self.next = None;
            self.iter = listings(&self.db, &self.index, &self.range);
        }
    }

    /// Gathers the next bucket. `false`: there is none.
    fn gather(&mut self) -> Result<bool, StoreError> {
        let mut gathered = self.next.take();
        loop {
            let listing = match self.order {
                Order::NewestFirst => self.iter.next_back(),
                Order::OldestFirst => self.iter.next(),
            };
            let Some(listing) = listing else { break };
            let (key, bytes) = listing?;
            let (bucket, triggers) = listing::read(&key, &bytes)?;
            match &mut gathered {
                Some((this, gathered)) if *this == bucket => gathered.extend(triggers),
                None => gathered = Some((bucket, triggers)),
                Some(_) => {
                    self.next = Some((bucket, triggers));
                    break;
                }
            }
        }
        let Some((_, mut triggers)) = gathered else {
            return Ok(false);
        };
        triggers.retain(|(sequence, _)| self.range.contains(sequence));
        triggers.sort_unstable();
        if self.order == Order::OldestFirst {
            triggers.reverse();
        }
        self.bucket = triggers;
        Ok(true)
    }
}

fn listings(db: &sled::Db, index: &Index, range: &RangeInclusive<Sequence>) -> sled::Iter {
    let first = index.key(keys::bucket(*range.start()), 0);
    let last = index.key(keys::bucket(*range.end()), u64::MAX);
    // A range that ends before it begins has nothing; sled would panic on it.
    if first > last {
        return db.range(first.clone()..first);
    }
    db.range(first..=last)
}
