//! What all of a worker's parts share.

use std::collections::BTreeMap;
use std::sync::Arc;

use stormhook_shared::directory::Directory;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::platform::Platform;

use crate::group::{Budget, Progress};
use crate::metrics::WorkerMetrics;
use crate::outcome_log::OutcomeLog;
use crate::receiver_resources::ReceiverResources;

/// What all of a worker's parts share.
pub(crate) struct Context {
    /// What carries triggers, ledger and receivers.
    pub(crate) backbone: Backbone,
    /// The receivers, as a copy.
    pub(crate) directory: Arc<Directory>,
    /// The platform of each project.
    pub(crate) platforms: BTreeMap<ProjectId, Arc<dyn Platform>>,
    /// The names of projects that have one.
    pub(crate) names: BTreeMap<ProjectId, String>,
    /// The outcomes so far.
    pub(crate) log: Arc<OutcomeLog>,
    /// What groups wait for.
    pub(crate) progress: Progress,
    /// How much may wait in memory.
    pub(crate) budget: Arc<Budget>,
    /// What is measured.
    pub(crate) metrics: WorkerMetrics,
    /// The projects whose receivers are made of custom resources.
    pub(crate) receiver_resources: ReceiverResources,
}

impl Context {
    /// The platform that `group` acts on.
    pub(crate) fn platform(&self, group: &GroupKey) -> Option<Arc<dyn Platform>> {
        let project: ProjectId = group.project().parse().ok()?;
        self.platforms.get(&project).cloned()
    }
}
