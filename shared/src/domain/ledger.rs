//! Entries of the ledger: plans and what became of them, per group, and the group's state after each.
//! How a state evolves is pure and stands here, so that replaying a ledger gives the same state.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::call::Calls;
use super::group::GroupKey;
use super::ids::{ProjectId, ReceiverId, Revision, Sequence, TriggerId};
use super::kind::OnFailure;
use super::management::ManagementCall;
use super::outcome::{Code, Outcome, Status, TriggerFacts, Verdict};
use super::push::Push;
use super::receiver::Options;
use super::time::Timestamp;
use crate::audit::export::Place;
use crate::audit::head::SignedHead;

/// One entry of the ledger with the state that it leaves its group in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose entry it is.
    pub group: GroupKey,
    /// What happened.
    pub entry: Entry,
    /// The group's state after it. A group's last record is all that its next owner needs.
    pub state: GroupState,
}

impl Record {
    /// An entry of a group that no trigger belongs to, and that therefore has no state.
    pub fn apart(group: GroupKey, entry: Entry) -> Self {
        Self {
            group,
            entry,
            state: GroupState::default(),
        }
    }
}

/// What can happen to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Entry {
    /// An action was decided on and is about to be performed.
    Planned(Plan),
    /// The open plan came to its end, and with it every trigger in it.
    Performed {
        /// The plan's place in the ledger.
        plan: Revision,
        /// How it ended.
        performance: Performance,
    },
    /// The open plan was not performed, for certain; its triggers are decided anew.
    Abandoned {
        /// The plan's place in the ledger.
        plan: Revision,
        /// Why.
        reason: String,
    },
    /// Triggers that needed no action, or whose action was never planned.
    Settled {
        /// One for each, in the order of the log.
        outcomes: Vec<Draft>,
        /// When.
        at: Timestamp,
        /// What was called to see what they would act upon, and for plans of them that were abandoned.
        #[serde(default, skip_serializing_if = "Calls::is_empty")]
        calls: Calls,
    },
    /// Somebody is about to manage something. Stands in a group of its own, [`GroupKey::management`].
    Managed(Box<ManagementCall>),
    /// What a management call was about to do was not done.
    NotDone {
        /// In which project.
        project: ProjectId,
        /// The call's place in the ledger.
        call: Revision,
        /// Why.
        reason: String,
        /// When that was known.
        at: Timestamp,
    },
    /// A worker signed the head of its outcome log. Stands in a group of its own, [`GroupKey::signed_heads`].
    Signed(SignedHead),
    /// Neither the ledger nor a worker had what stands up to `after` any more, so that outcome logs begin or go on behind
    /// it. Stands in a group of its own, [`GroupKey::beginnings`].
    Began {
        /// The last record that is gone.
        after: Revision,
        /// The last entry of the outcome logs that go on there.
        #[serde(default)]
        last: Place,
        /// When that was found.
        at: Timestamp,
    },
}

/// An action with an absolute goal, written down before it is performed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What to do.
    pub action: Action,
    /// The triggers that it does it for, and those decided along with them, in the order of the log.
    pub drafts: Vec<Draft>,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Until when it is retried.
    pub deadline: Timestamp,
    /// What somebody else had changed since the group's last action, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What was called to see what it starts from, and for plans of the same triggers that were abandoned.
    #[serde(default, skip_serializing_if = "Calls::is_empty")]
    pub calls: Calls,
}

/// The platform's state differs from what the group's last action left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What the last action left.
    pub left: u32,
    /// What is there.
    pub found: u32,
}

/// A change of a platform with the state that it starts from and the state that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Action {
    /// Give a service another desired scale.
    #[serde(rename_all = "camelCase")]
    ScaleService {
        /// The platform's id of it.
        service_id: String,
        /// Its name, for people.
        name: String,
        /// The scale that it was decided from.
        from: u32,
        /// The goal.
        to: u32,
        /// The platform's version of what was read, where it has versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// Bring a group of hosts from one size to another.
    #[serde(rename_all = "camelCase")]
    ScaleHosts {
        /// How many there were.
        from: u32,
        /// How many there are to be.
        to: u32,
        /// The hosts to add, by the names that they will have.
        create: Vec<NewHost>,
        /// The hosts to remove.
        remove: Vec<HostRef>,
        /// The hosts of a fixed pool to take into service.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        activate: Vec<HostRef>,
        /// The hosts of a fixed pool to take out of service; they stay in the pool.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        drain: Vec<HostRef>,
        /// The pool whose size is set, where the platform makes and removes hosts by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pool: Option<HostRef>,
    },
    /// Have every service upgraded, each by a trigger of its own in that service's group.
    #[serde(rename_all = "camelCase")]
    UpgradeServices {
        /// To what.
        push: Push,
        /// Which.
        services: Vec<Child>,
    },
    /// Upgrade containers of one service.
    #[serde(rename_all = "camelCase")]
    UpgradeService {
        /// The platform's id of it.
        service_id: String,
        /// Its name, for people.
        name: String,
        /// The platform's version of what was read, where it has versions: whoever goes on with the upgrade can tell
        /// whether it was begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// To what.
        push: Push,
        /// Which of its containers, with what they ran before.
        containers: Vec<UpgradedContainer>,
        /// How many are replaced at once.
        batch_size: u32,
        /// The pause between two batches.
        interval_millis: u64,
        /// New ones are started before old ones are stopped.
        start_first: bool,
        /// What the platform does when new ones fail.
        #[serde(default)]
        on_failure: OnFailure,
        /// How long the platform watches each new one for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        monitor_millis: Option<u64>,
    },
    /// Pass a request on to a service.
    #[serde(rename_all = "camelCase")]
    Forward {
        /// The trigger that has the request's body.
        trigger: TriggerId,
        /// The service's name.
        service_name: String,
        /// Its port.
        port: u16,
        /// The path and the query.
        path: String,
    },
}

/// A host to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewHost {
    /// The name that it will have.
    pub name: String,
    /// The platform's id of the host that it is a clone of.
    pub base: String,
}

/// A host that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostRef {
    /// The platform's id of it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
}

/// A service that a push concerns, and the trigger that upgrades it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Child {
    /// The platform's id of the service.
    pub service_id: String,
    /// Its name, for people.
    pub name: String,
    /// The trigger.
    pub trigger: TriggerId,
}

/// A container of a service that is upgraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradedContainer {
    /// Its name; `None` for the service's primary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The image that it ran before.
    pub image: String,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScaleService { name, from, to, .. } => {
                write!(f, "{name} was to be scaled from {from} to {to}")
            }
            Self::ScaleHosts { from, to, .. } => {
                write!(f, "the group was to go from {from} to {to} hosts")
            }
            Self::UpgradeServices { push, services } => {
                write!(
                    f,
                    "{} services were to be upgraded to {push}",
                    services.len()
                )
            }
            Self::UpgradeService { name, push, .. } => {
                write!(f, "{name} was to be upgraded to {push}")
            }
            Self::Forward {
                service_name, port, ..
            } => write!(
                f,
                "the request was to be passed on to {service_name}:{port}"
            ),
        }
    }
}

/// A verdict on a trigger before its action is known to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// Which trigger.
    pub trigger: TriggerFacts,
    /// The receiver's revision that it was decided under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver_revision: Option<u64>,
    /// What was decided.
    pub verdict: Verdict,
    /// Whether the verdict supposes that the action is done: it is the action's, or was decided from where
    /// the action leads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supposes_action: bool,
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    /// What it came to instead of what was planned, if it did: mostly what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Verdict>,
    /// How often the platform was asked to perform it.
    pub attempts: u32,
    /// When it ended.
    pub at: Timestamp,
    /// What was called, by whoever brought it to its end.
    #[serde(default, skip_serializing_if = "Calls::is_empty")]
    pub calls: Calls,
}

/// What a group must remember to decide its next trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupState {
    /// Every trigger of the group up to here has its outcome.
    pub settled: Sequence,
    /// When the group's last action was performed, by any receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_action_at: Option<Timestamp>,
    /// When each receiver's last action was performed, for a day.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last_action_by: BTreeMap<ReceiverId, Timestamp>,
    /// The scale that the last performed action left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// For each receiver, the last of its triggers of which this group took a part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parents: BTreeMap<ReceiverId, Sequence>,
}

impl GroupState {
    /// Notes that an action of `receiver` was performed `at` and left `scale`.
    pub fn note_action(&mut self, receiver: ReceiverId, at: Timestamp, scale: Option<u32>) {
        self.last_action_at = Some(at);
        self.last_action_by
            .retain(|_, earlier| at.since(*earlier) < Options::LONGEST_COOLDOWN);
        self.last_action_by.insert(receiver, at);
        self.scale = scale.or(self.scale);
    }

    /// Notes what a settled trigger changed.
    fn settle(&mut self, trigger: &TriggerFacts, verdict: &Verdict, at: Timestamp) {
        self.settled = self.settled.max(trigger.sequence);
        if let (Some(parent), Some(receiver)) = (trigger.parent_sequence, &trigger.receiver) {
            let taken = self.parents.entry(receiver.id).or_default();
            *taken = parent.max(*taken);
        }
        if let (Status::Succeeded, Some(receiver)) = (verdict.code.status(), &trigger.receiver) {
            self.note_action(receiver.id, at, verdict.to);
        }
    }
}

/// A group as its ledger tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The place of its last entry: what the next append must expect.
    pub revision: Revision,
    /// What it remembers.
    pub state: GroupState,
    /// The plan that was not yet seen to end.
    pub open_plan: Option<OpenPlan>,
}

/// A plan whose end the ledger does not tell yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// Its place in the ledger.
    pub revision: Revision,
    /// What it says.
    pub plan: Plan,
}

impl Group {
    /// The group whose last record is this one.
    pub fn from_last(revision: Revision, record: Record) -> Self {
        Self {
            revision,
            state: record.state,
            open_plan: match record.entry {
                Entry::Planned(plan) => Some(OpenPlan { revision, plan }),
                _ => None,
            },
        }
    }

    /// The state that `entry` leads to.
    #[must_use]
    pub fn state_after(&self, entry: &Entry) -> GroupState {
        let mut state = self.state.clone();
        match entry {
            Entry::Planned(_)
            | Entry::Abandoned { .. }
            | Entry::Managed(_)
            | Entry::NotDone { .. }
            | Entry::Signed(_)
            | Entry::Began { .. } => {}
            Entry::Performed { performance, .. } => {
                for (draft, verdict) in self
                    .open_plan
                    .iter()
                    .flat_map(|open| open.plan.verdicts(performance))
                {
                    state.settle(&draft.trigger, verdict, performance.at);
                }
            }
            Entry::Settled { outcomes, at, .. } => {
                for draft in outcomes {
                    state.settle(&draft.trigger, &draft.verdict, *at);
                }
            }
        }
        state
    }

    /// The group after `entry` was appended at `revision`.
    #[must_use]
    pub fn after(&self, revision: Revision, entry: Entry) -> Self {
        let state = self.state_after(&entry);
        Self::from_last(
            revision,
            Record {
                group: GroupKey::named(""),
                entry,
                state,
            },
        )
    }
}

impl Draft {
    /// The draft as the final word.
    pub fn settle(&self, attempts: u32, at: Timestamp) -> Outcome {
        Outcome {
            trigger: self.trigger.clone(),
            receiver_revision: self.receiver_revision,
            verdict: self.verdict.clone(),
            attempts,
            settled_at: at,
        }
    }
}

impl Plan {
    /// The final verdicts on all its triggers once it ended as `performance` says. Where the action failed, so did
    /// every trigger whose verdict supposed it; the others keep theirs.
    pub fn verdicts<'a>(
        &'a self,
        performance: &'a Performance,
    ) -> impl Iterator<Item = (&'a Draft, &'a Verdict)> {
        self.drafts.iter().map(|draft| {
            let failure = performance.failure.as_ref();
            let verdict = failure
                .filter(|_| draft.supposes_action)
                .unwrap_or(&draft.verdict);
            (draft, verdict)
        })
    }

    /// The outcomes of all its triggers once it ended as `performance` says.
    pub fn outcomes<'a>(
        &'a self,
        performance: &'a Performance,
    ) -> impl Iterator<Item = Outcome> + use<'a> {
        self.verdicts(performance)
            .map(move |(draft, verdict)| Outcome {
                trigger: draft.trigger.clone(),
                receiver_revision: draft.receiver_revision,
                verdict: verdict.clone(),
                attempts: if draft.supposes_action {
                    performance.attempts
                } else {
                    0
                },
                settled_at: performance.at,
            })
    }

    /// The last of its triggers.
    pub fn through(&self) -> Sequence {
        self.drafts
            .last()
            .map_or(Sequence::default(), |draft| draft.trigger.sequence)
    }
}

impl Performance {
    /// The end of a plan whose goal was reached.
    pub fn done(attempts: u32, at: Timestamp) -> Self {
        Self {
            failure: None,
            attempts,
            at,
            calls: Calls::default(),
        }
    }

    /// The end of a plan that failed, or came to something else.
    pub fn failed(code: Code, message: String, attempts: u32, at: Timestamp) -> Self {
        Self {
            failure: Some(Verdict::new(code, message)),
            attempts,
            at,
            calls: Calls::default(),
        }
    }

    /// The same end, after these calls.
    #[must_use]
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }
}
