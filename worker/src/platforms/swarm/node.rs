//! What a node's JSON says: whether it is in service, whether it works, and since when it is drained. Pure.

use serde_json::{Value, json};
use stormhook_shared::decide::{Growth, HostSeen, HostsSeen};
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::domain::time::Timestamp;

use crate::platforms::labels;

/// The label that says when Stormhook drained a node. It is written in the same update as the drain itself. Swarm's own
/// `UpdatedAt` changes whenever a node goes down or comes back, so it only stands in for nodes that others drained.
pub(super) const DRAINED_AT: &str = "stormhook.drained-at";

/// What a decision needs of the nodes with these labels.
pub(super) fn see(selector: &Selector, all: &[Value]) -> HostsSeen {
    let group = || {
        all.iter()
            .filter(|node| labels::are_selected(selector, &node["Spec"]["Labels"]))
    };
    let mut spares: Vec<_> = group()
        .filter(|node| is_drained(node) && is_working(node))
        .collect();
    spares.sort_by_key(|node| (drained_at(node), id(node)));
    HostsSeen {
        hosts: group().filter(|node| !is_drained(node)).map(host).collect(),
        growth: Growth::Pool {
            spares: spares.into_iter().map(host).collect(),
        },
    }
}

fn host(node: &Value) -> HostSeen {
    HostSeen {
        id: id(node).to_owned(),
        name: name(node).to_owned(),
        created_at: time(&node["CreatedAt"]).unwrap_or(Timestamp::from_millis(0)),
        is_working: is_working(node),
        is_cloneable: false,
        is_manager: is_manager(node),
    }
}

pub(super) fn id(node: &Value) -> &str {
    node["ID"].as_str().unwrap_or_default()
}

/// The name that its machine goes by.
pub(super) fn name(node: &Value) -> &str {
    node["Description"]["Hostname"]
        .as_str()
        .unwrap_or_else(|| id(node))
}

pub(super) fn is_drained(node: &Value) -> bool {
    node["Spec"]["Availability"] == "drain"
}

pub(super) fn is_manager(node: &Value) -> bool {
    node["Spec"]["Role"] == "manager"
}

/// Whether its agent answers, and if it is a manager, that too.
pub(super) fn is_working(node: &Value) -> bool {
    node["Status"]["State"] == "ready" && node["ManagerStatus"]["Reachability"] != "unreachable"
}

/// The node's specification as it is to be when the node is taken into service.
pub(super) fn activated(node: &Value) -> Value {
    let mut spec = node["Spec"].clone();
    spec["Availability"] = json!("active");
    if let Some(labels) = spec["Labels"].as_object_mut() {
        labels.remove(DRAINED_AT);
    }
    spec
}

/// The node's specification as it is to be when the node is taken out of service at `now`.
pub(super) fn drained(node: &Value, now: Timestamp) -> Value {
    let mut spec = node["Spec"].clone();
    spec["Availability"] = json!("drain");
    if !spec["Labels"].is_object() {
        spec["Labels"] = json!({});
    }
    spec["Labels"][DRAINED_AT] = json!(now.to_string());
    spec
}

fn drained_at(node: &Value) -> Option<Timestamp> {
    time(&node["Spec"]["Labels"][DRAINED_AT]).or_else(|| time(&node["UpdatedAt"]))
}

fn time(text: &Value) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.as_str()?.parse().ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, availability: &str, state: &str) -> Value {
        json!({
            "ID": id, "Version": {"Index": 9}, "CreatedAt": "2026-11-25T15:07:29.886789761Z",
            "UpdatedAt": "2026-11-25T16:00:00Z",
            "Spec": {"Labels": {"pool": "web"}, "Role": "worker", "Availability": availability, "New": 1},
            "Description": {"Hostname": format!("host-{id}")}, "Status": {"State": state},
        })
    }

    fn seen(all: &[Value]) -> (Vec<(String, bool)>, Vec<String>) {
        let seen = see(&Selector::parse("Pool=web").unwrap(), all);
        let Growth::Pool { spares } = seen.growth else {
            panic!("nodes are a pool");
        };
        let hosts = seen.hosts.into_iter();
        (
            hosts.map(|host| (host.id, host.is_working)).collect(),
            spares.into_iter().map(|host| host.id).collect(),
        )
    }

    #[test]
    fn nodes_in_service_count_and_those_drained_the_longest_are_taken_first() {
        let mut long = node("b", "drain", "ready");
        long["Spec"]["Labels"][DRAINED_AT] = json!("2026-11-25T12:00:00Z");
        let mut other = node("x", "active", "ready");
        other["Spec"]["Labels"] = json!({});
        let all = [
            node("a", "active", "ready"),
            node("c", "drain", "ready"),
            long,
            node("d", "drain", "down"),
            node("e", "pause", "ready"),
            node("f", "active", "down"),
            other,
        ];
        let (hosts, spares) = seen(&all);
        let expected = [("a", true), ("e", true), ("f", false)];
        assert_eq!(hosts, expected.map(|(id, works)| (id.to_owned(), works)));
        assert_eq!(spares, ["b", "c"], "one that is down cannot be taken");
    }

    #[test]
    fn a_manager_that_others_cannot_reach_does_not_work() {
        let mut manager = node("a", "active", "ready");
        manager["Spec"]["Role"] = json!("manager");
        manager["ManagerStatus"] = json!({"Reachability": "unreachable"});
        assert!(is_manager(&manager) && !is_working(&manager));
    }

    #[test]
    fn nothing_but_the_availability_and_the_label_is_changed() {
        let before = node("a", "active", "ready");
        let mut drained = before.clone();
        let at = Timestamp::from_millis(1_800_000_000_123);
        drained["Spec"] = super::drained(&before, at);
        assert_eq!(drained["Spec"]["New"], 1);
        assert_eq!(drained_at(&drained), Some(at));
        assert_eq!(activated(&drained), before["Spec"]);
    }
}
