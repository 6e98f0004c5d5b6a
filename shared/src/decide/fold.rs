//! Folds a batch: every waiting trigger of a group gets its verdict as if it were alone, one after the other,
//! and all of them together get at most one action with an absolute goal.

use std::sync::Arc;
use std::time::Duration;

use super::Seen;
use super::view::View;
use crate::domain::ids::{ReceiverId, Revision, Sequence};
use crate::domain::kind::Kind;
use crate::domain::ledger::{Action, Draft, Drift, GroupState};
use crate::domain::outcome::{TriggerFacts, Verdict};
use crate::domain::receiver::Receiver;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Logged, Trigger};

/// However late a trigger is taken up, it is tried for this long, or for its deadline if that is shorter: a
/// backlog that waited for a worker is not failed unseen.
const LEAST_TRYING: Duration = Duration::from_secs(30);

/// A trigger that waits for its verdict, with the receiver as it is now.
#[derive(Debug, Clone)]
pub struct Waiting {
    facts: TriggerFacts,
    trigger: Trigger,
    receiver: Option<Arc<Receiver>>,
}

/// What a batch comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// One for each trigger, in their order; fewer if the next one needs what the platform reports, and that
    /// was not given, if it has to wait, or if it needs another action.
    pub drafts: Vec<Draft>,
    /// What has to be done for all of them, if anything.
    pub action: Option<Action>,
    /// Until when the next trigger has to wait; more may come before then.
    pub wait_until: Option<Timestamp>,
    /// What somebody else had changed since the group's last action.
    pub drift: Option<Drift>,
}

impl Waiting {
    /// `logged`, to be decided under `receiver`; `None` where it was deleted.
    pub fn new(logged: Logged, receiver: Option<Arc<Receiver>>) -> Self {
        Self {
            facts: TriggerFacts::of(&logged),
            trigger: logged.trigger,
            receiver,
        }
    }

    /// A trigger of which `facts` were recorded, to be decided under `receiver`.
    pub(crate) fn recorded(facts: TriggerFacts, trigger: Trigger, receiver: Arc<Receiver>) -> Self {
        Self {
            facts,
            trigger,
            receiver: Some(receiver),
        }
    }

    /// Until when it is retried, if its first try was at `since`.
    pub fn deadline(&self, since: Timestamp) -> Timestamp {
        let deadline = self
            .receiver
            .as_ref()
            .map_or(Kind::default_deadline(self.trigger.driver), |receiver| {
                receiver.options.deadline
            });
        let by_age = self.trigger.accepted_at.plus(deadline);
        by_age.max(since.plus(deadline.min(LEAST_TRYING)))
    }

    /// The same trigger, to be decided under `receiver` as it is now.
    pub fn decide_under(&mut self, receiver: Option<Arc<Receiver>>) {
        self.receiver = receiver;
    }

    /// Its place in the log.
    pub fn sequence(&self) -> Sequence {
        self.facts.sequence
    }

    /// Whose it is.
    pub fn receiver_id(&self) -> ReceiverId {
        self.trigger.receiver_id
    }

    /// The registry that it must be decided under, or a later one.
    pub fn registry_revision(&self) -> Revision {
        self.trigger.registry_revision
    }

    /// The receiver that it is decided under.
    pub(super) fn receiver(&self) -> Option<&Receiver> {
        self.receiver.as_deref()
    }

    /// The trigger.
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    pub(super) fn draft(&self, verdict: Verdict, supposes_action: bool) -> Draft {
        Draft {
            trigger: self.facts.clone(),
            receiver_revision: self.receiver.as_ref().map(|receiver| receiver.revision),
            verdict,
            supposes_action,
        }
    }
}

/// Decides `batch` for a group in `state`, whose platform reports `seen`, at `now`. Without `seen`, it stops at
/// the first trigger that needs it.
pub fn fold(state: &GroupState, seen: Option<&Seen>, batch: &[Waiting], now: Timestamp) -> Batch {
    let mut view = View::new(state, seen);
    let mut drafts = Vec::with_capacity(batch.len());
    for (place, waiting) in batch.iter().enumerate() {
        let later = batch.get(place + 1..).unwrap_or_default();
        match view.decide(waiting, later, now) {
            Some(draft) => drafts.push(draft),
            None => break,
        }
    }
    Batch {
        drafts,
        action: view.action(),
        wait_until: view.wait_until(),
        drift: seen.and_then(|seen| drift(state, seen)),
    }
}

fn drift(state: &GroupState, seen: &Seen) -> Option<Drift> {
    let found = match seen {
        Seen::Service(service) => service.scale,
        Seen::Hosts(hosts) => u32::try_from(hosts.hosts.len()).unwrap_or(u32::MAX),
        _ => return None,
    };
    let left = state.scale.filter(|left| *left != found)?;
    Some(Drift { left, found })
}
