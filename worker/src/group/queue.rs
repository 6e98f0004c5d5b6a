//! The triggers of one group that wait. What does not fit in memory waits by its place in the log only, so that a storm on
//! one group costs neither memory nor other groups' time; and where even the places are too many, the group's part of
//! the log is read again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::trigger::Logged;
use tokio::sync::Notify;

use super::budget::{Budget, Hold, weight};

/// How many triggers of one group wait in memory.
const MOST_WAITING: usize = 2_000;

/// The triggers of one group between the partition's reader and the group's executor.
#[derive(Debug)]
pub(crate) struct GroupQueue {
    inner: Mutex<Inner>,
    pushed: Notify,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Logged>,
    /// Where those stand that come after them.
    places: VecDeque<Sequence>,
    /// Up to here the executor has taken everything.
    taken: Sequence,
    /// Up to here everything is settled.
    settled: Sequence,
    /// The newest trigger there is.
    newest: Sequence,
    /// There are more, whose places are not known: what follows `taken` must be read from the log.
    has_overflowed: bool,
}

/// What an executor gets when it asks for triggers.
#[derive(Debug)]
pub(crate) enum Taken {
    /// These.
    Triggers(Vec<Logged>, Hold),
    /// None from memory: read those at these places from the log.
    Places(Vec<Sequence>, Hold),
    /// None from memory: read as many after this place from the log.
    ReadAfter(Sequence, usize, Hold),
    /// There are none.
    Nothing,
}

impl GroupQueue {
    /// The queue of a group that is settled up to `settled`.
    pub(crate) fn new(settled: Sequence, budget: Arc<Budget>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                places: VecDeque::new(),
                taken: settled,
                settled,
                newest: settled,
                has_overflowed: false,
            }),
            pushed: Notify::new(),
            budget,
        }
    }

    /// Adds the next trigger of the log, or only notes that there is one.
    pub(crate) fn push(&self, logged: Logged) {
        let mut inner = self.lock();
        if logged.sequence <= inner.newest {
            return; // It waits already, or is or was read from the log by the executor.
        }
        inner.newest = inner.newest.max(logged.sequence);
        let is_next = !inner.has_overflowed && inner.places.is_empty();
        if is_next && inner.waiting.len() < MOST_WAITING && self.budget.take(weight(&logged)) {
            inner.waiting.push_back(logged);
        } else if !inner.has_overflowed && self.budget.take_place() {
            inner.places.push_back(logged.sequence);
        } else {
            inner.has_overflowed = true;
        }
        drop(inner);
        self.pushed.notify_one();
    }

    /// Notes that the log holds triggers up to `newest` that have to be read from it.
    pub(crate) fn overflow_up_to(&self, newest: Sequence) {
        let mut inner = self.lock();
        inner.newest = inner.newest.max(newest);
        inner.has_overflowed = true;
        drop(inner);
        self.pushed.notify_one();
    }

    /// Takes at most `most` triggers.
    pub(crate) fn take(&self, most: usize) -> Taken {
        let mut inner = self.lock();
        let count = most.min(inner.waiting.len());
        if count > 0 {
            let triggers: Vec<_> = inner.waiting.drain(..count).collect();
            if let Some(last) = triggers.last() {
                inner.taken = last.sequence;
            }
            let hold = self.budget.keep(triggers.iter().map(weight).sum());
            return Taken::Triggers(triggers, hold);
        }
        let left = inner.places.len();
        if left > 0 {
            let (count, hold) = self.budget.reserve(most.min(left));
            let places: Vec<_> = inner.places.drain(..count.min(left)).collect();
            self.budget.give_back_places(places.len());
            if let Some(last) = places.last() {
                inner.taken = *last;
            }
            return Taken::Places(places, hold);
        }
        if inner.has_overflowed {
            let (count, hold) = self.budget.reserve(most);
            return Taken::ReadAfter(inner.taken, count, hold);
        }
        Taken::Nothing
    }

    /// Notes that the log was read up to `through`; `is_end` if it had no more.
    pub(crate) fn read_from_log(&self, through: Sequence, is_end: bool) {
        let mut inner = self.lock();
        inner.taken = inner.taken.max(through);
        // The partition's reader may be behind: what was read here waits all the same.
        inner.newest = inner.newest.max(through);
        if is_end && inner.newest <= inner.taken {
            inner.has_overflowed = false;
        }
    }

    /// Notes that not all was found that stands at `first` and after it: it has to be read from the log.
    pub(crate) fn read_again(&self, first: Sequence) {
        let mut inner = self.lock();
        inner.taken = Sequence(first.0.saturating_sub(1));
        inner.has_overflowed = true;
        self.budget.give_back_places(inner.places.len());
        inner.places.clear();
        let dropped = inner.waiting.drain(..).map(|logged| weight(&logged)).sum();
        self.budget.give_back(dropped);
    }

    /// Notes that everything up to `through` is settled.
    pub(crate) fn settle(&self, through: Sequence) {
        let mut inner = self.lock();
        inner.settled = inner.settled.max(through);
    }

    /// Up to where the group is settled, if it has triggers beyond that.
    pub(crate) fn lag(&self) -> Option<Sequence> {
        let inner = self.lock();
        (inner.settled < inner.newest).then_some(inner.settled)
    }

    /// Returns after the next push, at once if there was one since the last call.
    pub(crate) async fn pushed(&self) {
        self.pushed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GroupQueue {
    fn drop(&mut self) {
        let inner = self.lock();
        self.budget
            .give_back(inner.waiting.iter().map(weight).sum());
        self.budget.give_back_places(inner.places.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormhook_shared::domain::time::Timestamp;
    use stormhook_tests::contract::trigger_log::trigger;

    fn logged(sequence: u64) -> Logged {
        Logged {
            sequence: Sequence(sequence),
            trigger: trigger("g", Some(&sequence.to_string()), Timestamp::from_millis(0)),
        }
    }

    #[test]
    fn what_is_handed_out_again_waits_once() {
        let queue = GroupQueue::new(Sequence(0), Arc::new(Budget::new(10_000)));
        for sequence in [1, 2, 1, 2, 3] {
            queue.push(logged(sequence));
        }
        let expected: Vec<_> = (1..=3).map(logged).collect();
        assert!(matches!(queue.take(10), Taken::Triggers(taken, _) if taken == expected));
    }

    #[test]
    fn what_does_not_fit_waits_by_its_place_and_in_order() {
        let first = weight(&logged(1));
        let queue = GroupQueue::new(Sequence(0), Arc::new(Budget::new(first)));
        for sequence in [1, 5, 9] {
            queue.push(logged(sequence));
        }
        let Taken::Triggers(taken, hold) = queue.take(10) else {
            unreachable!("the first fits");
        };
        assert_eq!(taken, [logged(1)]);
        drop(hold);
        queue.push(logged(12));
        let places = [Sequence(5), Sequence(9)];
        assert!(matches!(queue.take(2), Taken::Places(taken, _) if taken == places));
        assert!(matches!(queue.take(2), Taken::Places(taken, _) if taken == [Sequence(12)]));
        assert!(matches!(queue.take(2), Taken::Nothing));
        queue.push(logged(13));
        assert!(matches!(queue.take(2), Taken::Triggers(taken, _) if taken == [logged(13)]));
        queue.push(logged(14));
        queue.read_again(Sequence(12));
        assert!(matches!(queue.take(2), Taken::ReadAfter(Sequence(11), ..)));
    }

    #[test]
    fn what_was_read_from_the_log_before_the_partitions_reader_came_there_lags_until_it_is_settled()
    {
        let queue = GroupQueue::new(Sequence(0), Arc::new(Budget::new(1_000)));
        queue.overflow_up_to(Sequence(1));
        assert!(matches!(queue.take(10), Taken::ReadAfter(Sequence(0), ..)));
        queue.read_from_log(Sequence(2), true);
        queue.settle(Sequence(1));
        assert_eq!(queue.lag(), Some(Sequence(1)));
        queue.settle(Sequence(2));
        assert_eq!(queue.lag(), None);
        assert!(matches!(queue.take(10), Taken::Nothing));
    }
}
