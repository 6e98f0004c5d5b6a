//! The triggers of one group that wait in memory. Bounded: what does not fit is dropped and read again from
//! the log by the group's name, so that a storm on one group costs neither memory nor other groups' time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::trigger::Logged;
use tokio::sync::Notify;

/// How many triggers of one group wait in memory.
const MOST_WAITING: usize = 2_000;
/// What a waiting trigger takes beside its body, roughly.
const HEAD_BYTES: usize = 600;

/// How many bytes of triggers wait in memory, over all groups of a worker.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// `bytes` may wait.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes),
        }
    }

    fn take(&self, bytes: usize) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

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
    /// Up to here the executor has taken everything.
    taken: Sequence,
    /// Up to here everything is settled.
    settled: Sequence,
    /// The newest trigger there is.
    newest: Sequence,
    /// Triggers were dropped from memory: what follows `taken` must be read from the log.
    has_overflowed: bool,
}

/// What an executor gets when it asks for triggers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// These.
    Triggers(Vec<Logged>),
    /// None from memory: read those after this place from the log.
    ReadAfter(Sequence),
    /// There are none.
    Nothing,
}

impl GroupQueue {
    /// The queue of a group that is settled up to `settled`.
    pub(crate) fn new(settled: Sequence, budget: Arc<Budget>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
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
        let fits = !inner.has_overflowed
            && inner.waiting.len() < MOST_WAITING
            && self.budget.take(weight(&logged));
        if fits {
            inner.waiting.push_back(logged);
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
            self.budget.give_back(triggers.iter().map(weight).sum());
            if let Some(last) = triggers.last() {
                inner.taken = last.sequence;
            }
            Taken::Triggers(triggers)
        } else if inner.has_overflowed {
            Taken::ReadAfter(inner.taken)
        } else {
            Taken::Nothing
        }
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
        let bytes = self.lock().waiting.iter().map(weight).sum();
        self.budget.give_back(bytes);
    }
}

fn weight(logged: &Logged) -> usize {
    HEAD_BYTES + logged.trigger.body.len()
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
        let expected = (1..=3).map(logged).collect();
        assert_eq!(queue.take(10), Taken::Triggers(expected));
    }

    #[test]
    fn what_was_read_from_the_log_before_the_partitions_reader_came_there_lags_until_it_is_settled()
    {
        let queue = GroupQueue::new(Sequence(0), Arc::new(Budget::new(1_000)));
        queue.overflow_up_to(Sequence(1));
        assert_eq!(queue.take(10), Taken::ReadAfter(Sequence(0)));
        queue.read_from_log(Sequence(2), true);
        queue.settle(Sequence(1));
        assert_eq!(queue.lag(), Some(Sequence(1)));
        queue.settle(Sequence(2));
        assert_eq!(queue.lag(), None);
        assert_eq!(queue.take(10), Taken::Nothing);
    }
}
