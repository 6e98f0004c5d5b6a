//! What a host's JSON says: whether it counts, whether it works, and what a clone of it is made of. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stormhook_shared::decide::{Growth, HostSeen, HostsSeen};
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::domain::time::Timestamp;

use crate::platforms::labels;

/// Hosts that failed or are on their way out do not count.
const NOT_COUNTED: [&str; 6] = [
    "error", "erroring", "removing", "removed", "purging", "purged",
];
const NOT_WORKING: [&str; 4] = ["inactive", "deactivating", "reconnecting", "disconnected"];
/// What a clone does not take over: identity, what the platform computes, and what is inherited from the machine.
const NOT_CLONED: [&str; 33] = [
    "accountId",
    "actions",
    "agentId",
    "agentIpAddress",
    "agentState",
    "apiProxy",
    "baseType",
    "computeTotal",
    "created",
    "createdTS",
    "data",
    "driver",
    "hostname",
    "id",
    "info",
    "instanceIds",
    "kind",
    "links",
    "localStorageMb",
    "memory",
    "milliCpu",
    "name",
    "physicalHostId",
    "publicEndpoints",
    "removeTime",
    "removed",
    "stackId",
    "state",
    "transitioning",
    "transitioningMessage",
    "transitioningProgress",
    "type",
    "uuid",
];

/// What a decision needs of the hosts with these labels, out of all hosts that there are.
pub(super) fn see(selector: &Selector, all: &[Value]) -> HostsSeen {
    HostsSeen {
        hosts: all
            .iter()
            .filter(|host| counts(host) && labels::are_selected(selector, &host["labels"]))
            .map(|host| HostSeen {
                id: text(host, "id").to_owned(),
                name: name(host).to_owned(),
                created_at: created(host),
                is_working: !NOT_WORKING.contains(&state(host)),
                is_cloneable: !host["driver"].is_null(),
                is_manager: false,
            })
            .collect(),
        growth: Growth::Clones {
            names_in_use: all
                .iter()
                .flat_map(|host| [text(host, "name"), text(host, "hostname")])
                .flat_map(|name| [name, short(name)])
                .filter(|name| !name.is_empty())
                .map(str::to_lowercase)
                .collect(),
        },
    }
}

/// What to create for another host like `base`, called `name`. Everything is carried over but what must not be.
pub(super) fn clone_of(base: &Value, new_name: &str) -> Value {
    // A template stands for the driver's whole configuration; Cattle takes one or the other.
    let has_template = !base["hostTemplateId"].is_null();
    let mut clone: Map<_, _> = base
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, value)| {
            let stays =
                NOT_CLONED.contains(&field.as_str()) || (has_template && field.ends_with("Config"));
            !value.is_null() && !stays
        })
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    clone.insert("hostname".to_owned(), json!(new_name));
    // Its agent will tell Cattle the hostname that it has, but the name stays.
    clone.insert("name".to_owned(), json!(new_name));
    Value::Object(clone)
}

/// Whether `name` is its name or its hostname, up to the first dot and without case.
pub(super) fn is_called(host: &Value, name: &str) -> bool {
    ["name", "hostname"]
        .iter()
        .any(|field| short(text(host, field)).eq_ignore_ascii_case(short(name)))
}

/// Whether it has all labels of `base` that were not made up by its agent.
pub(super) fn has_labels_of(host: &Value, base: &Value) -> bool {
    let lower = |labels: &Value| -> BTreeMap<String, String> {
        labels::of(labels)
            .into_iter()
            .filter(|(label, _)| !label.starts_with("io.rancher."))
            .map(|(label, value)| (label.to_lowercase(), value.to_lowercase()))
            .collect()
    };
    let there = lower(&host["labels"]);
    lower(&base["labels"])
        .iter()
        .all(|(label, value)| there.get(label) == Some(value))
}

/// The host's name, or its hostname where it has none.
pub(super) fn name(host: &Value) -> &str {
    match text(host, "name") {
        "" => text(host, "hostname"),
        name => name,
    }
}

pub(super) fn state(host: &Value) -> &str {
    text(host, "state")
}

/// Whether it is there and not on its way out.
pub(super) fn counts(host: &Value) -> bool {
    host["removed"].is_null() && !NOT_COUNTED.contains(&state(host))
}

fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn text<'a>(host: &'a Value, field: &str) -> &'a str {
    host[field].as_str().unwrap_or_default()
}

fn created(host: &Value) -> Timestamp {
    let written = || text(host, "created").parse().ok();
    host["createdTS"]
        .as_i64()
        .map(Timestamp::from_millis)
        .or_else(written)
        .unwrap_or(Timestamp::from_millis(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(change: &Value) -> Value {
        let mut host = json!({
            "id": "1h1", "type": "host", "name": "web01", "hostname": "web01.example.org", "state": "active",
            "driver": "digitalocean", "labels": {"Role": "web"}, "removed": null, "createdTS": 5,
            "digitaloceanConfig": {"size": "1gb", "image": null}, "hostTemplateId": null, "memory": 1024,
            "engineInstallUrl": "https://get.example.org", "agentId": "1a1", "uuid": "u", "physicalHostId": "1ph1",
        });
        for (field, value) in change.as_object().unwrap() {
            host[field] = value.clone();
        }
        host
    }

    fn web() -> Selector {
        Selector::parse("role=web").unwrap()
    }

    #[test]
    fn hosts_that_failed_or_go_do_not_count() {
        for state in NOT_COUNTED {
            let seen = see(&web(), &[host(&json!({"state": state}))]);
            assert_eq!(seen.hosts, [], "{state}");
            let Growth::Clones { names_in_use } = seen.growth else {
                panic!("machines are cloned");
            };
            assert!(names_in_use.contains("web01"), "the name is still in use");
        }
        let gone = host(&json!({"removed": "2026-01-01T00:00:00Z"}));
        assert_eq!(see(&web(), &[gone]).hosts, []);
        let other = host(&json!({"labels": {"role": "db"}}));
        assert_eq!(see(&web(), &[other]).hosts, []);
    }

    #[test]
    fn a_host_is_seen_with_what_a_decision_needs() {
        for (change, is_working, is_cloneable) in [
            (json!({}), true, true),
            (json!({"state": "disconnected"}), false, true),
            (json!({"state": "inactive", "driver": null}), false, false),
            (json!({"state": "provisioning"}), true, true),
        ] {
            let seen = see(&web(), &[host(&change)]).hosts.remove(0);
            assert_eq!(
                (seen.is_working, seen.is_cloneable),
                (is_working, is_cloneable),
                "{change}"
            );
        }
        let unnamed = see(&web(), &[host(&json!({"name": null}))]).hosts.remove(0);
        assert_eq!(unnamed.name, "web01.example.org");
    }

    /// rancher/rancher issue 7997: clones lost their base's labels.
    #[test]
    fn a_clone_has_everything_but_identity_and_what_the_platform_computed() {
        let clone = clone_of(&host(&json!({})), "web02");
        assert_eq!(
            clone,
            json!({
                "name": "web02", "hostname": "web02", "labels": {"Role": "web"}, "engineInstallUrl": "https://get.example.org",
                "digitaloceanConfig": {"size": "1gb", "image": null},
            })
        );
    }

    /// rancher/rancher issue 9024: hosts of a template.
    #[test]
    fn a_clone_of_a_templates_host_names_the_template_alone() {
        let clone = clone_of(&host(&json!({"hostTemplateId": "1ht1"})), "web02");
        assert_eq!(clone["hostTemplateId"], "1ht1");
        assert_eq!(clone["digitaloceanConfig"], Value::Null);
    }
}
