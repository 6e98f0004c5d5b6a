//! A container platform: what triggers act upon.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::decide::Seen;
use crate::domain::group::GroupKey;
use crate::domain::ledger::Action;
use crate::domain::receiver::Kind;

/// One connection to a platform. Calls have time-outs of their own and may run at the same time.
#[async_trait]
pub trait Platform: Send + Sync {
    /// What is there of the thing that `group` acts upon.
    async fn observe(&self, group: &GroupKey) -> Result<Seen, PlatformError>;

    /// Performs `action`, whose start was just seen to be there. Returns when the platform has taken it.
    async fn perform(&self, action: &Action) -> Result<(), PlatformError>;

    /// Whether receivers of `kind` can act here, checked when they are created.
    async fn check(&self, kind: &Kind) -> Result<Result<(), Unusable>, PlatformError>;

    /// What receivers can be made for.
    async fn targets(&self, of: TargetKind) -> Result<Vec<Target>, PlatformError>;

    /// The longest that one call can take.
    fn call_timeout(&self) -> Duration;
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
    /// The same call will never succeed.
    #[error("{message}")]
    Refused {
        /// What was called, and the platform's own words.
        message: String,
    },
}

/// Why a target cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    /// The field of the receiver's configuration that names the target.
    pub field: String,
    /// Why.
    pub message: String,
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
