//! What a service's JSON says: whether it can be scaled, and from where. Pure.

use std::collections::BTreeMap;

use serde_json::Value;
use stormhook_shared::decide::{Seen, ServiceSeen};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::scaling::LARGEST_SCALE;
use stormhook_shared::ports::platform::{PlatformError, Target};

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

/// Why a service cannot be scaled.
pub(super) enum Problem {
    Gone(String),
    Unsupported(String),
}

impl Problem {
    /// The reason.
    pub(super) fn into_sentence(self) -> String {
        match self {
            Self::Gone(sentence) | Self::Unsupported(sentence) => sentence,
        }
    }
}

/// The service id in `service/<project>/<id>`.
pub(super) fn id_in(group: &GroupKey) -> Option<&str> {
    let (kind, rest) = group.as_str().split_once('/')?;
    let (_, id) = rest.split_once('/')?;
    (kind == "service").then_some(id)
}

/// What a decision needs of the service with this id.
pub(super) fn see(id: &str, service: Option<&Value>) -> Result<Seen, PlatformError> {
    match kind_of_problem(id, service) {
        Some(Problem::Gone(reason)) => return Ok(Seen::Gone { reason }),
        Some(Problem::Unsupported(reason)) => return Ok(Seen::Unsupported { reason }),
        None => {}
    }
    let service = service.unwrap_or(&Value::Null);
    let state = service["state"].as_str().unwrap_or_default();
    let name = name_of(service, id);
    if UNSAFE_STATES.contains(&state) {
        return Err(PlatformError::Transient {
            message: format!("service {name} is {state}, and cannot be scaled before that ends"),
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
        name,
        scale,
        version: None,
    }))
}

/// Why the service cannot be scaled, whatever its scale.
pub(super) fn kind_of_problem(id: &str, service: Option<&Value>) -> Option<Problem> {
    let Some(service) = service else {
        return Some(Problem::Gone(format!("there is no service {id}")));
    };
    let name = name_of(service, id);
    let state = service["state"].as_str().unwrap_or_default();
    if !service["removed"].is_null() || GONE_STATES.contains(&state) {
        return Some(Problem::Gone(format!("service {name} was removed")));
    }
    let kind = service["type"].as_str().unwrap_or_default();
    let launch = &service["launchConfig"];
    let reason = if !matches!(kind, "service" | "loadBalancerService") {
        format!("service {name} is a {kind}, which has no containers to scale")
    } else if launch.is_null()
        || launch["imageUuid"]
            .as_str()
            .is_none_or(|image| image == NO_IMAGE)
    {
        format!("service {name} has no image, so it has no containers to scale")
    } else if is_global(service) {
        format!("service {name} is global: it runs once on every host and cannot be scaled")
    } else if !service["scalePolicy"].is_null() {
        format!("service {name} is scaled by its own scale policy")
    } else {
        return None;
    };
    Some(Problem::Unsupported(reason))
}

/// The service as something to choose, if it can be scaled.
pub(super) fn target(service: &Value, stacks: &BTreeMap<String, String>) -> Option<Target> {
    let id = service["id"].as_str()?;
    match see(id, Some(service)) {
        Ok(Seen::Service(seen)) => Some(Target::Service {
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

/// How often each label stands in these objects.
pub(super) fn count_labels<'a>(
    labels: impl Iterator<Item = &'a Value>,
) -> BTreeMap<(String, String), u32> {
    let mut counts = BTreeMap::new();
    for (key, value) in labels.filter_map(Value::as_object).flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        *counts.entry((key.clone(), value)).or_default() += 1;
    }
    counts
}

/// The label counts in any case, and those of sidekicks count too.
fn is_global(service: &Value) -> bool {
    let sidekicks = service["secondaryLaunchConfigs"].as_array();
    let sidekicks = sidekicks.into_iter().flatten();
    std::iter::once(&service["launchConfig"])
        .chain(sidekicks)
        .filter_map(|config| config["labels"].as_object())
        .flatten()
        .any(|(key, value)| {
            key.eq_ignore_ascii_case(GLOBAL_LABEL)
                && value
                    .to_string()
                    .trim_matches('"')
                    .eq_ignore_ascii_case("true")
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
            (json!({"type": "dnsService"}), "dnsService"),
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
            let problem = kind_of_problem("1s5", Some(&service(&change)));
            let sentence = problem.map(Problem::into_sentence).unwrap_or_default();
            assert!(
                sentence.contains("web") && sentence.contains(says),
                "{change}: {sentence}"
            );
        }
        assert!(
            kind_of_problem("1s9", None)
                .is_some_and(|problem| problem.into_sentence().contains("1s9"))
        );
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
