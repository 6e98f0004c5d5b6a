//! A storm of triggers of several kinds that meet on the same services and hosts: it comes to what they would one by one, by
//! the rules that a user reads, and nothing is written to by two hands at once.

use std::collections::BTreeMap;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::random::Random;
use stormhook_tests::up::{Hook, Up};

use crate::service_upgrades::{expect_upgraded, push};

const STORM: usize = 5_000;
/// The groups of hosts that the storm scales, by their role, and how many each has at first.
const GROUPS: [(&str, u64); 3] = [("web", 4), ("api", 1), ("db", 1)];

/// Thousands of triggers of several kinds that meet on the same services and hosts. Hosts of two groups count with the
/// same names.
#[tokio::test]
async fn a_mixed_storm_never_has_two_hands_on_one_service() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak(
        "knobs",
        &json!({"settleMs": 20, "latencyMs": 2, "eventMs": 20}),
    )
    .await;
    let targets = Targets::make(&up).await;
    let before = up.calls().await.len();
    targets.storm(&up).await;
    up.settled().await;

    let triggers = up.history("").await;
    let parents = triggers
        .iter()
        .filter(|trigger| trigger["parentId"].is_null());
    assert_eq!(parents.count(), STORM);
    expect_upgrades(&triggers, targets.services.len());
    let calls = up.calls().await.split_off(before);
    for id in &targets.services {
        expect_no_overlap(&calls, id);
        let group = format!("service/1a5/{id}");
        let scale = fold(&triggers, &group, 1, &targets.rules);
        assert_eq!(up.scale(id).await, scale, "{id}");
        expect_upgraded(&up, id, "docker:example/storm:v2").await;
    }
    let hosts = up.everything("hosts").await;
    for (role, count) in GROUPS {
        expect_in_turn(&calls_to(&calls, &hosts, role));
        let group = format!("hosts/1a5/role={role}");
        let count = fold(&triggers, &group, count, &targets.rules);
        let there: Vec<_> = hosts
            .iter()
            .filter(|host| host["removed"].is_null() && host["labels"]["role"] == role)
            .collect();
        assert_eq!(there.len() as u64, count, "{role}: {there:?}");
        assert!(
            there.iter().all(|host| host["state"] == "active"),
            "{role}: {there:?}"
        );
    }
    expect_own_names(&hosts);
    up.stop().await;
}

/// What the storm acts upon, and the hooks that it calls, each with the body that it sends.
struct Targets {
    services: Vec<String>,
    /// What each receiver that scales does, by its name.
    rules: BTreeMap<String, Rule>,
    scaling: Vec<(Hook, String)>,
    scaling_hosts: Vec<(Hook, String)>,
    upgrading: (Hook, String),
}

/// What a receiver that scales does.
#[derive(Debug, Clone, Copy)]
struct Rule {
    is_up: bool,
    amount: u64,
    min: u64,
    max: u64,
}

impl Targets {
    async fn make(up: &Up) -> Self {
        let labels = json!({"release": "storm"});
        let six = json!({"name": "storm", "count": 6, "labels": labels});
        let services = up.add_services(&six).await;
        for (name, role) in [("node1", "api"), ("node2", "db")] {
            let config = json!({"region": "fra1", "size": "1gb"});
            let host =
                json!({"hostname": name, "labels": {"role": role}, "digitaloceanConfig": config});
            up.cattle(Method::POST, "hosts", &host).await;
        }
        let more_pushes = json!({"intervalMillis": 100, "batchSize": 100});
        let upgrading = up.upgrading("storm", labels, more_pushes).await;
        let mut targets = Self {
            services: services.clone(),
            rules: BTreeMap::new(),
            scaling: Vec::new(),
            scaling_hosts: Vec::new(),
            upgrading: (upgrading, push("example/storm", "v2")),
        };
        for (number, id) in services.iter().enumerate() {
            for rule in Rule::pair(number, (1, 9)) {
                let name = format!("{}-{id}", rule.action());
                let config = rule.config("serviceId", &json!(id));
                let receiver =
                    json!({"name": name, "driver": "scaleService", "scaleServiceConfig": config});
                let hook = up.create(&receiver).await;
                targets.scaling.push((hook, String::new()));
                targets.rules.insert(name, rule);
            }
        }
        for (number, (role, _)) in GROUPS.into_iter().enumerate() {
            for rule in Rule::pair(number, (1, 5)) {
                let name = format!("{}-{role}", rule.action());
                let config = rule.config("hostSelector", &json!({"role": role}));
                let receiver =
                    json!({"name": name, "driver": "scaleHost", "scaleHostConfig": config});
                let hook = up.create(&receiver).await;
                targets.scaling_hosts.push((hook, String::new()));
                targets.rules.insert(name, rule);
            }
        }
        targets
    }

    /// Calls the hooks at random. Pushes are rarer than alerts, and hosts take their time.
    async fn storm(&self, up: &Up) {
        let mut random = Random::seeded();
        let storm: Vec<_> = (0..STORM)
            .map(|_| match random.below(100) {
                0 => &self.upgrading,
                1..=12 => any(&mut random, &self.scaling_hosts),
                _ => any(&mut random, &self.scaling),
            })
            .collect();
        let mut sent = futures::stream::iter(storm)
            .map(|(hook, body)| async move { up.post(hook, body, &[]).await.0 })
            .buffer_unordered(64);
        while let Some(status) = sent.next().await {
            assert_eq!(status, StatusCode::ACCEPTED);
        }
    }
}

fn any<'a>(random: &mut Random, hooks: &'a [(Hook, String)]) -> &'a (Hook, String) {
    &hooks[usize::try_from(random.below(hooks.len() as u64)).unwrap()]
}

impl Rule {
    /// One up and one down. Every other pair leads to the minimum, those between to the maximum.
    fn pair(number: usize, (min, max): (u64, u64)) -> [Self; 2] {
        let (more, fewer) = if number.is_multiple_of(2) {
            (1, 2)
        } else {
            (2, 1)
        };
        [(true, more), (false, fewer)].map(|(is_up, amount)| Self {
            is_up,
            amount,
            min,
            max,
        })
    }

    fn action(self) -> &'static str {
        if self.is_up { "up" } else { "down" }
    }

    /// The configuration of a receiver that acts on `target`.
    fn config(self, field: &str, target: &Value) -> Value {
        json!({
            field: target, "action": self.action(), "amount": self.amount, "min": self.min, "max": self.max,
        })
    }

    /// The verdict on a trigger that finds so many, and how many it leaves. `added`, `removed`: what it is called when
    /// there are more or fewer.
    fn verdict(
        self,
        from: u64,
        (added, removed): (&'static str, &'static str),
    ) -> (&'static str, u64) {
        match self {
            Self {
                is_up: true,
                amount,
                max,
                ..
            } if from + amount > max => ("aboveMax", from),
            Self {
                is_up: true,
                amount,
                ..
            } => (added, from + amount),
            Self { amount, min, .. } if from < min + amount => ("belowMin", from),
            Self { amount, .. } => (removed, from - amount),
        }
    }
}

/// How many the triggers of `group` lead to from `count`, one by one in the order of their sequences, by the rules that a
/// user reads; each outcome must say the same. Parts of upgrades leave the scale alone.
fn fold(triggers: &[Value], group: &str, mut count: u64, rules: &BTreeMap<String, Rule>) -> u64 {
    let codes = if group.starts_with("hosts/") {
        ("hostsAdded", "hostsRemoved")
    } else {
        ("scaled", "scaled")
    };
    let own = in_order(triggers, group);
    assert!(!own.is_empty(), "nothing was asked of {group}");
    for trigger in own {
        let outcome = &trigger["outcome"];
        let code = outcome["code"].as_str();
        let Some(rule) = rules.get(trigger["receiverName"].as_str().unwrap()) else {
            let is_part = matches!(code, Some("upgraded" | "superseded"));
            assert!(is_part, "{trigger}");
            continue;
        };
        let (expected, to) = rule.verdict(count, codes);
        assert_eq!(
            (code, outcome["from"].as_u64(), outcome["to"].as_u64()),
            (Some(expected), Some(count), Some(to)),
            "{rule:?}: {trigger}"
        );
        count = to;
    }
    count
}

/// The triggers of `group` in the order of the log.
fn in_order<'a>(triggers: &'a [Value], group: &str) -> Vec<&'a Value> {
    let own = triggers.iter().filter(|trigger| trigger["group"] == group);
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|trigger| trigger["sequence"].as_u64().unwrap());
    own
}

/// Each push upgraded all services or was superseded by a later one.
fn expect_upgrades(triggers: &[Value], services: usize) {
    let pushes = in_order(triggers, "upgrade/1a5/release=storm");
    let newest = pushes.last().unwrap();
    assert_eq!(newest["outcome"]["code"], "upgraded", "{newest}");
    for pushed in pushes {
        let parts = triggers
            .iter()
            .filter(|trigger| trigger["parentId"] == pushed["id"])
            .count();
        match pushed["outcome"]["code"].as_str() {
            Some("upgraded") => assert_eq!(parts, services, "{pushed}"),
            Some("superseded") => assert_eq!(parts, 0, "{pushed}"),
            _ => panic!("{pushed}"),
        }
    }
}

/// The recorded calls that created or removed hosts of a role.
fn calls_to<'a>(calls: &'a [Value], hosts: &[Value], role: &str) -> Vec<&'a Value> {
    let is_own = |call: &&Value| {
        let host = hosts.iter().find(|host| host["id"] == call["resource"]);
        host.is_some_and(|host| host["labels"]["role"] == role)
    };
    let own: Vec<_> = calls.iter().filter(is_own).collect();
    assert!(!own.is_empty(), "nothing was done to the hosts with {role}");
    own
}

/// Writes come one after the other.
fn expect_in_turn(calls: &[&Value]) {
    for pair in calls.windows(2) {
        assert!(
            pair[0]["endedAt"].as_str() <= pair[1]["startedAt"].as_str(),
            "{} and {}",
            pair[0],
            pair[1]
        );
    }
}

/// Writes to one service, one after the other; none that changes it while it is upgraded.
fn expect_no_overlap(calls: &[Value], id: &str) {
    let own: Vec<_> = calls.iter().filter(|call| call["resource"] == id).collect();
    expect_in_turn(&own);
    let mut is_upgrading = false;
    for call in own {
        match call["action"].as_str() {
            Some("upgrade") => {
                assert!(!is_upgrading, "{call}");
                is_upgrading = true;
            }
            Some("finishupgrade") => is_upgrading = false,
            _ => assert!(!is_upgrading, "scaled while it was upgraded: {call}"),
        }
    }
    assert!(!is_upgrading, "every upgrade was finished");
}

/// No two hosts had the same name at the same time, in whatever groups they are.
fn expect_own_names(hosts: &[Value]) {
    let mut lives: Vec<_> = hosts
        .iter()
        .map(|host| {
            let name = host["name"].as_str().unwrap();
            let created = host["created"].as_str().unwrap();
            (name, created, host["removed"].as_str())
        })
        .collect();
    lives.sort_unstable();
    for pair in lives.windows(2) {
        let [(name, _, removed), (next_name, created, _)] = pair else {
            continue;
        };
        let is_over = removed.is_some_and(|removed| removed <= *created);
        assert!(name != next_name || is_over, "{pair:?}");
    }
}
