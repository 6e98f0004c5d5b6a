//! The platforms: one folder each, and the gate that every connection goes through.

mod authorities;
mod breaker;
mod gate;
mod health;
pub mod kubernetes;
mod labels;
pub mod rancher;
pub(crate) mod recording;
pub mod swarm;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::configuration::{PlatformConfiguration, ProjectConfiguration};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::platform::Platform;

pub use gate::Gate;
pub use health::PlatformHealth;
use kubernetes::{Kubernetes, KubernetesError};
use rancher::{Rancher, RancherError};
use swarm::{Swarm, SwarmError};
pub(crate) use watch::watch;

/// Why a project's platform cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("project {project}: {source}")]
pub struct ConnectError {
    project: ProjectId,
    source: ConnectionError,
}

/// Why there can be no connection, whatever the platform answers.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Rancher(#[from] RancherError),
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
}

/// The names of the projects that have one.
pub fn names(projects: &BTreeMap<ProjectId, ProjectConfiguration>) -> BTreeMap<ProjectId, String> {
    let named = projects.iter();
    named
        .filter_map(|(id, project)| Some((id.clone(), project.name.clone()?)))
        .collect()
}

/// A platform for each project, behind a gate of its own. Nothing is called yet. `lease_ttl`: how long a lease lasts,
/// where there are leases: half of that is what a changing call may take, so that a lease which is renewed in time
/// always outlasts it. `health`: where the connections tell how they are.
pub fn connect(
    projects: &BTreeMap<ProjectId, ProjectConfiguration>,
    lease_ttl: Option<Duration>,
    health: &PlatformHealth,
) -> Result<BTreeMap<ProjectId, Arc<dyn Platform>>, ConnectError> {
    let change_timeout = lease_ttl.map(|ttl| ttl / 2);
    projects
        .iter()
        .map(|(project, configuration)| {
            let platform = platform(project, &configuration.platform, change_timeout);
            let platform = platform.map_err(|source| ConnectError {
                project: project.clone(),
                source,
            })?;
            let gate = Gate::new(platform, configuration.max_in_flight, health.of(project));
            Ok((project.clone(), Arc::new(gate) as Arc<dyn Platform>))
        })
        .collect()
}

fn platform(
    project: &ProjectId,
    configuration: &PlatformConfiguration,
    change_timeout: Option<Duration>,
) -> Result<Arc<dyn Platform>, ConnectionError> {
    Ok(match configuration {
        PlatformConfiguration::Rancher(options) => {
            Arc::new(Rancher::new(project, options, change_timeout)?)
        }
        PlatformConfiguration::Swarm(options) => Arc::new(Swarm::new(options, change_timeout)?),
        PlatformConfiguration::Kubernetes(options) => {
            Arc::new(Kubernetes::new(project, options, change_timeout)?)
        }
    })
}
