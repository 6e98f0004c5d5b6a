//! Cattle's processes: which action is possible in which state, where it leads, and through what.

use serde_json::{Value, json};

use crate::resource::{HIDDEN, Kind};

struct Action {
    name: &'static str,
    from: &'static [&'static str],
    via: &'static str,
    to: &'static str,
}

const SERVICE_ACTIONS: [Action; 8] = [
    Action {
        name: "upgrade",
        from: &["active", "activating", "inactive", "updating-active"],
        via: "upgrading",
        to: "upgraded",
    },
    Action {
        name: "finishupgrade",
        from: &["upgraded"],
        via: "finishing-upgrade",
        to: "active",
    },
    Action {
        name: "cancelupgrade",
        from: &["upgrading", "finishing-upgrade"],
        via: "canceling-upgrade",
        to: "canceled-upgrade",
    },
    Action {
        name: "continueupgrade",
        from: &["canceled-upgrade"],
        via: "upgrading",
        to: "upgraded",
    },
    Action {
        name: "rollback",
        from: &["upgrading", "upgraded", "canceled-upgrade"],
        via: "rolling-back",
        to: "active",
    },
    Action {
        name: "restart",
        from: &["active"],
        via: "restarting",
        to: "active",
    },
    Action {
        name: "activate",
        from: &["inactive"],
        via: "activating",
        to: "active",
    },
    Action {
        name: "deactivate",
        from: &["active", "updating-active", "activating"],
        via: "deactivating",
        to: "inactive",
    },
];
const HOST_ACTIONS: [Action; 2] = [
    Action {
        name: "activate",
        from: &["inactive"],
        via: "activating",
        to: "active",
    },
    Action {
        name: "deactivate",
        // What the agent says of an active host is shown as its state.
        from: &["active", "reconnecting", "disconnecting", "disconnected"],
        via: "deactivating",
        to: "inactive",
    },
];

fn all(kind: Kind) -> &'static [Action] {
    match kind {
        Kind::Service => &SERVICE_ACTIONS,
        Kind::Host => &HOST_ACTIONS,
        Kind::Stack | Kind::GenericObject | Kind::ExternalHostEvent => &[],
    }
}

/// The actions that the resource's state permits.
pub(crate) fn actions(kind: Kind, resource: &Value) -> impl Iterator<Item = &'static str> {
    let state = resource["state"].as_str().unwrap_or_default().to_owned();
    all(kind)
        .iter()
        .filter(move |action| action.from.contains(&state.as_str()))
        .map(|action| action.name)
}

/// Whether resources of this kind have such an action at all.
pub(crate) fn exists(kind: Kind, name: &str) -> bool {
    all(kind).iter().any(|action| action.name == name)
}

/// Begins the action `name`, which the state permits.
pub(crate) fn begin(kind: Kind, resource: &mut Value, name: &str, now: i64, settle_ms: u64) {
    if let Some(action) = all(kind).iter().find(|action| action.name == name) {
        pass_through(resource, &[action.via], action.to, now, settle_ms);
    }
}

/// Puts the resource into the first state of `via`; it goes through the others and is in `to` after `millis`.
pub(crate) fn pass_through(resource: &mut Value, via: &[&str], to: &str, now: i64, millis: u64) {
    let mut at = now;
    let share = millis / u64::try_from(via.len().max(1)).unwrap_or(1);
    let mut stages = Vec::new();
    for next in via.iter().skip(1).chain([&to]) {
        at = at.saturating_add_unsigned(share);
        stages.push(json!({"at": at, "to": next}));
    }
    resource["state"] = json!(via.first().unwrap_or(&to));
    resource["transitioning"] = json!("yes");
    resource[HIDDEN] = json!(stages);
}

/// Says what the resource's process is about, or why it ended as it did.
pub(crate) fn explain(resource: &mut Value, message: &str) {
    resource["transitioningMessage"] = json!(message);
}

/// Ends what has come to its end by `now`. True if something did.
pub(crate) fn settle(resource: &mut Value, now: i64) -> bool {
    let Some(stages) = resource[HIDDEN].as_array() else {
        return false;
    };
    let is_over = |stage: &&Value| stage["at"].as_i64().is_some_and(|at| at <= now);
    let over: Vec<_> = stages.iter().take_while(is_over).cloned().collect();
    let left: Vec<_> = stages.iter().skip(over.len()).cloned().collect();
    let Some(last) = over.last() else {
        return false;
    };
    resource["state"] = last["to"].clone();
    if !left.is_empty() {
        resource[HIDDEN] = json!(left);
        return true;
    }
    let state = resource["state"].as_str().unwrap_or_default().to_owned();
    resource["transitioning"] = json!(if state == "error" { "error" } else { "no" });
    if matches!(state.as_str(), "removed" | "purged") {
        resource["removed"] = json!(crate::world::time(now));
    }
    if state == "active" && !resource["scale"].is_null() {
        resource["currentScale"] = resource["scale"].clone();
    }
    if let Some(fields) = resource.as_object_mut() {
        fields.remove(HIDDEN);
    }
    true
}
