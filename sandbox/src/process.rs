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
        from: &["active"],
        via: "deactivating",
        to: "inactive",
    },
];

fn all(kind: Kind) -> &'static [Action] {
    match kind {
        Kind::Service => &SERVICE_ACTIONS,
        Kind::Host => &HOST_ACTIONS,
        Kind::Stack | Kind::GenericObject => &[],
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
        pass_through(resource, action.via, action.to, now, settle_ms);
    }
}

/// Puts the resource into state `via`, which becomes `to` after a while.
pub(crate) fn pass_through(resource: &mut Value, via: &str, to: &str, now: i64, settle_ms: u64) {
    let at = now.saturating_add_unsigned(settle_ms);
    resource["state"] = json!(via);
    resource["transitioning"] = json!("yes");
    resource[HIDDEN] = json!({"at": at, "to": to});
}

/// Ends what has come to its end by `now`. Returns whether something has.
pub(crate) fn settle(resource: &mut Value, now: i64) -> bool {
    let Some(at) = resource[HIDDEN]["at"].as_i64() else {
        return false;
    };
    if now < at {
        return false;
    }
    resource["state"] = resource[HIDDEN]["to"].take();
    resource["transitioning"] = json!("no");
    if resource["state"] == "removed" {
        resource["removed"] = json!(crate::world::time(now));
    }
    if !resource["scale"].is_null() && resource["state"] == "active" {
        resource["currentScale"] = resource["scale"].clone();
    }
    if let Some(fields) = resource.as_object_mut() {
        fields.remove(HIDDEN);
    }
    true
}
