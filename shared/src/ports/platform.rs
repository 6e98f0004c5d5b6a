//! A container platform: what triggers act upon.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::decide::Seen;
use crate::domain::group::GroupKey;
use crate::domain::kind::Kind;
use crate::domain::ledger::Action;
use crate::domain::outcome::Code;
use crate::domain::time::Timestamp;
use crate::ports::leases::Lease;

/// One connection to a platform. Calls have time-outs of their own and may run at the same time.
#[async_trait]
pub trait Platform: Send + Sync {
    /// Makes one cheap call that needs the connection and its credentials, and says in words what answered.
    async fn probe(&self) -> Result<String, PlatformError>;

    /// What is there of the thing that `group` acts upon, with what is needed of it.
    async fn observe(&self, group: &GroupKey, need: Need) -> Result<Seen, PlatformError>;

    /// Gives a service another scale, whose start was just seen to be there. Returns when the platform has taken it.
    async fn scale_service(
        &self,
        service_id: &str,
        to: u32,
        version: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError>;

    /// Brings an action that takes several calls a step further: looks at what is there, and makes the next call that
    /// its goal needs. Called again until it is done; whoever finishes another's plan begins with new `notes`.
    async fn pursue(&self, action: &Action, notes: &mut Notes) -> Result<Step, PlatformError>;

    /// Passes a request on to a service.
    async fn forward(
        &self,
        request: &Forwarded<'_>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError>;

    /// Whether receivers of `kind` can act here, checked when they are created: the kind as it is to be kept, where a
    /// target that has several names is called by the one that stays. What a platform cannot do at all, and options
    /// that it has no use for, are unusable too.
    async fn check(&self, kind: &Kind) -> Result<Result<Kind, Unusable>, PlatformError>;

    /// What receivers can be made for.
    async fn targets(&self, of: TargetKind) -> Result<Vec<Target>, PlatformError>;

    /// How the calls to it go, as far as that is watched.
    fn health(&self) -> Health {
        Health::default()
    }

    /// The longest that one changing call can take.
    fn call_timeout(&self) -> Duration;

    /// What the platform tells by itself of the things that `action` waits for, from now on. `None`: nothing, so
    /// that whoever waits has to look.
    fn news(&self, _action: &Action) -> Option<Box<dyn News>> {
        None
    }
}

/// What a platform tells of changes by itself.
#[async_trait]
pub trait News: Send {
    /// Whether changes are told just now. Some may be missed all the same: look now and then.
    fn is_live(&self) -> bool;

    /// Returns when there was a change, or may have been one.
    async fn changed(&mut self);
}

/// What has to be known of a service. Where a platform tells all at once, it makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Its scale, and whether that can be set.
    Scale,
    /// What it runs.
    Containers,
    /// Both.
    Everything,
}

/// What is remembered between the steps of one action, besides what can be seen on the platform.
#[derive(Debug, Clone)]
pub struct Notes {
    /// What was begun in this process, in the platform's terms, and when.
    begun: BTreeMap<String, Instant>,
    /// Somebody else may have begun before.
    pub is_resumed: bool,
    /// When the action was decided on: the same for whoever performs it, and another for each of a group's actions.
    pub decided_at: Timestamp,
    /// The ids that the platform gave to what was made in this process, by its name.
    pub made: BTreeMap<String, String>,
    /// Why the platform refused to make something, by its name.
    pub refused: BTreeMap<String, String>,
    deadline: Option<Timestamp>,
    calls: u32,
    lease: Lease,
}

impl Notes {
    /// Notes for an action that was decided at a time, and is pursued under `lease`.
    pub fn new(lease: Lease, decided_at: Timestamp, is_resumed: bool) -> Self {
        Self {
            begun: BTreeMap::new(),
            is_resumed,
            decided_at,
            made: BTreeMap::new(),
            refused: BTreeMap::new(),
            deadline: None,
            calls: 0,
            lease,
        }
    }

    /// The same for an action that nothing may be begun for at `deadline` or later.
    #[must_use]
    pub fn until(self, deadline: Timestamp) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// To be asked just before each changing call that may take `timeout`: it must be over before the lease is.
    pub fn permit(&mut self, timeout: Duration) -> Result<(), PlatformError> {
        if self.is_late() {
            return Err(PlatformError::DeadlineOver);
        }
        self.permit_last(timeout)
    }

    /// The same for a call that only ends what was begun: better late than left half done.
    pub fn permit_last(&mut self, timeout: Duration) -> Result<(), PlatformError> {
        if !self.lease.outlasts(timeout, Instant::now()) {
            return Err(PlatformError::LeaseEnds);
        }
        self.calls += 1;
        Ok(())
    }

    /// Whether the deadline is over.
    fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Timestamp::now() >= deadline)
    }

    /// Notes that `what` was begun now.
    pub fn begin(&mut self, what: impl Into<String>) {
        self.begun.insert(what.into(), Instant::now());
    }

    /// Whether `what` was begun in this process.
    pub fn has_begun(&self, what: &str) -> bool {
        self.begun.contains_key(what)
    }

    /// For how long `what` has gone on, if it was begun in this process.
    pub fn going_for(&self, what: &str) -> Option<Duration> {
        self.begun.get(what).map(Instant::elapsed)
    }

    /// How many changing calls were made.
    pub fn calls(&self) -> u32 {
        self.calls
    }
}

/// How far an action has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its goal is there.
    Done,
    /// It goes on by itself, or at the next step.
    Underway {
        /// What is waited for, in words.
        what: String,
    },
    /// Somebody else changed what it starts from before anything was done, or all that was done is undone: decide anew.
    Overtaken {
        /// What was found.
        reason: String,
    },
    /// It came to nothing, for good.
    Failed {
        /// In which way.
        code: Code,
        /// Why, and in which state things are left.
        message: String,
    },
}

/// A request that is passed on.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// The service's name.
    pub service_name: &'a str,
    /// Its port.
    pub port: u16,
    /// The path with its query.
    pub path: &'a str,
    /// The body's content type.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// Why a platform did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The same call may succeed later.
    #[error("{message}")]
    Transient {
        /// What was called and how it went.
        message: String,
        /// How long the platform wants to be left alone.
        retry_after: Option<Duration>,
        /// The platform surely did not take the call, so nothing can have changed.
        is_untouched: bool,
        /// The platform as a whole seems to be down or overloaded, not only this thing.
        is_down: bool,
    },
    /// The call was not made, as the right to make it may end before the call does.
    #[error("the partition's lease ends too soon for another call")]
    LeaseEnds,
    /// The call was not made, as the action's deadline is over.
    #[error("the deadline is over")]
    DeadlineOver,
    /// The same call will never succeed.
    #[error("{message}")]
    Refused {
        /// What was called, and the platform's own words.
        message: String,
    },
}

impl PlatformError {
    /// The same for a request that was passed on: if the platform took it, it may be the service behind the platform's
    /// proxy that is slow or down.
    #[must_use]
    pub fn behind_proxy(mut self) -> Self {
        if let Self::Transient {
            is_untouched,
            is_down,
            ..
        } = &mut self
        {
            *is_down &= *is_untouched;
        }
        self
    }
}

/// Why a receiver's target, or what it asks for, cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    /// The field of the receiver's configuration that says so; `driver` for all of it.
    pub field: String,
    /// Why.
    pub message: String,
}

impl Unusable {
    /// `field` cannot be had, for the reason in `message`.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

/// What sort of targets to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetKind {
    /// Services that can be scaled.
    Service,
    /// Labels of hosts.
    HostLabel,
    /// Labels of services.
    ServiceLabel,
}

/// Something that a receiver can be made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Target {
    /// A service.
    Service {
        /// The platform's id of it.
        id: String,
        /// Its name.
        name: String,
        /// What it belongs to, where the platform groups services.
        #[serde(skip_serializing_if = "Option::is_none")]
        stack: Option<String>,
        /// Its desired scale.
        scale: u32,
    },
    /// A label of hosts.
    HostLabel {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// How many hosts carry it.
        count: u32,
    },
    /// A label of services.
    ServiceLabel {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// How many services carry it.
        count: u32,
    },
}

/// How the calls to a platform go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// How many in a row have failed.
    pub failures: u32,
    /// For how long it is left alone from now on.
    pub rests_for: Option<Duration>,
}
