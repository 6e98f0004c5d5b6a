//! What a workload's JSON says: its scale, what it runs, and what of that a push concerns. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stormhook_shared::decide::{Container, Seen, ServiceSeen};
use stormhook_shared::domain::scaling::LARGEST_SCALE;

use super::address::Address;
use super::connection::FIELD_MANAGER;
use super::image;

/// The lists of containers in a pod's template.
pub(super) const CONTAINER_LISTS: [&str; 2] = ["containers", "initContainers"];

/// What a decision on the scale needs, by the scale subresource.
pub(super) fn see_scale(address: &Address, scale: &Value) -> Seen {
    Seen::Service(ServiceSeen {
        id: address.to_string(),
        name: address.shown(),
        scale: replicas(scale),
        version: version(scale),
        unscalable: None,
        autoscaled: None,
        containers: Vec::new(),
    })
}

/// What a decision on an upgrade needs, by the workload itself.
pub(super) fn see(address: &Address, object: &Value) -> Seen {
    if is_leaving(object) {
        let reason = format!("{} is being deleted", address.shown());
        return Seen::Gone { reason };
    }
    Seen::Service(ServiceSeen {
        id: address.to_string(),
        name: address.shown(),
        scale: replicas(object),
        version: version(object),
        unscalable: None,
        autoscaled: None,
        containers: containers(object),
    })
}

/// Its version, by which a change is refused that was decided from an older one.
pub(super) fn version(object: &Value) -> Option<String> {
    let version = object["metadata"]["resourceVersion"].as_str()?;
    Some(version.to_owned())
}

/// Somebody deleted it, and its finalizers are being waited for.
pub(super) fn is_leaving(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// A scale to be written over the one with this version, if that is still there.
pub(super) fn scale(address: &Address, to: u32, version: Option<&str>) -> Value {
    let mut metadata = json!({"namespace": address.namespace, "name": address.name});
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": metadata, "spec": {"replicas": to},
    })
}

/// A workload's labels.
pub(super) fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object["metadata"]["labels"].as_object();
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

/// A container in a workload's template, by its name.
pub(super) fn container<'a>(object: &'a Value, name: &str) -> Option<(&'static str, &'a Value)> {
    CONTAINER_LISTS.into_iter().find_map(|list| {
        let containers = object["spec"]["template"]["spec"][list].as_array()?;
        let found = containers.iter().find(|one| one["name"] == name)?;
        Some((list, found))
    })
}

/// Who changed it last, other than this, as far as that is recorded.
pub(super) fn last_changed_by(object: &Value) -> Option<&str> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let newest = entries
        .iter()
        .filter(|entry| entry["manager"] != FIELD_MANAGER)
        .max_by_key(|entry| entry["time"].as_str())?;
    newest["manager"].as_str()
}

/// The repositories that its containers' images are from.
pub(super) fn repositories(object: &Value) -> Vec<String> {
    let images = all_containers(object).filter_map(|container| container["image"].as_str());
    images
        .map(|image| image::repository(image).to_owned())
        .collect()
}

fn all_containers(object: &Value) -> impl Iterator<Item = &Value> {
    let template = &object["spec"]["template"]["spec"];
    CONTAINER_LISTS
        .into_iter()
        .flat_map(|list| template[list].as_array().into_iter().flatten())
}

fn containers(object: &Value) -> Vec<Container> {
    let labels = labels(object);
    all_containers(object)
        .filter_map(|container| {
            let image = container["image"].as_str()?;
            Some(Container {
                name: container["name"].as_str().map(str::to_owned),
                image: image.to_owned(),
                labels: labels.clone(),
                repository: Some(image::repository(image).to_owned()),
            })
        })
        .collect()
}

fn replicas(object: &Value) -> u32 {
    // A scale of 0 is left out in some versions.
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(0);
    u32::try_from(replicas).unwrap_or(LARGEST_SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({
            "metadata": {
                "namespace": "shop", "name": "web", "resourceVersion": "41", "labels": {"app": "web"},
                "managedFields": [
                    {"manager": "kubectl", "time": "2026-11-25T10:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                    {"manager": "argocd", "time": "2026-11-25T11:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                    {"manager": "stormhook", "time": "2026-11-25T12:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ],
            },
            "spec": {"replicas": 3, "template": {"spec": {
                "containers": [{"name": "web", "image": "nginx:1"}, {"name": "log", "image": "r.io:5000/log@sha256:a"}],
                "initContainers": [{"name": "prepare", "image": "nginx:1"}],
            }}},
        })
    }

    #[test]
    fn a_workload_tells_its_scale_and_its_containers() {
        let address = Address::parse("deployments/shop/web").unwrap();
        let Seen::Service(seen) = see(&address, &deployment()) else {
            panic!("it is there");
        };
        assert_eq!((seen.scale, seen.version.as_deref()), (3, Some("41")));
        let told: Vec<_> = seen
            .containers
            .iter()
            .map(|one| {
                (
                    one.name.as_deref().unwrap(),
                    one.repository.as_deref().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("web", "nginx"),
                ("log", "r.io:5000/log"),
                ("prepare", "nginx")
            ]
        );
        assert_eq!(
            container(&deployment(), "prepare").unwrap().0,
            "initContainers"
        );
        assert_eq!(last_changed_by(&deployment()), Some("argocd"));
    }

    #[test]
    fn one_that_is_being_deleted_is_gone() {
        let address = Address::parse("deployments/shop/web").unwrap();
        let mut object = deployment();
        object["metadata"]["deletionTimestamp"] = json!("2026-11-25T10:00:00Z");
        assert!(matches!(see(&address, &object), Seen::Gone { .. }));
    }
}
