//! How a Kubernetes API server is reached.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Border, ConfigurationError};

/// How a Kubernetes API server is reached.
#[derive(Debug, Clone, Default)]
pub struct KubernetesConfiguration {
    /// The file with clusters, users and contexts; where there is none, the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// The context in that file, if not its current one.
    pub context: Option<String>,
    /// The namespaces that are acted upon; where there are none, all that its permissions allow.
    pub namespaces: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KubernetesFile {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    namespaces: Option<Vec<String>>,
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
        })
    }
}
