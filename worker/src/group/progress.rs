//! What the groups of this worker wait for just now, for people who ask. Nothing is decided from it, and other workers
//! do not know it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stormhook_shared::domain::group::GroupKey;

/// What each group that is held up waits for.
#[derive(Default)]
pub(crate) struct Progress(Mutex<HashMap<GroupKey, String>>);

impl Progress {
    /// `group` waits for this now.
    pub(crate) fn tell(&self, group: &GroupKey, waits_for: impl Into<String>) {
        self.groups().insert(group.clone(), waits_for.into());
    }

    /// `group` goes on.
    pub(crate) fn forget(&self, group: &GroupKey) {
        self.groups().remove(group);
    }

    /// What `group` waits for, if it is held up in this worker.
    pub(crate) fn of(&self, group: &GroupKey) -> Option<String> {
        self.groups().get(group).cloned()
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<GroupKey, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
