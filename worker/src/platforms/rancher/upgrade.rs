//! Takes one service through an in-service upgrade: what the service's JSON says of how far it is, and what has to be
//! done next. Pure, but for [`step`].

use serde_json::{Value, json};
use stormhook_shared::domain::ledger::UpgradedContainer;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::push::Push;
use stormhook_shared::ports::platform::{Notes, PlatformError, Step};

use super::connection::Connection;

const PULL_LABEL: &str = "io.rancher.container.pull_image";
/// The upgrade call was made, whatever became of it.
const TRIED: &str = "upgrade tried";
/// The upgrade call was answered well.
const BEGUN: &str = "upgrade begun";

/// The upgrade of some containers of one service to one image.
pub(super) struct Upgrade<'a> {
    pub(super) service_id: &'a str,
    pub(super) name: &'a str,
    pub(super) push: &'a Push,
    pub(super) containers: &'a [UpgradedContainer],
    pub(super) batch_size: u32,
    pub(super) interval_millis: u64,
    pub(super) start_first: bool,
}

/// What is known of an upgrade besides what can be seen.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// This process began it.
    is_begun: bool,
    /// This process or one before may have begun it.
    may_have_begun: bool,
}

/// What has to be done next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Upgrade,
    Act(&'static str),
    Is(Step),
}

/// Makes the call that is due now, if one is.
pub(super) async fn step(
    connection: &Connection,
    upgrade: &Upgrade<'_>,
    notes: &mut Notes,
) -> Result<Step, PlatformError> {
    let path = ["services", upgrade.service_id];
    let service = connection.get(&path).await?;
    let is_begun = notes.has_begun(BEGUN);
    let known = Known {
        is_begun,
        may_have_begun: is_begun || notes.is_resumed || notes.has_begun(TRIED),
    };
    let state = match next(upgrade, service.as_ref(), known) {
        Next::Is(step) => return Ok(step),
        Next::Act(action) => {
            let service = service.unwrap_or_default();
            let timeout = connection.change_timeout();
            // Its own upgrade is finished even late: a service that is left `upgraded` takes no other.
            let is_own = known.may_have_begun && upgrade.is_reached(&service);
            let permitted = if is_own {
                notes.permit_last(timeout)
            } else {
                notes.permit(timeout)
            };
            match permitted {
                Err(PlatformError::DeadlineOver) => return Ok(underway(upgrade, &service)),
                permitted => permitted?,
            }
            connection.act(&path, action, &json!({})).await?
        }
        Next::Upgrade => {
            let service = service.unwrap_or_default();
            let body = request(upgrade, &service);
            match notes.permit(connection.change_timeout()) {
                Err(PlatformError::DeadlineOver) => return Ok(underway(upgrade, &service)),
                permitted => permitted?,
            }
            notes.begin(TRIED);
            let answer = connection.act(&path, "upgrade", &body).await?;
            notes.begin(BEGUN);
            answer
        }
    };
    Ok(underway(upgrade, &state))
}

fn next(upgrade: &Upgrade<'_>, service: Option<&Value>, known: Known) -> Next {
    let name = upgrade.name;
    let failed = |code, message| Next::Is(Step::Failed { code, message });
    let Some(service) = service.filter(|service| service["removed"].is_null()) else {
        let message = format!("service {name} was removed before its upgrade ended");
        return failed(Code::ServiceRemoved, message);
    };
    let runs_goal = upgrade.is_reached(service);
    let state = service["state"].as_str().unwrap_or_default();
    match state {
        "removing" | "removed" | "purging" | "purged" => {
            let message = format!("service {name} was removed before its upgrade ended");
            failed(Code::ServiceRemoved, message)
        }
        // Whoever's upgrade it is: until it is finished, no other can begin.
        "upgraded" => Next::Act("finishupgrade"),
        "canceled-upgrade" if known.may_have_begun && runs_goal => {
            let message = format!(
                "somebody cancelled the upgrade of {name}, which is left in state canceled-upgrade"
            );
            failed(Code::UpgradeFailed, message)
        }
        "canceled-upgrade" => Next::Act("rollback"),
        "active" if runs_goal && known.is_begun => Next::Is(Step::Done),
        // Where it ran the image before, nobody can tell whether the upgrade was begun; another one does no harm.
        "active" if runs_goal && known.may_have_begun && !upgrade.ran_goal() => {
            Next::Is(Step::Done)
        }
        "active" | "inactive" if known.is_begun && !runs_goal => {
            let message =
                format!("somebody rolled the upgrade of {name} back; it is {state} again");
            failed(Code::UpgradeFailed, message)
        }
        "active" | "inactive" if !known.is_begun => Next::Upgrade,
        // A service that starts or changes its scale without end can still be upgraded.
        "activating" | "updating-active" if !known.may_have_begun => Next::Upgrade,
        _ => Next::Is(underway(upgrade, service)),
    }
}

fn underway(upgrade: &Upgrade<'_>, service: &Value) -> Step {
    let state = service["state"].as_str().unwrap_or_default();
    let why = match service["transitioningMessage"].as_str() {
        Some(why) if !why.is_empty() => format!(" ({why})"),
        _ => String::new(),
    };
    Step::Underway {
        what: format!("{} is {state}{why}", upgrade.name),
    }
}

/// The whole stored configuration of each container, with another image: Cattle replaces it by what it is sent, and
/// whoever sends only what he knows of loses the rest. Sidekicks that are not sent stay as they are.
fn request(upgrade: &Upgrade<'_>, service: &Value) -> Value {
    let mut strategy = json!({
        "batchSize": upgrade.batch_size,
        "intervalMillis": upgrade.interval_millis,
        "startFirst": upgrade.start_first,
    });
    let mut sidekicks = Vec::new();
    for container in upgrade.containers {
        let Some(config) = config_of(service, container) else {
            continue;
        };
        let mut config = config.clone();
        config["imageUuid"] = json!(upgrade.goal());
        if !config["labels"].is_object() {
            config["labels"] = json!({});
        }
        config["labels"][PULL_LABEL] = json!("always");
        match &container.name {
            None => strategy["launchConfig"] = config,
            Some(_) => sidekicks.push(config),
        }
    }
    if !sidekicks.is_empty() {
        strategy["secondaryLaunchConfigs"] = json!(sidekicks);
    }
    // Cattle upgrades no load balancer without it.
    if service["type"] == "loadBalancerService" && strategy["launchConfig"].is_null() {
        strategy["launchConfig"] = service["launchConfig"].clone();
    }
    json!({"inServiceStrategy": strategy})
}

impl Upgrade<'_> {
    fn goal(&self) -> String {
        format!("docker:{}", self.push)
    }

    /// Whether all containers have the pushed image.
    fn is_reached(&self, service: &Value) -> bool {
        let goal = self.goal();
        self.containers.iter().all(|container| {
            config_of(service, container).is_some_and(|config| config["imageUuid"] == goal.as_str())
        })
    }

    /// Whether all containers had it before.
    fn ran_goal(&self) -> bool {
        let goal = self.goal();
        self.containers
            .iter()
            .all(|container| container.image == goal)
    }
}

fn config_of<'a>(service: &'a Value, container: &UpgradedContainer) -> Option<&'a Value> {
    match &container.name {
        None => service
            .get("launchConfig")
            .filter(|config| config.is_object()),
        Some(name) => service["secondaryLaunchConfigs"]
            .as_array()?
            .iter()
            .find(|config| config["name"] == name.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: &str = "docker:example/web:v2";
    const OLD: &str = "docker:example/web:v1";

    fn push() -> Push {
        Push {
            image: "example/web".to_owned(),
            tag: "v2".to_owned().try_into().unwrap(),
            digest: None,
        }
    }

    fn with_upgrade<T>(old: &str, check: impl FnOnce(&Upgrade<'_>) -> T) -> T {
        check(&Upgrade {
            service_id: "1s5",
            name: "web",
            push: &push(),
            containers: &[UpgradedContainer {
                name: None,
                image: old.to_owned(),
            }],
            batch_size: 2,
            interval_millis: 2_000,
            start_first: true,
        })
    }

    fn service(state: &str, image: &str) -> Value {
        json!({
            "id": "1s5", "type": "service", "state": state, "removed": null,
            "launchConfig": {"imageUuid": image, "labels": {"app": "web"}, "secrets": [{"id": "1sec1"}], "drainTimeoutMs": 5},
            "secondaryLaunchConfigs": [{"name": "log", "imageUuid": "docker:example/log:v1", "labels": {"app": "web"}}],
        })
    }

    const NEW: Known = Known {
        is_begun: false,
        may_have_begun: false,
    };
    const RESUMED: Known = Known {
        is_begun: false,
        may_have_begun: true,
    };
    const BEGUN: Known = Known {
        is_begun: true,
        may_have_begun: true,
    };

    fn code(next: &Next) -> Option<Code> {
        match next {
            Next::Is(Step::Failed { code, .. }) => Some(*code),
            _ => None,
        }
    }

    #[test]
    fn each_state_met_is_led_to_the_upgrades_end() {
        for (state, image, known, expected) in [
            ("active", OLD, NEW, Some(Next::Upgrade)),
            ("inactive", OLD, NEW, Some(Next::Upgrade)),
            ("active", GOAL, NEW, Some(Next::Upgrade)),
            ("upgraded", OLD, NEW, Some(Next::Act("finishupgrade"))),
            ("upgraded", GOAL, BEGUN, Some(Next::Act("finishupgrade"))),
            ("upgraded", GOAL, RESUMED, Some(Next::Act("finishupgrade"))),
            ("canceled-upgrade", OLD, NEW, Some(Next::Act("rollback"))),
            ("active", GOAL, BEGUN, Some(Next::Is(Step::Done))),
            ("active", GOAL, RESUMED, Some(Next::Is(Step::Done))),
            ("active", OLD, RESUMED, Some(Next::Upgrade)),
            ("upgrading", GOAL, BEGUN, None),
            ("finishing-upgrade", GOAL, BEGUN, None),
            ("rolling-back", OLD, NEW, None),
        ] {
            let next = with_upgrade(OLD, |upgrade| {
                next(upgrade, Some(&service(state, image)), known)
            });
            match expected {
                Some(expected) => assert_eq!(next, expected, "{state} {image} {known:?}"),
                None => assert!(matches!(next, Next::Is(Step::Underway { .. })), "{state}"),
            }
        }
    }

    #[test]
    fn what_somebody_else_undid_is_a_failure() {
        for (state, image, expected) in [
            ("canceled-upgrade", GOAL, Code::UpgradeFailed),
            ("active", OLD, Code::UpgradeFailed),
            ("removing", GOAL, Code::ServiceRemoved),
        ] {
            let next = with_upgrade(OLD, |upgrade| {
                next(upgrade, Some(&service(state, image)), BEGUN)
            });
            assert_eq!(code(&next), Some(expected), "{state}");
        }
    }

    /// A push of the same tag: what runs does not tell whether the upgrade was begun.
    #[test]
    fn a_resumed_upgrade_to_the_same_tag_is_made_again() {
        let next = with_upgrade(GOAL, |upgrade| {
            next(upgrade, Some(&service("active", GOAL)), RESUMED)
        });
        assert_eq!(next, Next::Upgrade);
    }

    /// rancher/rancher issues 8714 and 11588: fields that the client did not know were lost.
    #[test]
    fn everything_but_the_image_is_carried_over() {
        let request = with_upgrade(OLD, |upgrade| request(upgrade, &service("active", OLD)));
        assert_eq!(
            request,
            json!({"inServiceStrategy": {
                "batchSize": 2, "intervalMillis": 2000, "startFirst": true,
                "launchConfig": {
                    "imageUuid": GOAL, "labels": {"app": "web", PULL_LABEL: "always"},
                    "secrets": [{"id": "1sec1"}], "drainTimeoutMs": 5,
                },
            }})
        );
    }

    /// rancher/rancher issue 7932: a sidekick alone carries the label.
    #[test]
    fn a_sidekick_is_upgraded_without_its_primary() {
        let upgrade = Upgrade {
            service_id: "1s5",
            name: "web",
            push: &push(),
            containers: &[UpgradedContainer {
                name: Some("log".to_owned()),
                image: "docker:example/log:v1".to_owned(),
            }],
            batch_size: 1,
            interval_millis: 100,
            start_first: false,
        };
        let request = request(&upgrade, &service("active", OLD));
        let strategy = &request["inServiceStrategy"];
        assert_eq!(strategy["launchConfig"], Value::Null);
        assert_eq!(strategy["secondaryLaunchConfigs"][0]["name"], "log");
        assert_eq!(strategy["secondaryLaunchConfigs"][0]["imageUuid"], GOAL);
    }
}
