//! The platforms: one folder each, and the gate that every connection goes through.

mod breaker;
mod gate;
pub mod rancher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::configuration::{PlatformConfiguration, ProjectConfiguration};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::platform::Platform;

pub use gate::Gate;
use rancher::{Rancher, RancherError};

/// Why a project's platform cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("project {project}: {source}")]
pub struct ConnectError {
    project: ProjectId,
    source: RancherError,
}

/// A platform for each project, behind a gate of its own. Nothing is called yet. `lease_ttl`: how long a lease lasts,
/// where there are leases: half of that is what a changing call may take, so that a lease which is renewed in time
/// always outlasts it.
pub fn connect(
    projects: &BTreeMap<ProjectId, ProjectConfiguration>,
    lease_ttl: Option<Duration>,
) -> Result<BTreeMap<ProjectId, Arc<dyn Platform>>, ConnectError> {
    projects
        .iter()
        .map(|(project, configuration)| {
            let PlatformConfiguration::Rancher(connection) = &configuration.platform;
            let change_timeout = lease_ttl.map(|ttl| ttl / 2);
            let rancher = Rancher::new(project, connection, change_timeout).map_err(|source| {
                ConnectError {
                    project: project.clone(),
                    source,
                }
            })?;
            let gate = Gate::new(Arc::new(rancher), configuration.max_in_flight);
            Ok((project.clone(), Arc::new(gate) as Arc<dyn Platform>))
        })
        .collect()
}
