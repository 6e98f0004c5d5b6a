//! How many bytes of triggers a worker has in memory, over all groups: those that wait, and those that are being settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use stormhook_shared::domain::trigger::Logged;
use tokio::sync::Notify;

/// What a trigger takes beside its body, roughly.
const HEAD_BYTES: usize = 600;
/// What a trigger is assumed to take that is not read yet.
const USUAL_BYTES: usize = 1_200;
/// How many triggers wait by their places, over all groups: eight bytes each.
const MOST_PLACES: usize = 4_000_000;
/// How many triggers can be read at once even when there is no room.
const FEWEST: usize = 8;
/// How long to wait for room before nothing is expected to be settled soon.
const PATIENCE: Duration = Duration::from_millis(100);

/// The room there is.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
    places: AtomicUsize,
    /// Nothing was given back for a while, as a platform is down or slow.
    is_stuck: AtomicBool,
    given_back: Notify,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// Room for `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes),
            places: AtomicUsize::new(MOST_PLACES),
            is_stuck: AtomicBool::new(false),
            given_back: Notify::new(),
        }
    }

    /// Takes `bytes`, if there are as many.
    pub(super) fn take(&self, bytes: usize) -> bool {
        take(&self.left, bytes)
    }

    /// Takes the room for a place, if there is some.
    pub(super) fn take_place(&self) -> bool {
        take(&self.places, 1)
    }

    /// Gives back the room for so many places.
    pub(super) fn give_back_places(&self, count: usize) {
        self.places.fetch_add(count, Ordering::Relaxed);
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
        self.is_stuck.store(false, Ordering::Relaxed);
        self.given_back.notify_waiters();
    }

    /// Keeps what was taken until the returned hold is dropped.
    pub(super) fn keep(self: &Arc<Self>, bytes: usize) -> Hold {
        Hold {
            budget: Arc::clone(self),
            bytes,
        }
    }

    /// Room to read some triggers from the log, at most `most`: how many.
    pub(super) fn reserve(self: &Arc<Self>, most: usize) -> (usize, Hold) {
        let mut count = most;
        while count > FEWEST && !self.take(count * USUAL_BYTES) {
            count = (count / 2).max(FEWEST);
        }
        let is_taken = count > FEWEST;
        (
            count,
            self.keep(if is_taken { count * USUAL_BYTES } else { 0 }),
        )
    }

    /// Returns once there is room for another trigger, or when there will be none soon.
    pub(crate) async fn room(&self) {
        loop {
            let given_back = self.given_back.notified();
            let has_room = self.left.load(Ordering::Relaxed) >= USUAL_BYTES;
            if has_room || self.is_stuck.load(Ordering::Relaxed) {
                return;
            }
            if tokio::time::timeout(PATIENCE, given_back).await.is_err() {
                self.is_stuck.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

fn take(left: &AtomicUsize, count: usize) -> bool {
    let less = |left: usize| left.checked_sub(count);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

/// What a trigger takes.
pub(super) fn weight(logged: &Logged) -> usize {
    HEAD_BYTES + logged.trigger.body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn room_comes_with_what_is_given_back_or_is_not_waited_for_long() {
        let budget = Arc::new(Budget::new(USUAL_BYTES));
        budget.room().await;
        assert!(budget.take(USUAL_BYTES));
        let hold = budget.keep(USUAL_BYTES);
        budget.room().await;
        assert!(budget.is_stuck.load(Ordering::Relaxed));
        drop(hold);
        assert!(!budget.is_stuck.load(Ordering::Relaxed));
        budget.room().await;
        assert!(budget.take(USUAL_BYTES));
    }

    #[test]
    fn some_can_be_read_always() {
        let budget = Arc::new(Budget::new(100 * USUAL_BYTES));
        let (count, hold) = budget.reserve(160);
        assert_eq!(count, 80);
        assert_eq!(budget.reserve(160).0, 20);
        drop(hold);
        let held: Vec<_> = (0..10).map(|_| budget.reserve(64)).collect();
        assert_eq!(held.last().map(|(count, _)| *count), Some(FEWEST));
    }
}
