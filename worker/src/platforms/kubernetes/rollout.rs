//! How far a workload's rollout has come, by its status: the rules of `kubectl rollout status`. Pure.

use serde_json::Value;

use super::address::Workload;

/// How far a rollout has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rollout {
    Complete,
    /// What is waited for.
    Underway(String),
    /// Its own deadline has passed, or it cannot begin.
    Failed(String),
}

/// The rollout of the newest change to `object`.
pub(super) fn of(workload: Workload, object: &Value) -> Rollout {
    let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
    if number(object, "observedGeneration") < generation {
        return Rollout::Underway("its controller has not seen the change yet".to_owned());
    }
    match workload {
        Workload::Deployment => deployment(object),
        Workload::StatefulSet => stateful_set(object),
        Workload::DaemonSet => daemon_set(object),
        Workload::ReplicaSet => Rollout::Failed("a ReplicaSet rolls nothing out".to_owned()),
    }
}

/// Why a rollout would never begin, or would not end by itself.
pub(super) fn obstacle(workload: Workload, object: &Value) -> Option<&'static str> {
    let spec = &object["spec"];
    match workload {
        Workload::Deployment if spec["paused"] == true => {
            Some("it is paused, so no rollout would begin: resume it")
        }
        Workload::StatefulSet | Workload::DaemonSet
            if spec["updateStrategy"]["type"] == "OnDelete" =>
        {
            Some("its update strategy is OnDelete: nothing is replaced until somebody deletes it")
        }
        Workload::ReplicaSet => Some("a ReplicaSet rolls nothing out: upgrade its Deployment"),
        _ => None,
    }
}

fn deployment(object: &Value) -> Rollout {
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let (all, updated) = (
        number(object, "replicas"),
        number(object, "updatedReplicas"),
    );
    let available = number(object, "availableReplicas");
    let why = complaint(object);
    if let Some(late) = condition(object, "Progressing")
        .filter(|progressing| progressing["reason"] == "ProgressDeadlineExceeded")
    {
        let message = late["message"].as_str().unwrap_or_default();
        return Rollout::Failed(format!("its progress deadline has passed: {message}{why}"));
    }
    if updated < wanted {
        Rollout::Underway(format!("{updated} of {wanted} replicas are updated{why}"))
    } else if all > updated {
        Rollout::Underway(format!("{} old replicas are left{why}", all - updated))
    } else if available < updated {
        let what = format!("{available} of {updated} updated replicas are available{why}");
        Rollout::Underway(what)
    } else {
        Rollout::Complete
    }
}

fn stateful_set(object: &Value) -> Rollout {
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let strategy = &object["spec"]["updateStrategy"]["rollingUpdate"];
    let partition = strategy["partition"].as_u64().unwrap_or(0);
    let wanted_updated = wanted.saturating_sub(partition);
    let (ready, updated) = (
        number(object, "readyReplicas"),
        number(object, "updatedReplicas"),
    );
    let status = &object["status"];
    let is_current = status["currentRevision"] == status["updateRevision"];
    if !is_current && updated < wanted_updated {
        let what = format!("{updated} of {wanted_updated} replicas are updated");
        Rollout::Underway(what)
    } else if ready < wanted {
        Rollout::Underway(format!("{ready} of {wanted} replicas are ready"))
    } else if partition == 0 && !is_current {
        Rollout::Underway("its last replica is being replaced".to_owned())
    } else {
        Rollout::Complete
    }
}

fn daemon_set(object: &Value) -> Rollout {
    let wanted = number(object, "desiredNumberScheduled");
    let updated = number(object, "updatedNumberScheduled");
    let available = number(object, "numberAvailable");
    if updated < wanted {
        Rollout::Underway(format!("{updated} of {wanted} pods are updated"))
    } else if available < wanted {
        Rollout::Underway(format!(
            "{available} of {wanted} updated pods are available"
        ))
    } else {
        Rollout::Complete
    }
}

/// What keeps pods from being made: a quota or an admission webhook, in its own words.
fn complaint(object: &Value) -> String {
    condition(object, "ReplicaFailure")
        .filter(|failure| failure["status"] == "True")
        .and_then(|failure| failure["message"].as_str())
        .map(|message| format!(" ({message})"))
        .unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn number(object: &Value, field: &str) -> u64 {
    object["status"][field].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value, status: &Value) -> Value {
        json!({"metadata": {"generation": 2}, "spec": spec, "status": status})
    }

    fn underway(workload: Workload, object: &Value, says: &str) {
        match of(workload, object) {
            Rollout::Underway(what) => assert!(what.contains(says), "{what}"),
            other => panic!("{other:?} instead of {says}"),
        }
    }

    #[test]
    fn a_deployment_is_done_when_all_are_updated_available_and_no_old_ones_left() {
        let spec = json!({"replicas": 3});
        let kind = Workload::Deployment;
        for (status, says) in [
            (json!({"observedGeneration": 1}), "not seen"),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 1}),
                "1 of 3",
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4}),
                "1 old",
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}),
                "2 of 3 updated",
            ),
            (
                json!({"observedGeneration": 2, "conditions": [
                    {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}),
                "exceeded quota",
            ),
        ] {
            underway(kind, &object(&spec, &status), says);
        }
        let done = json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3});
        assert_eq!(of(kind, &object(&spec, &done)), Rollout::Complete);
        let none = json!({"observedGeneration": 2});
        let asleep = object(&json!({"replicas": 0}), &none);
        assert_eq!(of(kind, &asleep), Rollout::Complete);
    }

    #[test]
    fn a_passed_progress_deadline_counts_once_the_change_was_seen() {
        let late = |observed: u64| {
            object(
                &json!({"replicas": 1}),
                &json!({"observedGeneration": observed, "conditions": [{
                    "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                    "message": "ReplicaSet web-1 has timed out progressing."}]}),
            )
        };
        underway(Workload::Deployment, &late(1), "not seen");
        let failed = of(Workload::Deployment, &late(2));
        assert!(matches!(failed, Rollout::Failed(why) if why.contains("web-1")));
    }

    #[test]
    fn a_stateful_sets_partition_is_kept_to() {
        let status = |updated: u64, ready: u64, revision: &str| {
            json!({"observedGeneration": 2, "updatedReplicas": updated, "readyReplicas": ready,
                "currentRevision": revision, "updateRevision": "new"})
        };
        let kind = Workload::StatefulSet;
        let whole = json!({"replicas": 3});
        underway(kind, &object(&whole, &status(2, 3, "old")), "2 of 3");
        underway(
            kind,
            &object(&whole, &status(3, 2, "old")),
            "2 of 3 replicas are ready",
        );
        underway(kind, &object(&whole, &status(3, 3, "old")), "last replica");
        assert_eq!(
            of(kind, &object(&whole, &status(3, 3, "new"))),
            Rollout::Complete
        );
        let part = json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}});
        assert_eq!(
            of(kind, &object(&part, &status(1, 3, "old"))),
            Rollout::Complete
        );
    }

    #[test]
    fn a_daemon_set_is_done_when_every_node_has_the_new_pod() {
        let status = |updated: u64, available: u64| {
            json!({"observedGeneration": 2, "desiredNumberScheduled": 2,
                "updatedNumberScheduled": updated, "numberAvailable": available})
        };
        let kind = Workload::DaemonSet;
        underway(kind, &object(&json!({}), &status(1, 2)), "1 of 2 pods");
        underway(kind, &object(&json!({}), &status(2, 1)), "1 of 2 updated");
        assert_eq!(
            of(kind, &object(&json!({}), &status(2, 2))),
            Rollout::Complete
        );
    }
}
