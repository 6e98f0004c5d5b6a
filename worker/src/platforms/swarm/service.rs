//! What a service's JSON says: whether it can be scaled, from where, and what it runs. Pure.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};
use stormhook_shared::decide::{Container, MatchedService, Seen, ServiceSeen};
use stormhook_shared::domain::push::repository_of;
use stormhook_shared::domain::scaling::LARGEST_SCALE;
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::ports::platform::Target;

use crate::platforms::labels;

const STACK_LABEL: &str = "com.docker.stack.namespace";

/// A state of a service: the index that a write must name, and the counter of updates that were forced, by which one to
/// the same image is recognised. Written as `11-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) index: u64,
    pub(super) forced: u64,
}

impl Version {
    pub(super) fn of(service: &Value) -> Self {
        Self {
            index: service["Version"]["Index"].as_u64().unwrap_or(0),
            forced: forced(&service["Spec"]),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.index, self.forced)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (index, forced) = text.split_once('-').ok_or(())?;
        Ok(Self {
            index: index.parse().map_err(|_| ())?,
            forced: forced.parse().map_err(|_| ())?,
        })
    }
}

/// What a decision needs of the service that was asked for by `id`.
pub(super) fn see(id: &str, service: Option<&Value>) -> Seen {
    let Some(service) = service else {
        let reason = format!("there is no service {id}");
        return Seen::Gone { reason };
    };
    let name = name(service).to_owned();
    let spec = &service["Spec"];
    Seen::Service(ServiceSeen {
        id: id.to_owned(),
        scale: scale(spec),
        version: Some(Version::of(service).to_string()),
        unscalable: unscalable(spec, &name),
        autoscaled: None,
        containers: container(spec).into_iter().collect(),
        name,
    })
}

/// Why the service cannot be scaled, whatever its scale.
pub(super) fn unscalable(spec: &Value, name: &str) -> Option<String> {
    let mode = &spec["Mode"];
    if mode["Global"].is_object() {
        Some(format!(
            "service {name} is global: it runs once on every node and cannot be scaled"
        ))
    } else if mode["ReplicatedJob"].is_object() || mode["GlobalJob"].is_object() {
        Some(format!(
            "service {name} is a job, which runs to its end and cannot be scaled"
        ))
    } else {
        None
    }
}

/// The services that carry the labels and run an image.
pub(super) fn matching(selector: &Selector, all: &[Value]) -> Vec<MatchedService> {
    all.iter()
        .filter(|service| labels::are_selected(selector, &service["Spec"]["Labels"]))
        .filter_map(|service| {
            Some(MatchedService {
                id: name(service).to_owned(),
                name: name(service).to_owned(),
                repositories: Some(vec![repository_of(image(&service["Spec"])?).to_owned()]),
            })
        })
        .collect()
}

/// The service as something to choose, if it can be scaled.
pub(super) fn target(service: &Value) -> Option<Target> {
    let spec = &service["Spec"];
    let name = name(service);
    if unscalable(spec, name).is_some() {
        return None;
    }
    Some(Target::Service {
        id: name.to_owned(),
        name: name.to_owned(),
        stack: spec["Labels"][STACK_LABEL].as_str().map(str::to_owned),
        scale: scale(spec),
    })
}

/// The same specification with another scale, and nothing else changed.
pub(super) fn scaled(mut spec: Value, to: u32) -> Value {
    spec["Mode"]["Replicated"]["Replicas"] = json!(to);
    spec
}

/// A service's name. It stays while the id changes each time that a stack is deployed anew, and nobody can rename a
/// service: it is what services are called here.
pub(super) fn name(service: &Value) -> &str {
    service["Spec"]["Name"].as_str().unwrap_or_default()
}

/// The image that a service's containers run.
pub(super) fn image(spec: &Value) -> Option<&str> {
    spec["TaskTemplate"]["ContainerSpec"]["Image"].as_str()
}

/// How often an update was forced.
pub(super) fn forced(spec: &Value) -> u64 {
    spec["TaskTemplate"]["ForceUpdate"].as_u64().unwrap_or(0)
}

/// The desired scale.
pub(super) fn scale(spec: &Value) -> u32 {
    // Swarm takes a service without a number for one with one replica.
    let replicas = spec["Mode"]["Replicated"]["Replicas"].as_u64().unwrap_or(1);
    u32::try_from(replicas).unwrap_or(LARGEST_SCALE)
}

fn container(spec: &Value) -> Option<Container> {
    let image = image(spec)?;
    Some(Container {
        name: None,
        image: image.to_owned(),
        repository: Some(repository_of(image).to_owned()),
        labels: labels::of(&spec["Labels"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(mode: &Value) -> Value {
        json!({
            "ID": "yhzfx3876", "Version": {"Index": 11},
            "Spec": {
                "Name": "web", "Labels": {"App": "web", "com.docker.stack.namespace": "shop"}, "Mode": mode,
                "TaskTemplate": {"ContainerSpec": {"Image": "example/web:v1@sha256:aa"}, "ForceUpdate": 2},
                "SomethingNew": {"a": 1},
            },
        })
    }

    #[test]
    fn a_replicated_service_is_seen_with_its_desired_scale_and_version() {
        let web = service(&json!({"Replicated": {"Replicas": 3}}));
        let Seen::Service(seen) = see("web", Some(&web)) else {
            panic!("it is there");
        };
        assert_eq!((seen.scale, seen.unscalable), (3, None));
        assert_eq!(seen.version.as_deref(), Some("11-2"));
        assert_eq!("11-2".parse(), Ok(Version::of(&web)));
        assert_eq!(
            seen.containers[0].repository.as_deref(),
            Some("example/web")
        );
        assert_eq!(scale(&service(&json!({"Replicated": {}}))["Spec"]), 1);
        assert!(matches!(see("web", None), Seen::Gone { .. }));
    }

    #[test]
    fn what_cannot_be_scaled_is_said() {
        for (mode, says) in [
            (json!({"Global": {}}), "is global"),
            (json!({"ReplicatedJob": {"MaxConcurrent": 1}}), "is a job"),
            (json!({"GlobalJob": {}}), "is a job"),
        ] {
            let service = service(&mode);
            let reason = unscalable(&service["Spec"], "web").unwrap();
            assert!(reason.contains(says), "{reason}");
            assert_eq!(target(&service), None);
        }
    }

    #[test]
    fn nothing_but_the_scale_is_changed() {
        let web = service(&json!({"Replicated": {"Replicas": 3}}));
        let mut expected = web["Spec"].clone();
        expected["Mode"]["Replicated"]["Replicas"] = json!(7);
        assert_eq!(scaled(web["Spec"].clone(), 7), expected);
    }

    #[test]
    fn services_are_found_by_all_their_labels_and_called_by_name() {
        let all = [service(&json!({"Global": {}}))];
        let selected = |key: &str| matching(&Selector::parse(key).unwrap(), &all);
        assert_eq!(selected("app=WEB")[0].id, "web");
        assert!(selected("app=web")[0].takes("docker.io/example/web"));
        assert!(!selected("app=web")[0].takes("example/api"));
        assert_eq!(selected("app=web&tier=x").len(), 0);
    }
}
