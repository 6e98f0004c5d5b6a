//! How a Kubernetes API server is reached.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Border, ConfigurationError, PlatformConfiguration, ProjectConfiguration};
use crate::domain::ids::ProjectId;

/// How a Kubernetes API server is reached.
#[derive(Debug, Clone, Default)]
pub struct KubernetesConfiguration {
    /// The file with clusters, users and contexts; where there is none, the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// The context in that file, if not its current one.
    pub context: Option<String>,
    /// The namespaces that are acted upon; where there are none, all that its permissions allow.
    pub namespaces: Option<Vec<String>>,
    /// Whether `Receiver` objects in these namespaces are made receivers of the project.
    pub receiver_resources: bool,
}

impl KubernetesConfiguration {
    /// Whether an object can be meant for both, so far as that can be told from how they are reached.
    fn shares_objects_with(&self, other: &Self) -> bool {
        let in_both =
            |one: &Vec<String>, two: &Vec<String>| one.iter().any(|name| two.contains(name));
        let are_apart = match (&self.namespaces, &other.namespaces) {
            (Some(one), Some(two)) => !in_both(one, two),
            _ => false,
        };
        self.receiver_resources
            && other.receiver_resources
            && self.kubeconfig == other.kubeconfig
            && self.context == other.context
            && !are_apart
    }
}

/// Two projects that would make receivers of the same objects, if there are any.
pub(super) fn rivals(
    projects: &BTreeMap<ProjectId, ProjectConfiguration>,
) -> Option<(&ProjectId, &ProjectId)> {
    let clusters = projects
        .iter()
        .filter_map(|(id, project)| match &project.platform {
            PlatformConfiguration::Kubernetes(cluster) => Some((id, cluster)),
            _ => None,
        });
    let clusters: Vec<_> = clusters.collect();
    clusters
        .iter()
        .enumerate()
        .find_map(|(place, (one, cluster))| {
            let (two, _) = clusters[place + 1..]
                .iter()
                .find(|(_, other)| cluster.shares_objects_with(other))?;
            Some((*one, *two))
        })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KubernetesFile {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    namespaces: Option<Vec<String>>,
    #[serde(default)]
    receiver_resources: bool,
}

impl KubernetesFile {
    pub(super) fn check(
        self,
        border: &Border<'_>,
        key: &str,
    ) -> Result<KubernetesConfiguration, ConfigurationError> {
        if self.context.is_some() && self.kubeconfig.is_none() {
            let reason = "context names one of a kubeconfig, which is missing";
            return Err(border.invalid(key, reason));
        }
        if self.namespaces.as_ref().is_some_and(Vec::is_empty) {
            let reason = "is empty: name one at least, or leave it out for all";
            return Err(border.invalid(&format!("{key}.namespaces"), reason));
        }
        Ok(KubernetesConfiguration {
            kubeconfig: self.kubeconfig.map(|path| border.path(&path)),
            context: self.context,
            namespaces: self.namespaces,
            receiver_resources: self.receiver_resources,
        })
    }
}
