//! What an ingress asks and only a worker can answer, as it holds the platforms' credentials and the history.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::Unavailable;
use super::leases::WorkerId;
use super::platform::{Target, TargetKind, Unusable};
use super::record::{EntriesPage, EntriesQuery, LogHead, Verified};
use crate::audit::entry::LogEntry;
use crate::audit::export::Place;
use crate::audit::head::SignedHead;
use crate::domain::call::Calls;
use crate::domain::group::{GroupKey, Partition};
use crate::domain::ids::{ProjectId, ReceiverId, Revision, Sequence, TriggerId};
use crate::domain::kind::Kind;
use crate::domain::ledger::{Action, Drift};
use crate::domain::outcome::{Code, Outcome, Status, TriggerFacts};
use crate::domain::push::Notice;
use crate::domain::receiver::Receiver;
use crate::domain::time::Timestamp;
use crate::what_if::Comparison;

/// Carries questions to workers and their answers back.
#[async_trait]
pub trait Questions: Send + Sync {
    /// Asks any worker. [`Unavailable`] if none answers within the question's time.
    async fn ask(&self, question: Question) -> Result<Answer, Unavailable>;

    /// Answers questions with `answerer` until the returned guard is dropped.
    async fn serve(&self, answerer: Answerer) -> Result<Serving, Unavailable>;
}

/// Answers one question.
pub type Answerer = std::sync::Arc<dyn Fn(Question) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Answers are given as long as this lives.
pub struct Serving(pub Box<dyn std::any::Any + Send + Sync>);

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// Can receivers of this kind act on the project's platform?
    Check {
        /// The project.
        project: ProjectId,
        /// The kind with its target.
        kind: Kind,
    },
    /// What can receivers be made for?
    Targets {
        /// The project.
        project: ProjectId,
        /// What sort.
        of: TargetKind,
    },
    /// What belongs to a group of hosts or services now?
    Members {
        /// The project.
        project: ProjectId,
        /// The group.
        group: GroupKey,
    },
    /// A page of history.
    Triggers(HistoryQuery),
    /// How many triggers came to which end, hour by hour.
    Counts(CountsQuery),
    /// How many triggers of each receiver came to which end in the last hour, minute by minute.
    ReceiverCounts(ReceiverCountsQuery),
    /// What would have been if a receiver had been another?
    WhatIf(WhatIfQuery),
    /// Is there a trigger with this id in the log of `group`, whether it waits or is settled?
    Appended {
        /// The group.
        group: GroupKey,
        /// The id.
        id: TriggerId,
    },
    /// How are the workers and the platforms?
    System,
    /// How far the outcome log of a worker goes.
    Head {
        /// Which worker; any where absent.
        worker: Option<WorkerId>,
        /// The hash at this entry is wanted, too.
        at: Option<u64>,
    },
    /// Go on with a verification of a worker's outcome log for a while.
    Verify {
        /// Which worker; any where absent.
        worker: Option<WorkerId>,
        /// The verification to go on with; a new one where absent.
        job: Option<u64>,
    },
    /// Entries of the outcome log as they are stored.
    Entries(EntriesQuery),
    /// Up to which signed head entries are to be dropped at a time.
    Droppable {
        /// When.
        at: Timestamp,
    },
    /// The management calls that were made in a project, the newest first.
    ManagementCalls {
        /// Whose.
        project: ProjectId,
        /// Only those before this entry.
        before: Option<u64>,
        /// How many at most.
        limit: usize,
    },
    /// Sign the head of the outcome log, and record that.
    Sign,
    /// Set the outcome log of a worker aside, and build it anew.
    Rebuild {
        /// Which worker.
        worker: WorkerId,
    },
    /// One trigger with everything that is known of it.
    Trigger {
        /// The project that it must belong to.
        project: ProjectId,
        /// Which.
        id: TriggerId,
        /// Its place in the log, where it is known and the answer is to wait for its outcome.
        settled: Option<AwaitOutcome>,
    },
}

/// What would have been if a receiver had been another?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhatIfQuery {
    /// Whose.
    pub project: ProjectId,
    /// The receiver as it would have been.
    pub receiver: Box<Receiver>,
    /// Of its group's triggers, those that were accepted then or later.
    pub since: Option<Timestamp>,
    /// Those that were accepted before then.
    pub until: Option<Timestamp>,
    /// Tell those after this place in the log one by one.
    pub after: Sequence,
    /// How many of them at most.
    pub limit: usize,
}

/// Wait for a trigger's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitOutcome {
    /// The trigger's place in the log.
    pub sequence: Sequence,
    /// How long at most.
    pub timeout: Duration,
}

impl Question {
    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Trigger {
                settled: Some(wait),
                ..
            } => wait.timeout + Duration::from_secs(5),
            Self::WhatIf(_) => Duration::from_secs(25),
            Self::Check { .. } | Self::Targets { .. } | Self::Members { .. } => {
                Duration::from_secs(15)
            }
            Self::System
            | Self::Triggers(_)
            | Self::Appended { .. }
            | Self::Trigger { .. }
            | Self::Counts(_)
            | Self::ReceiverCounts(_) => Duration::from_secs(10),
            Self::Entries(_)
            | Self::Head { .. }
            | Self::Verify { .. }
            | Self::ManagementCalls { .. }
            | Self::Sign
            | Self::Droppable { .. }
            | Self::Rebuild { .. } => Duration::from_secs(20),
        }
    }

    /// The one worker that is asked; any can answer where there is none.
    pub fn addressee(&self) -> Option<&WorkerId> {
        match self {
            Self::Head { worker, .. } | Self::Verify { worker, .. } => worker.as_ref(),
            Self::Rebuild { worker } => Some(worker),
            Self::Entries(query) => query.worker.as_ref(),
            _ => None,
        }
    }
}

/// Which part of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Whose.
    pub project: ProjectId,
    /// Only triggers of this receiver.
    pub receiver: Option<ReceiverId>,
    /// Only triggers of this group.
    pub group: Option<GroupKey>,
    /// Only triggers in this state.
    pub status: Option<StatusFilter>,
    /// Accepted then or later.
    pub since: Option<Timestamp>,
    /// Accepted before then.
    pub until: Option<Timestamp>,
    /// Only triggers whose outcome has this code.
    pub code: Option<Code>,
    /// Only triggers with this idempotency key.
    pub key: Option<String>,
    /// Only triggers that repeat this one.
    pub replay_of: Option<TriggerId>,
    /// Which come first.
    pub order: Order,
    /// Only triggers beyond this place in the log, in that order: where the page before ended.
    pub beyond: Option<Sequence>,
    /// How many at most.
    pub limit: usize,
}

impl HistoryQuery {
    /// All triggers of `project`, the newest first, so many at most.
    pub fn of(project: ProjectId, limit: usize) -> Self {
        Self {
            project,
            receiver: None,
            group: None,
            status: None,
            since: None,
            until: None,
            code: None,
            key: None,
            replay_of: None,
            order: Order::NewestFirst,
            beyond: None,
            limit,
        }
    }
}

/// Which triggers come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Those with the highest places in the log.
    NewestFirst,
    /// Those with the lowest.
    OldestFirst,
}

/// Of which hours the counts are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsQuery {
    /// Whose.
    pub project: ProjectId,
    /// From the hour that this is in.
    pub since: Timestamp,
    /// Up to the hour that this is in, or ends.
    pub until: Timestamp,
}

impl CountsQuery {
    /// How many hours can be asked for at once: those of 92 days.
    pub const MOST_HOURS: u64 = 92 * 24;
}

/// How many triggers that were accepted within one hour came to which end so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is named as its status")]
pub struct HourCounts {
    /// When the hour began.
    pub hour: Timestamp,
    pub succeeded: u64,
    pub rejected: u64,
    pub skipped: u64,
    pub failed: u64,
}

/// Of which hour the counts of receivers are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverCountsQuery {
    /// Whose receivers.
    pub project: ProjectId,
    /// Up to and including the minute that this is in. What is much longer ago is not known any more.
    pub until: Timestamp,
}

/// What came of the triggers of receivers in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverCounts {
    /// When the first minute began.
    pub since: Timestamp,
    /// Everything up to there in the ledger is counted.
    pub through: Revision,
    /// The receivers of which any trigger was accepted then, and is settled.
    pub receivers: Vec<ReceiverCount>,
}

impl ReceiverCounts {
    /// How many minutes are told.
    pub const MINUTES: u64 = 60;
}

/// What came of the triggers of one receiver in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the others are named as their statuses")]
pub struct ReceiverCount {
    /// Whose.
    pub receiver: ReceiverId,
    pub succeeded: u64,
    pub rejected: u64,
    pub skipped: u64,
    pub failed: u64,
    /// How many were accepted in each minute, the oldest first.
    pub minutes: Vec<u64>,
    /// The newest one that is settled.
    pub newest: NewestTrigger,
}

/// What is told of a receiver's newest trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewestTrigger {
    /// Its id.
    pub id: TriggerId,
    /// Its place in the log.
    pub sequence: Sequence,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// How it ended.
    pub status: Status,
    /// Which rule decided.
    pub code: Code,
    /// Why, as a sentence.
    pub message: String,
}

/// A state to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusFilter {
    /// No outcome yet.
    Pending,
    /// An outcome with this status.
    Settled(Status),
}

/// A worker's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Receivers of the kind can act; the kind as it is to be kept.
    Usable(Kind),
    /// They cannot.
    Unusable(Unusable),
    /// The targets.
    Targets(Vec<Target>),
    /// What belongs to the group.
    Members(Vec<Member>),
    /// The page, in the order that was asked for.
    Triggers(HistoryPage),
    /// The hours, the oldest first.
    Counts(Vec<HourCounts>),
    /// The receivers.
    ReceiverCounts(ReceiverCounts),
    /// What was, and what would have been.
    WhatIf(Box<Comparison>),
    /// The trigger, if there is one.
    Appended(Option<Box<HistoryItem>>),
    /// The trigger.
    Trigger(Box<TriggerDetail>),
    /// The workers and the platforms.
    System(Box<System>),
    /// How far the log goes.
    Head(LogHead),
    /// How far the verification has come.
    Verified(Verified),
    /// The entries.
    Entries(EntriesPage),
    /// The calls with their entries' numbers, and whether there are more.
    ManagementCalls(Vec<(u64, LogEntry)>, bool),
    /// What is to be dropped.
    Droppable {
        /// Where the log begins.
        base: Place,
        /// The head up to which entries are dropped; absent where none are.
        head: Option<SignedHead>,
    },
    /// The signed head.
    Signed(SignedHead),
    /// It is done.
    Done,
    /// There is no such entry, or no such verification any more: which, as a sentence.
    NoSuchEntry(String),
    /// There is no such trigger in the project.
    NoSuchTrigger,
    /// The project has no platform here.
    NoSuchProject,
    /// It could not be answered now: the reason, as a sentence.
    Unavailable(String),
}

/// A page of history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// In the order that was asked for.
    pub triggers: Vec<HistoryItem>,
    /// There are more after the last one.
    pub has_more: bool,
}

/// A trigger in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryItem {
    /// Its group.
    pub group: GroupKey,
    /// What is known of the request.
    pub trigger: TriggerFacts,
    /// What came of it; `None` while it waits.
    pub outcome: Option<Outcome>,
}

/// Everything that is known of one trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerDetail {
    /// As in the history.
    pub item: HistoryItem,
    /// The body and its content type, as long as the trigger log reaches back.
    pub body: Option<Body>,
    /// The plan that it was part of.
    pub plan: Option<PlanSummary>,
    /// What was called to come from the plan, or from nothing, to the outcome.
    pub calls: Calls,
    /// The trigger that it is a part of.
    pub parent: Option<HistoryItem>,
    /// The triggers that are parts of it.
    pub children: Vec<HistoryItem>,
    /// Its place in line, while it waits.
    pub waiting: Option<Waiting>,
}

/// A trigger's place in line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// How many triggers of its group come before it; so many at least, where `is_more` says so.
    pub ahead: usize,
    /// There are more before it than were counted.
    pub is_more: bool,
    /// What is waited for, in a sentence.
    pub waits_for: String,
}

/// A trigger's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its content type, as the caller gave it.
    pub content_type: Option<String>,
    /// The bytes, as received.
    pub bytes: Vec<u8>,
    /// What was read of a registry's notification in it.
    pub notice: Option<Notice>,
    /// The query, where it is passed on.
    pub query: Option<String>,
    /// The request's headers that tell what it is about.
    pub headers: BTreeMap<String, String>,
}

/// What is told of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    /// Its place in the ledger.
    pub revision: Revision,
    /// What it does.
    pub action: Action,
    /// How many triggers it settles.
    pub triggers: usize,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// What somebody else had changed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What was called to see what it starts from, and for plans of the same triggers that were abandoned.
    #[serde(default, skip_serializing_if = "Calls::is_empty")]
    pub calls: Calls,
}

/// A host or a service that belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The platform's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// How workers and platforms are, as one worker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The worker that answers.
    pub answered_by: WorkerId,
    /// All workers that are there.
    pub workers: Vec<WorkerId>,
    /// All partitions.
    pub partitions: Vec<PartitionState>,
    /// Every project's platform.
    pub platforms: Vec<PlatformState>,
    /// The outcome log of the worker that answers.
    pub outcome_log: OutcomeLogState,
}

/// Who works on a partition, and whether something waits there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionState {
    /// Which.
    pub partition: Partition,
    /// Who has it; `None`: nobody just now.
    pub holder: Option<WorkerId>,
    /// When the oldest trigger was accepted that is not known to be settled; up to a second old.
    pub oldest_waiting: Option<Timestamp>,
}

/// How the calls to a platform go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformState {
    /// Whose.
    pub project: ProjectId,
    /// The project's name.
    pub name: Option<String>,
    /// How many calls in a row have failed.
    pub failures: u32,
    /// For how long it is left alone from now on.
    pub rests_for: Option<Duration>,
}

/// How far an outcome log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeLogState {
    /// How many entries it has.
    pub entries: u64,
    /// The last entry's hash in the chain, in hex.
    pub head: String,
    /// When its chain was last verified.
    pub verified_at: Option<Timestamp>,
}
