//! Folds a batch: every waiting trigger of a group gets its verdict as if it were alone, one after the other,
//! and all of them together get at most one action with an absolute goal.

use std::sync::Arc;
use std::time::Duration;

use super::checks::{self, Stop};
use super::{Seen, ServiceSeen, scale_service};
use crate::domain::ids::{ReceiverId, Revision, Sequence};
use crate::domain::ledger::{Action, Draft, Drift, GroupState};
use crate::domain::outcome::{Code, TriggerFacts, Verdict};
use crate::domain::receiver::{Kind, Options, Receiver};
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
    /// was not given.
    pub drafts: Vec<Draft>,
    /// What has to be done for all of them, if anything.
    pub action: Option<Action>,
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

    /// Until when it is retried, if its first try was at `since`.
    pub fn deadline(&self, since: Timestamp) -> Timestamp {
        let deadline = self
            .receiver
            .as_ref()
            .map_or(Options::DEFAULT_DEADLINE, |receiver| {
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

    fn draft(&self, verdict: Verdict, supposes_action: bool) -> Draft {
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
    let mut view = View {
        state: state.clone(),
        seen: seen.cloned(),
        has_acted: false,
    };
    let drafts = batch
        .iter()
        .map_while(|waiting| view.decide(waiting, now))
        .collect();
    Batch {
        drafts,
        action: net_action(seen, view.seen.as_ref()),
        drift: seen.and_then(|seen| drift(state, seen)),
    }
}

/// The group and its target as the next trigger of the batch finds them.
struct View {
    state: GroupState,
    seen: Option<Seen>,
    has_acted: bool,
}

impl View {
    fn decide(&mut self, waiting: &Waiting, now: Timestamp) -> Option<Draft> {
        let receiver = waiting.receiver.as_deref();
        let wish = match checks::pass(&self.state, &waiting.trigger, receiver, now) {
            Ok(wish) => wish,
            Err(Stop::Regardless(verdict)) => return Some(waiting.draft(verdict, false)),
            Err(Stop::AfterAction(verdict)) => {
                return Some(waiting.draft(verdict, self.has_acted));
            }
        };
        let verdict = match (
            self.seen.as_mut()?,
            receiver.map(|receiver| (receiver, &receiver.kind)),
        ) {
            (Seen::Unreadable(verdict), _) => verdict.clone(),
            (Seen::Gone { reason }, _) => Verdict::new(Code::ServiceRemoved, reason.clone()),
            (Seen::Unsupported { reason }, _) => Verdict::new(Code::Unsupported, reason.clone()),
            (Seen::Service(service), Some((receiver, Kind::ScaleService(config)))) => {
                let verdict =
                    scale_service::decide(config, receiver.options.on_limit, wish, service);
                if let (Code::Scaled, Some(to)) = (verdict.code, verdict.to) {
                    service.scale = to;
                    self.has_acted = true;
                    self.state.note_action(receiver.id, now, Some(to));
                }
                verdict
            }
            (Seen::Service(_), None) => return None,
        };
        Some(waiting.draft(verdict, self.has_acted))
    }
}

fn net_action(before: Option<&Seen>, after: Option<&Seen>) -> Option<Action> {
    match (before?, after?) {
        (Seen::Service(before), Seen::Service(after)) if before.scale != after.scale => {
            let ServiceSeen {
                id,
                name,
                scale,
                version,
            } = before.clone();
            Some(Action::ScaleService {
                service_id: id,
                name,
                from: scale,
                to: after.scale,
                version,
            })
        }
        _ => None,
    }
}

fn drift(state: &GroupState, seen: &Seen) -> Option<Drift> {
    match (state.scale, seen) {
        (Some(left), Seen::Service(service)) if left != service.scale => Some(Drift {
            left,
            found: service.scale,
        }),
        _ => None,
    }
}
