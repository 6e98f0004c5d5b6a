//! Takes one workload through a rolling upgrade: what its JSON says of how far it is, and what has to be done next.
//! Pure, but for [`step`].

use serde_json::{Map, Value, json};
use stormhook_shared::domain::kind::OnFailure;
use stormhook_shared::domain::ledger::UpgradedContainer;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::push::Push;
use stormhook_shared::ports::platform::{Notes, PlatformError, Step};

use super::address::{Address, Workload};
use super::answer::{self, Failure};
use super::connection::{Connection, Patch};
use super::rollout::{self, Rollout};
use super::{image, workload};

/// Tells a workload's controller that it is to be rolled out again; kubectl writes it likewise.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// On the workload: which upgrade was made last, so that whoever finishes another's plan knows it.
const UPGRADE: &str = "stormhook.io/upgrade";
/// On the workload: which upgrade was taken back.
const TAKEN_BACK: &str = "stormhook.io/upgrade-taken-back";
/// The change was answered well, here or before.
const BEGUN: &str = "upgrade begun";

/// The upgrade of some containers of one workload to one image.
pub(super) struct Upgrade<'a> {
    pub(super) workload: Workload,
    pub(super) address: &'a Address,
    pub(super) push: &'a Push,
    pub(super) containers: &'a [UpgradedContainer],
    pub(super) batch_size: u32,
    pub(super) interval_millis: u64,
    pub(super) start_first: bool,
    pub(super) on_failure: OnFailure,
    /// Names this upgrade among all others of the workload.
    pub(super) mark: &'a str,
}

/// What has to be done next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Change(Value),
    /// The upgrade failed, and is taken back.
    TakeBack(Value),
    Is(Step),
}

/// Makes the call that is due now, if one is.
pub(super) async fn step(
    connection: &Connection,
    path: &str,
    upgrade: &Upgrade<'_>,
    notes: &mut Notes,
) -> Result<Step, PlatformError> {
    let object = answer::optional(connection.get(path).await)?;
    let is_begun = notes.has_begun(BEGUN);
    let change = match next(upgrade, object.as_ref(), is_begun) {
        Next::Is(step) => return Ok(step),
        Next::Change(change) => {
            notes.permit(connection.change_timeout())?;
            change
        }
        Next::TakeBack(change) => {
            notes.permit_last(connection.change_timeout())?;
            change
        }
    };
    match connection.patch(path, Patch::Strategic, &change).await {
        Ok(_) => {
            notes.begin(BEGUN);
            let what = format!("the rollout of {} begins", upgrade.address.shown());
            Ok(Step::Underway { what })
        }
        // Most often its controller wrote the status: look again, and change that.
        Err(Failure::Conflict(_)) => {
            let object = answer::optional(connection.get(path).await)?;
            let by = object.as_ref().and_then(workload::last_changed_by);
            let name = upgrade.address.shown();
            Ok(Step::Underway {
                what: format!("{} changed {name} meanwhile", by.unwrap_or("somebody")),
            })
        }
        Err(failure) => Err(failure.of_change()),
    }
}

fn next(upgrade: &Upgrade<'_>, object: Option<&Value>, is_begun: bool) -> Next {
    let name = upgrade.address.shown();
    let failed = |code, message| Next::Is(Step::Failed { code, message });
    let Some(object) = object.filter(|object| !workload::is_leaving(object)) else {
        let message = format!("{name} was deleted before its upgrade ended");
        return failed(Code::ServiceRemoved, message);
    };
    let annotations = &object["metadata"]["annotations"];
    if annotations[TAKEN_BACK] == upgrade.mark {
        return upgrade.after_taking_back(object);
    }
    let is_marked = annotations[UPGRADE] == upgrade.mark;
    if !is_marked && !is_begun {
        return match upgrade.change(object) {
            Ok(change) => Next::Change(change),
            Err((code, message)) => failed(code, message),
        };
    }
    if let Some(other) = upgrade.changed_by_others(object) {
        let message = format!("somebody changed {name} during its upgrade: {other}");
        return failed(Code::UpgradeFailed, message);
    }
    match rollout::of(upgrade.workload, object) {
        Rollout::Complete => Next::Is(Step::Done),
        Rollout::Underway(what) => Next::Is(Step::Underway {
            what: format!("{name}: {what}"),
        }),
        Rollout::Failed(_) if upgrade.is_to_be_taken_back(object) => {
            Next::TakeBack(upgrade.change_back(object))
        }
        Rollout::Failed(why) => {
            let message = format!(
                "the upgrade of {name} to {} failed: {why}; it is left as it is",
                upgrade.push
            );
            failed(Code::UpgradeFailed, message)
        }
    }
}

impl Upgrade<'_> {
    /// The change that begins the upgrade: nothing in it but what the upgrade is about.
    fn change(&self, object: &Value) -> Result<Value, (Code, String)> {
        let name = self.address.shown();
        if let Some(obstacle) = rollout::obstacle(self.workload, object) {
            return Err((
                Code::Unsupported,
                format!("{name} cannot be upgraded: {obstacle}"),
            ));
        }
        let mut lists: Map<String, Value> = Map::new();
        let mut is_restart = false;
        for planned in self.containers {
            let container = planned.name.as_deref().unwrap_or_default();
            let Some((list, found)) = workload::container(object, container) else {
                let message = format!("{name} has no container {container} any more");
                return Err((Code::NoMatchingServices, message));
            };
            let current = found["image"].as_str().unwrap_or_default();
            let Some(goal) = image::pushed(current, self.push) else {
                let message = format!("container {container} of {name} runs {current} now");
                return Err((Code::NoMatchingServices, message));
            };
            is_restart |= goal == current;
            let mut changed = json!({"name": container, "image": goal});
            if self.push.digest.is_none() {
                // What a tag leads to may have changed.
                changed["imagePullPolicy"] = json!("Always");
            }
            let list = lists.entry(list).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(changed);
            }
        }
        let mut change = self.marked(object, UPGRADE);
        change["spec"] = self.strategy(object);
        change["spec"]["template"] = json!({"spec": lists});
        if is_restart {
            change["spec"]["template"]["metadata"] =
                json!({"annotations": {RESTARTED_AT: self.mark}});
        }
        Ok(change)
    }

    /// Batches as far as the workload's kind has them. One that stops everything first keeps to that: it may have a
    /// volume that only one pod can mount.
    fn strategy(&self, object: &Value) -> Value {
        let batch = self.batch_size;
        let (surge, unavailable) = if self.start_first {
            (batch, 0)
        } else {
            (0, batch)
        };
        let parallel = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        let mut spec = json!({"minReadySeconds": self.interval_millis.div_ceil(1_000)});
        match self.workload {
            Workload::Deployment if object["spec"]["strategy"]["type"] != "Recreate" => {
                spec["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": parallel});
            }
            // Servers that know of a surge have it in every DaemonSet.
            Workload::DaemonSet
                if self.start_first
                    && !object["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"].is_null() =>
            {
                spec["updateStrategy"] = json!({"rollingUpdate": parallel});
            }
            Workload::DaemonSet => {
                spec["updateStrategy"] = json!({"rollingUpdate": {"maxUnavailable": batch}});
            }
            _ => {}
        }
        spec
    }

    /// The change that brings back what ran before.
    fn change_back(&self, object: &Value) -> Value {
        let mut lists: Map<String, Value> = Map::new();
        for planned in self.containers {
            let container = planned.name.as_deref().unwrap_or_default();
            let Some((list, _)) = workload::container(object, container) else {
                continue;
            };
            let list = lists.entry(list).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(json!({"name": container, "image": planned.image}));
            }
        }
        let mut change = self.marked(object, TAKEN_BACK);
        change["spec"] = json!({"template": {"spec": lists}});
        change
    }

    fn marked(&self, object: &Value, annotation: &str) -> Value {
        json!({"metadata": {
            "resourceVersion": object["metadata"]["resourceVersion"],
            "annotations": {annotation: self.mark},
        }})
    }

    /// A reference that stays the same has no other to go back to.
    fn is_to_be_taken_back(&self, object: &Value) -> bool {
        self.on_failure == OnFailure::Rollback
            && self.containers.iter().any(|planned| {
                workload::container(object, planned.name.as_deref().unwrap_or_default())
                    .is_some_and(|(_, found)| found["image"] != planned.image.as_str())
            })
    }

    fn after_taking_back(&self, object: &Value) -> Next {
        let name = self.address.shown();
        let done = format!(
            "the upgrade of {name} to {} failed, and it was taken back to what ran before",
            self.push
        );
        let message = match rollout::of(self.workload, object) {
            Rollout::Complete => done,
            Rollout::Underway(what) => {
                return Next::Is(Step::Underway {
                    what: format!("{name} is being taken back: {what}"),
                });
            }
            Rollout::Failed(why) => format!("{done}, but that failed as well: {why}"),
        };
        Next::Is(Step::Failed {
            code: Code::UpgradeFailed,
            message,
        })
    }

    /// What a container of the upgrade runs other than the pushed image.
    fn changed_by_others(&self, object: &Value) -> Option<String> {
        self.containers.iter().find_map(|planned| {
            let container = planned.name.as_deref().unwrap_or_default();
            let Some((_, found)) = workload::container(object, container) else {
                return Some(format!("container {container} is gone"));
            };
            let current = found["image"].as_str().unwrap_or_default();
            let is_goal = image::pushed(current, self.push).is_some_and(|goal| goal == current);
            (!is_goal).then(|| format!("container {container} has the image {current}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "2026-11-25T10:00:00.000Z";

    fn push(digest: Option<&str>) -> Push {
        Push {
            image: "docker.io/example/web".to_owned(),
            tag: "v2".to_owned().try_into().unwrap(),
            digest: digest.map(str::to_owned),
        }
    }

    fn with<T>(workload: Workload, push: &Push, check: impl FnOnce(&mut Upgrade<'_>) -> T) -> T {
        let address = Address::of(workload, "shop", "web");
        let containers = [UpgradedContainer {
            name: Some("web".to_owned()),
            image: "example/web:v1".to_owned(),
        }];
        check(&mut Upgrade {
            workload,
            address: &address,
            push,
            containers: &containers,
            batch_size: 2,
            interval_millis: 1_500,
            start_first: true,
            on_failure: OnFailure::Pause,
            mark: MARK,
        })
    }

    fn object(image: &str) -> Value {
        json!({
            "metadata": {"resourceVersion": "7", "generation": 2},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [
                {"name": "web", "image": image, "env": [{"name": "A", "value": "b"}]},
                {"name": "log", "image": "example/log:v1"},
            ]}}},
            "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        })
    }

    fn marked(image: &str, annotation: &str) -> Value {
        let mut object = object(image);
        object["metadata"]["annotations"] = json!({annotation: MARK});
        object
    }

    fn late(mut object: Value) -> Value {
        object["status"]["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "late"}]);
        object
    }

    fn is_failed(next: &Next, says: &str) -> bool {
        matches!(next, Next::Is(Step::Failed { message, .. }) if message.contains(says))
    }

    #[test]
    fn a_change_holds_nothing_but_what_the_upgrade_is_about() {
        let next = with(Workload::Deployment, &push(None), |upgrade| {
            next(upgrade, Some(&object("example/web:v1")), false)
        });
        assert_eq!(
            next,
            Next::Change(json!({
                "metadata": {"resourceVersion": "7", "annotations": {UPGRADE: MARK}},
                "spec": {
                    "minReadySeconds": 2,
                    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}},
                    "template": {"spec": {"containers": [
                        {"name": "web", "image": "example/web:v2", "imagePullPolicy": "Always"}]}},
                },
            }))
        );
    }

    #[test]
    fn a_reference_that_stays_the_same_is_rolled_out_again() {
        let pushed = push(Some("sha256:new"));
        let same = object("example/web:v2@sha256:new");
        for (workload, push, object, restarts) in [
            (
                Workload::Deployment,
                &push(None),
                object("example/web:v2"),
                true,
            ),
            (Workload::StatefulSet, &pushed, same, true),
            (
                Workload::DaemonSet,
                &pushed,
                object("example/web:v2"),
                false,
            ),
        ] {
            let next = with(workload, push, |upgrade| {
                next(upgrade, Some(&object), false)
            });
            let Next::Change(change) = next else {
                panic!("{workload:?}: {next:?}");
            };
            let restarted = &change["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT];
            assert_eq!(restarted == MARK, restarts, "{change}");
        }
    }

    #[test]
    fn a_daemon_set_starts_first_where_the_server_can() {
        let mut object = object("example/web:v1");
        for (surge, expected) in [
            (Value::Null, json!({"maxUnavailable": 2})),
            (json!(0), json!({"maxSurge": 2, "maxUnavailable": 0})),
        ] {
            object["spec"]["updateStrategy"] = json!({"rollingUpdate": {"maxSurge": surge}});
            let next = with(Workload::DaemonSet, &push(None), |upgrade| {
                next(upgrade, Some(&object), false)
            });
            let Next::Change(change) = next else {
                panic!("{next:?}");
            };
            let rolling = &change["spec"]["updateStrategy"]["rollingUpdate"];
            assert_eq!(rolling, &expected);
        }
    }

    #[test]
    fn one_that_stops_everything_first_keeps_to_that() {
        let mut object = object("example/web:v1");
        object["spec"]["strategy"] = json!({"type": "Recreate"});
        let next = with(Workload::Deployment, &push(None), |upgrade| {
            next(upgrade, Some(&object), false)
        });
        assert!(matches!(next, Next::Change(change) if change["spec"]["strategy"].is_null()));
    }

    /// Whoever finishes another's plan finds its mark and does not begin again.
    #[test]
    fn an_upgrade_is_recognised_and_followed_to_its_end() {
        let kind = Workload::Deployment;
        let next = |object: &Value, is_begun: bool| {
            with(kind, &push(None), |upgrade| {
                next(upgrade, Some(object), is_begun)
            })
        };
        let mine = marked("example/web:v2", UPGRADE);
        assert_eq!(next(&mine, false), Next::Is(Step::Done));
        let mut waiting = mine.clone();
        waiting["status"]["availableReplicas"] = json!(0);
        assert!(matches!(
            next(&waiting, false),
            Next::Is(Step::Underway { .. })
        ));
        assert!(matches!(
            next(&object("example/web:v2"), false),
            Next::Change(_)
        ));
        assert!(is_failed(
            &next(&marked("example/web:v3", UPGRADE), false),
            "v3"
        ));
        assert!(is_failed(&next(&late(mine), false), "left as it is"));
    }

    #[test]
    fn a_failed_one_is_taken_back_where_that_is_wanted_and_possible() {
        let kind = Workload::Deployment;
        let taken = |object: &Value| {
            with(kind, &push(None), |upgrade| {
                upgrade.on_failure = OnFailure::Rollback;
                next(upgrade, Some(object), false)
            })
        };
        let Next::TakeBack(change) = taken(&late(marked("example/web:v2", UPGRADE))) else {
            panic!("it is taken back");
        };
        assert_eq!(
            change["spec"]["template"]["spec"]["containers"],
            json!([{"name": "web", "image": "example/web:v1"}])
        );
        let back = marked("example/web:v1", TAKEN_BACK);
        assert!(is_failed(&taken(&back), "taken back"));
        assert!(is_failed(&taken(&late(back)), "failed as well"));
    }

    #[test]
    fn what_cannot_be_rolled_out_is_not_touched() {
        let with = |object: Option<&Value>| {
            with(Workload::Deployment, &push(None), |upgrade| {
                next(upgrade, object, false)
            })
        };
        let mut paused = object("example/web:v1");
        paused["spec"]["paused"] = json!(true);
        assert!(is_failed(&with(Some(&paused)), "paused"));
        assert!(is_failed(
            &with(Some(&object("other/web:v1"))),
            "other/web:v1"
        ));
        assert!(is_failed(&with(None), "deleted"));
        let mut without = object("example/web:v1");
        without["spec"]["template"]["spec"]["containers"] = json!([]);
        assert!(is_failed(&with(Some(&without)), "no container web"));
    }
}
