//! What a service's JSON says: whether it can be scaled, from where, and what it runs. Pure.

use std::collections::BTreeMap;

use serde_json::Value;
use stormhook_shared::decide::{Container, MatchedService, Seen, ServiceSeen};
use stormhook_shared::domain::scaling::LARGEST_SCALE;
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::ports::platform::{PlatformError, Target};

use crate::platforms::labels;

const GLOBAL_LABEL: &str = "io.rancher.scheduler.global";
const NO_IMAGE: &str = "docker:rancher/none";
/// States in which Cattle stores a new scale but answers 409, or may end the state early: wait for their end.
const UNSAFE_STATES: [&str; 7] = [
    "registering",
    "deactivating",
    "restarting",
    "upgrading",
    "rolling-back",
    "canceling-upgrade",
    "finishing-upgrade",
];
const GONE_STATES: [&str; 4] = ["removing", "removed", "purging", "purged"];

/// What a decision needs of the service with this id.
pub(super) fn see(id: &str, service: Option<&Value>) -> Result<Seen, PlatformError> {
    let service = match there(id, service) {
        Ok(service) => service,
        Err(reason) => return Ok(Seen::Gone { reason }),
    };
    let state = service["state"].as_str().unwrap_or_default();
    let name = name_of(service, id);
    if UNSAFE_STATES.contains(&state) {
        return Err(PlatformError::Transient {
            message: format!("service {name} is {state}, and cannot be changed before that ends"),
            retry_after: None,
            is_untouched: true,
            is_down: false,
        });
    }
    // A scale of 0 may be left out by the server.
    let scale = service["scale"].as_u64().unwrap_or(0);
    let scale = u32::try_from(scale).unwrap_or(LARGEST_SCALE);
    Ok(Seen::Service(ServiceSeen {
        id: id.to_owned(),
        scale,
        version: None,
        unscalable: unscalable(service, &name),
        autoscaled: None,
        containers: containers(service),
        name,
    }))
}

/// Why the service cannot be scaled, whatever its scale.
pub(super) fn problem(id: &str, service: Option<&Value>) -> Option<String> {
    match there(id, service) {
        Ok(service) => unscalable(service, &name_of(service, id)),
        Err(reason) => Some(reason),
    }
}

/// The services of which a container carries the labels.
pub(super) fn matching(selector: &Selector, all: &[Value]) -> Vec<MatchedService> {
    let matches = |service: &&Value| {
        configs(service).any(|config| labels::are_selected(selector, &config["labels"]))
    };
    all.iter()
        .filter(matches)
        .filter_map(|service| {
            let id = service["id"].as_str()?;
            there(id, Some(service)).ok()?;
            Some(MatchedService {
                id: id.to_owned(),
                name: name_of(service, id),
                // As in Rancher 1.6, the labels alone say which containers get the image.
                repositories: None,
            })
        })
        .collect()
}

/// The configurations of a service's containers, the primary one first.
pub(super) fn configs(service: &Value) -> impl Iterator<Item = &Value> {
    let sidekicks = service["secondaryLaunchConfigs"].as_array();
    std::iter::once(&service["launchConfig"])
        .filter(|config| config.is_object())
        .chain(sidekicks.into_iter().flatten())
}

fn containers(service: &Value) -> Vec<Container> {
    let is_primary = |config: &Value| std::ptr::eq(config, &raw const service["launchConfig"]);
    configs(service)
        .map(|config| Container {
            name: (!is_primary(config)).then(|| name_of(config, "")),
            image: config["imageUuid"].as_str().unwrap_or_default().to_owned(),
            repository: None,
            labels: labels::of(&config["labels"]),
        })
        .collect()
}

/// The service, or the sentence that says that it is gone.
fn there<'a>(id: &str, service: Option<&'a Value>) -> Result<&'a Value, String> {
    let Some(service) = service else {
        return Err(format!("there is no service {id}"));
    };
    let state = service["state"].as_str().unwrap_or_default();
    if !service["removed"].is_null() || GONE_STATES.contains(&state) {
        return Err(format!("service {} was removed", name_of(service, id)));
    }
    Ok(service)
}

fn unscalable(service: &Value, name: &str) -> Option<String> {
    let kind = service["type"].as_str().unwrap_or_default();
    let launch = &service["launchConfig"];
    if !matches!(kind, "service" | "loadBalancerService") {
        let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        Some(format!(
            "service {name} is {article} {kind}, which has no containers to scale"
        ))
    } else if launch["imageUuid"]
        .as_str()
        .is_none_or(|image| image == NO_IMAGE)
    {
        Some(format!(
            "service {name} has no image, so it has no containers to scale"
        ))
    } else if is_global(service) {
        Some(format!(
            "service {name} is global: it runs once on every host and cannot be scaled"
        ))
    } else if !service["scalePolicy"].is_null() {
        Some(format!("service {name} is scaled by its own scale policy"))
    } else {
        None
    }
}

/// The service as something to choose, if it can be scaled.
pub(super) fn target(service: &Value, stacks: &BTreeMap<String, String>) -> Option<Target> {
    let id = service["id"].as_str()?;
    match see(id, Some(service)) {
        Ok(Seen::Service(seen)) if seen.unscalable.is_none() => Some(Target::Service {
            id: seen.id,
            name: seen.name,
            stack: service["stackId"]
                .as_str()
                .and_then(|stack| stacks.get(stack))
                .cloned(),
            scale: seen.scale,
        }),
        _ => None,
    }
}

/// The label counts in any case, and those of sidekicks count too.
fn is_global(service: &Value) -> bool {
    configs(service)
        .flat_map(|config| labels::of(&config["labels"]))
        .any(|(key, value)| {
            key.eq_ignore_ascii_case(GLOBAL_LABEL) && value.eq_ignore_ascii_case("true")
        })
}

fn name_of(service: &Value, id: &str) -> String {
    service["name"].as_str().unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(change: &Value) -> Value {
        let mut service = json!({
            "id": "1s5", "type": "service", "name": "web", "state": "active", "scale": 3, "removed": null,
            "launchConfig": {"imageUuid": "docker:nginx", "labels": {}},
        });
        for (key, value) in change.as_object().unwrap() {
            service[key] = value.clone();
        }
        service
    }

    #[test]
    fn a_plain_service_is_seen_with_its_desired_scale() {
        let Ok(Seen::Service(seen)) = see("1s5", Some(&service(&json!({"currentScale": 1}))))
        else {
            panic!("it can be scaled");
        };
        assert_eq!((seen.name.as_str(), seen.scale), ("web", 3));
        let Ok(Seen::Service(seen)) = see("1s5", Some(&service(&json!({"scale": null})))) else {
            panic!("it can be scaled");
        };
        assert_eq!(seen.scale, 0);
    }

    #[test]
    fn what_cannot_be_scaled_is_said() {
        for (change, says) in [
            (json!({"type": "dnsService"}), "is a dnsService"),
            (json!({"type": "externalService"}), "is an externalService"),
            (json!({"launchConfig": null}), "no image"),
            (json!({"launchConfig": {"imageUuid": NO_IMAGE}}), "no image"),
            (
                json!({"launchConfig": {"imageUuid": "docker:a", "labels": {"IO.rancher.scheduler.GLOBAL": "True"}}}),
                "global",
            ),
            (
                json!({"secondaryLaunchConfigs": [{"labels": {GLOBAL_LABEL: "true"}}]}),
                "global",
            ),
            (json!({"scalePolicy": {"min": 1}}), "scale policy"),
            (json!({"removed": "2026-01-01T00:00:00Z"}), "removed"),
            (json!({"state": "removing"}), "removed"),
        ] {
            let sentence = problem("1s5", Some(&service(&change))).unwrap_or_default();
            assert!(
                sentence.contains("web") && sentence.contains(says),
                "{change}: {sentence}"
            );
        }
        assert!(problem("1s9", None).is_some_and(|sentence| sentence.contains("1s9")));
    }

    /// rancher/rancher issue 7932: labels of sidekicks were not looked at.
    #[test]
    fn a_service_matches_by_any_of_its_containers() {
        let sidekick =
            json!({"name": "log", "imageUuid": "docker:log:1", "labels": {"App": "Log"}});
        let all = [
            service(&json!({"secondaryLaunchConfigs": [sidekick]})),
            service(&json!({"id": "1s6", "launchConfig": null})),
            service(
                &json!({"id": "1s7", "state": "removing", "launchConfig": {"labels": {"app": "log"}}}),
            ),
        ];
        let found = matching(&Selector::parse("app=log").unwrap(), &all);
        let ids: Vec<_> = found.iter().map(|service| service.id.as_str()).collect();
        assert_eq!(ids, ["1s5"]);
        let Ok(Seen::Service(seen)) = see("1s5", Some(&all[0])) else {
            panic!("it is there");
        };
        let names: Vec<_> = seen
            .containers
            .iter()
            .map(|one| one.name.as_deref())
            .collect();
        assert_eq!(names, [None, Some("log")]);
    }

    #[test]
    fn an_unsafe_state_is_waited_out() {
        let seen = see("1s5", Some(&service(&json!({"state": "upgrading"}))));
        assert!(matches!(
            seen,
            Err(PlatformError::Transient {
                is_untouched: true,
                is_down: false,
                ..
            })
        ));
    }
}
