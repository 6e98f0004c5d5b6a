//! Decides recorded triggers one after the other, each from where the one before led.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;

use crate::decide::{Growth, HostSeen, HostsSeen, Seen, ServiceSeen, Waiting, fold};
use crate::domain::ids::ReceiverId;
use crate::domain::kind::Target;
use crate::domain::ledger::GroupState;
use crate::domain::outcome::{Code, Status, TriggerFacts, Verdict};
use crate::domain::receiver::Receiver;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;

/// A trigger with what was decided on it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What the record keeps of it.
    pub facts: TriggerFacts,
    /// The trigger.
    pub trigger: Trigger,
    /// What came of it.
    pub verdict: Verdict,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When it was settled.
    pub settled_at: Timestamp,
}

/// Where the recorded history begins.
#[derive(Debug, Clone)]
pub struct Start {
    /// What the group remembers, with the scale that it is at.
    pub state: GroupState,
    /// What the group acts upon.
    pub target: Target,
    /// Its name, for people.
    pub name: String,
    /// The receivers that act on the group, among them the changed one.
    pub receivers: BTreeMap<ReceiverId, Arc<Receiver>>,
    /// Which of them is changed.
    pub changed: ReceiverId,
}

/// The same triggers under other receivers.
#[derive(Debug)]
pub struct Rerun {
    start: Start,
    /// What the group remembers now.
    state: GroupState,
    /// The scale that the recorded history is at.
    recorded_scale: Option<u32>,
}

/// A trigger that was decided anew.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The trigger.
    pub facts: TriggerFacts,
    /// What came of it.
    pub recorded: Verdict,
    /// What would have come of it.
    pub what_if: Verdict,
    /// When.
    pub at: Timestamp,
    /// The scale afterwards, as recorded.
    pub recorded_scale: Option<u32>,
    /// The scale afterwards, as it would have been.
    pub scale: Option<u32>,
}

impl Rerun {
    /// Begins at `start`.
    pub fn new(start: Start) -> Self {
        Self {
            state: start.state.clone(),
            recorded_scale: start.state.scale,
            start,
        }
    }

    /// Decides the next trigger.
    pub fn decide(&mut self, recorded: Recorded) -> Decided {
        self.follow_others(&recorded.verdict);
        let Recorded {
            facts,
            trigger,
            verdict,
            decided_at,
            settled_at,
        } = recorded;
        let receiver = trigger.receiver_id;
        let what_if = if self.is_kept(&trigger, &verdict) {
            verdict.clone()
        } else {
            match self.start.receivers.get(&receiver) {
                Some(receiver) => {
                    let receiver = Arc::clone(receiver);
                    self.anew(receiver, facts.clone(), trigger, &verdict, decided_at)
                }
                None => self.same_step(&verdict),
            }
        };
        let has_acted = |verdict: &Verdict| verdict.code.status() == Status::Succeeded;
        let at = if has_acted(&verdict) {
            settled_at
        } else {
            decided_at
        };
        if has_acted(&what_if) {
            self.state.note_action(receiver, at, what_if.to);
        }
        if has_acted(&verdict) {
            self.recorded_scale = verdict.to.or(self.recorded_scale);
        }
        Decided {
            facts,
            recorded: verdict,
            what_if,
            at,
            recorded_scale: self.recorded_scale,
            scale: self.state.scale,
        }
    }

    /// What somebody else set the scale to, they would have set it to all the same.
    fn follow_others(&mut self, recorded: &Verdict) {
        if let Some(from) = recorded.from
            && self.recorded_scale != Some(from)
        {
            self.recorded_scale = Some(from);
            self.state.scale = Some(from);
        }
    }

    /// Whether the verdict does not depend on how the changed receiver is configured.
    fn is_kept(&self, trigger: &Trigger, recorded: &Verdict) -> bool {
        match recorded.code {
            Code::Duplicate | Code::Superseded | Code::Undecodable => true,
            Code::ReceiverDisabled | Code::ReceiverDeleted => {
                trigger.receiver_id != self.start.changed
            }
            _ => trigger.parent_id.is_some(),
        }
    }

    fn anew(
        &self,
        receiver: Arc<Receiver>,
        facts: TriggerFacts,
        trigger: Trigger,
        recorded: &Verdict,
        decided_at: Timestamp,
    ) -> Verdict {
        let seen = self.seen(recorded);
        let waiting = Waiting::recorded(facts, trigger, receiver);
        let mut batch = fold(
            &self.state,
            Some(&seen),
            slice::from_ref(&waiting),
            decided_at,
        );
        let Some(draft) = batch.drafts.pop() else {
            return recorded.clone();
        };
        let mut verdict = draft.verdict;
        if let (Code::HostsAdded | Code::HostsRemoved, Some(from), Some(to)) =
            (verdict.code, verdict.from, verdict.to)
        {
            // Which hosts these would have been nobody can know.
            verdict.message = format!("from {from} to {to} hosts");
        }
        verdict
    }

    /// What the platform would have reported.
    fn seen(&self, recorded: &Verdict) -> Seen {
        let unknown = || Seen::Unreadable(recorded.clone());
        if is_of_the_platform(recorded.code) {
            return unknown();
        }
        match (&self.start.target, self.state.scale) {
            (Target::Service(id), Some(scale)) => Seen::Service(ServiceSeen {
                id: id.clone(),
                name: self.start.name.clone(),
                scale,
                version: None,
                unscalable: None,
                autoscaled: None,
                containers: Vec::new(),
            }),
            (Target::Hosts(_), Some(scale)) => Seen::Hosts(hosts(scale)),
            (Target::Endpoint { .. }, _) => Seen::Endpoint,
            _ => unknown(),
        }
    }

    /// Whoever is not known any more did the same step as then.
    fn same_step(&self, recorded: &Verdict) -> Verdict {
        let step = recorded.from.zip(recorded.to).zip(self.state.scale);
        let Some(((from, to), scale)) = step else {
            return recorded.clone();
        };
        let led_to = i64::from(scale) + i64::from(to) - i64::from(from);
        let to = u32::try_from(led_to.max(0)).unwrap_or(u32::MAX);
        recorded.clone().scaling(scale, to)
    }
}

/// Whether the platform had the word, so that no configuration would have changed it.
fn is_of_the_platform(code: Code) -> bool {
    code.status() == Status::Failed
        || matches!(
            code,
            Code::ServiceRemoved
                | Code::NoHostsWithLabel
                | Code::NoCloneableHost
                | Code::NoSpareHost
                | Code::NoRemovableHost
                | Code::Unsupported
                | Code::TargetRefused
        )
}

/// So many hosts, all alike.
fn hosts(count: u32) -> HostsSeen {
    let host = |number: u32| HostSeen {
        id: number.to_string(),
        name: format!("host{number}"),
        created_at: Timestamp::from_millis(number.into()),
        is_working: true,
        is_cloneable: true,
        is_manager: false,
    };
    HostsSeen {
        hosts: (1..=count).map(host).collect(),
        growth: Growth::Clones {
            names_in_use: BTreeSet::new(),
        },
    }
}
