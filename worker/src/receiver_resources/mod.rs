//! Receivers as custom resources: whoever keeps a `Receiver` object in a cluster gets a receiver in the registry, and its
//! trigger URL in a Secret. One worker does this for a project at a time: the one that has the partition of the project's
//! management calls. Two that do it for a moment, while that is handed over, do no harm: a receiver's id comes from
//! its object, and the registry takes each change once.
//!
//! Lists, watches, turns of each object and its finalizer are `kube::runtime`'s. What must not be here: what a
//! receiver is (`shared/src/receiver_json`), and whether a platform can use it (the platform).

mod controller;
mod object;
mod reconciliation;
mod registration;
mod url_secret;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::configuration::{
    KubernetesConfiguration, PlatformConfiguration, ProjectConfiguration,
};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::hook_key::{DeploymentSecret, HookKeys};
use url::Url;

use crate::platforms::kubernetes::KubernetesError;
use crate::platforms::kubernetes::connection::Connection;
pub(crate) use controller::work;

/// The projects whose receivers are made of custom resources, and what is needed for that.
#[derive(Default)]
pub struct ReceiverResources {
    clusters: BTreeMap<ProjectId, Arc<Cluster>>,
    urls: Option<TriggerUrls>,
}

/// Where the objects of one project are.
pub(crate) struct Cluster {
    connection: Connection,
    /// `None`: all that its permissions allow.
    namespaces: Option<Vec<String>>,
}

/// How trigger URLs are made.
#[derive(Clone)]
pub(crate) struct TriggerUrls {
    keys: HookKeys,
    base: String,
}

/// Why receivers cannot be made of custom resources.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverResourcesError {
    /// URLs cannot be made.
    #[error(
        "projects.{0}.receiver_resources needs the deployment's secret, under which trigger URLs are made: write \
         secret_file into the configuration, naming the same secret that every ingress has"
    )]
    NoSecret(ProjectId),
    /// URLs cannot be written down.
    #[error(
        "projects.{0}.receiver_resources needs to know what trigger URLs begin with: write public_url into the \
         configuration, like https://hooks.example.org"
    )]
    NoPublicUrl(ProjectId),
    /// The cluster cannot be connected to, whatever it answers.
    #[error("project {0}: {1}")]
    Connection(ProjectId, KubernetesError),
}

impl ReceiverResources {
    /// For those of `projects` that want it, with trigger URLs under `secret` that begin with `public_url`. Nothing is called
    /// yet. `lease_ttl`: how long a lease lasts, where there are leases; no change takes longer than half of that.
    pub fn new(
        projects: &BTreeMap<ProjectId, ProjectConfiguration>,
        secret: Option<&DeploymentSecret>,
        public_url: Option<&Url>,
        lease_ttl: Option<Duration>,
    ) -> Result<Self, ReceiverResourcesError> {
        let mut clusters = BTreeMap::new();
        let mut urls = None;
        for (id, project) in projects {
            let Some(options) = wanting(project) else {
                continue;
            };
            let secret = secret.ok_or_else(|| ReceiverResourcesError::NoSecret(id.clone()))?;
            let base = public_url.ok_or_else(|| ReceiverResourcesError::NoPublicUrl(id.clone()))?;
            urls = Some(TriggerUrls {
                keys: HookKeys::new(secret),
                base: base.to_string(),
            });
            let connection = Connection::new(options, lease_ttl.map(|ttl| ttl / 2))
                .map_err(|error| ReceiverResourcesError::Connection(id.clone(), error))?;
            let namespaces = options.namespaces.clone();
            let cluster = Cluster {
                connection,
                namespaces,
            };
            clusters.insert(id.clone(), Arc::new(cluster));
        }
        Ok(Self { clusters, urls })
    }

    /// Whether one of `projects` wants it.
    pub fn are_wanted(projects: &BTreeMap<ProjectId, ProjectConfiguration>) -> bool {
        projects.values().any(|project| wanting(project).is_some())
    }

    /// For no project.
    pub fn none() -> Self {
        Self {
            clusters: BTreeMap::new(),
            urls: None,
        }
    }
}

/// How the cluster is reached, if receivers of the project are to be made of its custom resources.
fn wanting(project: &ProjectConfiguration) -> Option<&KubernetesConfiguration> {
    match &project.platform {
        PlatformConfiguration::Kubernetes(options) if options.receiver_resources => Some(options),
        _ => None,
    }
}
