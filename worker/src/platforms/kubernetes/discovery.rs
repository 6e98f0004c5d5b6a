//! What sorts of things an API server knows, as far as they are not the same everywhere: the version of a group and the
//! kind of a resource. Asked once and remembered; forgotten when something is not found where it was.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use stormhook_shared::ports::platform::PlatformError;

use super::address::{Address, Resource, Workload};
use super::answer;
use super::connection::Connection;

/// A sort of things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    plural: String,
    pub(super) has_scale: bool,
}

impl Sort {
    /// The path of those in a namespace; of all where there is none.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let Self {
            group,
            version,
            plural,
            ..
        } = self;
        match namespace {
            Some(namespace) => format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("/apis/{group}/{version}/{plural}"),
        }
    }

    /// The path of one of them.
    pub(super) fn path_of(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.path(Some(namespace)))
    }
}

impl From<Workload> for Sort {
    fn from(workload: Workload) -> Self {
        let kind = match workload {
            Workload::Deployment => "Deployment",
            Workload::StatefulSet => "StatefulSet",
            Workload::DaemonSet => "DaemonSet",
            Workload::ReplicaSet => "ReplicaSet",
        };
        Self {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: workload.plural().to_owned(),
            has_scale: workload != Workload::DaemonSet,
        }
    }
}

#[derive(Default)]
pub(super) struct Discovery {
    known: Mutex<HashMap<(String, String), Sort>>,
}

impl Discovery {
    /// The sort of what `address` names; `None` where the server knows none.
    pub(super) async fn sort_of(
        &self,
        connection: &Connection,
        address: &Address,
    ) -> Result<Option<Sort>, PlatformError> {
        match &address.resource {
            Resource::Apps(workload) => Ok(Some((*workload).into())),
            Resource::Custom { plural, group } => self.sort(connection, group, plural).await,
        }
    }

    /// The sort with this plural of this group, in the version that the server prefers.
    pub(super) async fn sort(
        &self,
        connection: &Connection,
        group: &str,
        plural: &str,
    ) -> Result<Option<Sort>, PlatformError> {
        let key = (group.to_owned(), plural.to_owned());
        if let Some(sort) = self.known().get(&key) {
            return Ok(Some(sort.clone()));
        }
        let told = answer::optional(connection.get(&format!("/apis/{group}")).await)?;
        let Some(told) = told else { return Ok(None) };
        // The preferred one may lack a resource that another has.
        for version in versions(&told) {
            let path = format!("/apis/{group}/{version}");
            let resources = answer::optional(connection.get(&path).await)?;
            let found = resources.and_then(|told| sort(group, &version, plural, &told));
            if let Some(found) = found {
                self.known().insert(key, found.clone());
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Something was not found where it should be: the server may have changed.
    pub(super) fn forget(&self, sort: &Sort) {
        self.known()
            .remove(&(sort.group.clone(), sort.plural.clone()));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Sort>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group's versions, the preferred one first.
fn versions(group: &Value) -> Vec<String> {
    let preferred = group["preferredVersion"]["version"].as_str();
    let all = group["versions"].as_array().into_iter().flatten();
    let mut versions: Vec<_> = preferred.into_iter().map(str::to_owned).collect();
    for version in all.filter_map(|version| version["version"].as_str()) {
        if Some(version) != preferred {
            versions.push(version.to_owned());
        }
    }
    versions
}

fn sort(group: &str, version: &str, plural: &str, told: &Value) -> Option<Sort> {
    let resources = told["resources"].as_array()?;
    let named = |name: &str| resources.iter().find(|resource| resource["name"] == name);
    let resource = named(plural)?;
    Some(Sort {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: resource["kind"].as_str()?.to_owned(),
        plural: plural.to_owned(),
        has_scale: named(&format!("{plural}/scale")).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_preferred_version_comes_first() {
        let group = json!({"preferredVersion": {"version": "v1beta2"},
            "versions": [{"version": "v1beta1"}, {"version": "v1beta2"}]});
        assert_eq!(versions(&group), ["v1beta2", "v1beta1"]);
    }

    #[test]
    fn a_resource_tells_its_kind_and_whether_it_has_a_scale() {
        let told = json!({"resources": [
            {"name": "rollouts", "kind": "Rollout"}, {"name": "rollouts/scale", "kind": "Scale"},
            {"name": "analyses", "kind": "Analysis"}]});
        let found = sort("argoproj.io", "v1", "rollouts", &told).unwrap();
        assert_eq!((found.kind.as_str(), found.has_scale), ("Rollout", true));
        assert_eq!(
            found.path_of("shop", "web"),
            "/apis/argoproj.io/v1/namespaces/shop/rollouts/web"
        );
        assert!(
            !sort("argoproj.io", "v1", "analyses", &told)
                .unwrap()
                .has_scale
        );
        assert!(sort("argoproj.io", "v1", "others", &told).is_none());
    }
}
