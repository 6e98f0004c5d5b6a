//! What receivers can be made for: lists for people to choose from.

use std::collections::BTreeMap;

use serde_json::Value;
use stormhook_shared::ports::platform::{PlatformError, Target, TargetKind};

use super::address::{Address, Workload};
use super::discovery::Sort;
use super::{Kubernetes, machine, workload};

/// What has a scale of its own.
const SCALABLE: [Workload; 3] = [
    Workload::Deployment,
    Workload::StatefulSet,
    Workload::ReplicaSet,
];

impl Kubernetes {
    pub(super) async fn choices(&self, of: TargetKind) -> Result<Vec<Target>, PlatformError> {
        match of {
            TargetKind::Service => self.services().await,
            TargetKind::HostLabel => {
                let counts = self.pool_labels().await?;
                let target = |((key, value), count)| Target::HostLabel { key, value, count };
                Ok(counts.into_iter().map(target).collect())
            }
            TargetKind::ServiceLabel => {
                let counts = self.workload_labels().await?;
                let target = |((key, value), count)| Target::ServiceLabel { key, value, count };
                Ok(counts.into_iter().map(target).collect())
            }
        }
    }

    async fn services(&self) -> Result<Vec<Target>, PlatformError> {
        let mut all = Vec::new();
        for kind in SCALABLE {
            for namespace in self.namespaces() {
                let path = Sort::from(kind).path(namespace);
                let found = self
                    .connection
                    .list(&path, None, |one| target(kind, one))
                    .await?;
                all.extend(found.unwrap_or_default());
            }
        }
        Ok(all)
    }

    async fn workload_labels(&self) -> Result<Counts, PlatformError> {
        let mut counts = Counts::new();
        for kind in Workload::UPGRADABLE {
            for namespace in self.namespaces() {
                let path = Sort::from(kind).path(namespace);
                let keep = |one: &Value| Some(workload::labels(one));
                let found = self.connection.list_metadata(&path, keep).await?;
                count(&mut counts, found);
            }
        }
        Ok(counts)
    }

    async fn pool_labels(&self) -> Result<Counts, PlatformError> {
        let mut counts = Counts::new();
        let Some(sort) = self.sort(machine::GROUP, "machinedeployments").await? else {
            return Ok(counts);
        };
        for namespace in self.namespaces() {
            let keep = |one: &Value| {
                let mut labels = workload::labels(&one["spec"]["template"]);
                labels.extend(workload::labels(one));
                Some(labels)
            };
            let found = self
                .connection
                .list(&sort.path(namespace), None, keep)
                .await?;
            count(&mut counts, found);
        }
        Ok(counts)
    }
}

/// How often each label stands.
type Counts = BTreeMap<(String, String), u32>;

fn count(counts: &mut Counts, found: Option<Vec<BTreeMap<String, String>>>) {
    for label in found.into_iter().flatten().flatten() {
        *counts.entry(label).or_default() += 1;
    }
}

/// The workload as something to choose. A ReplicaSet with an owner is scaled by that.
fn target(kind: Workload, object: &Value) -> Option<Target> {
    let metadata = &object["metadata"];
    let is_owned = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty());
    if workload::is_leaving(object) || (is_owned && kind == Workload::ReplicaSet) {
        return None;
    }
    let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
    Some(Target::Service {
        id: Address::of(kind, namespace, name).to_string(),
        name: name.to_owned(),
        stack: Some(namespace.to_owned()),
        scale: machine::number(&object["spec"]["replicas"]).unwrap_or(0),
    })
}
