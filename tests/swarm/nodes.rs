//! scaleHost on a pool of nodes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::swarm::Swarm;
use stormhook_tests::up::{Hook, Up};

use crate::{outcome, up_on};

async fn scaling(up: &Up, name: &str, action: &str, more: Value) -> Hook {
    let mut config = json!({"min": 1, "max": 3});
    for (field, value) in more.as_object().unwrap() {
        config[field] = value.clone();
    }
    up.scaling_hosts(name, action, config).await
}

async fn code(up: &Up, hook: &Hook) -> (String, String) {
    let trigger = outcome(up, hook, "").await;
    let text = |field: &str| trigger["outcome"][field].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

/// Whether the node runs nothing.
async fn is_empty(swarm: &Swarm, hostname: &str) -> bool {
    let node = swarm.node(hostname).await["ID"].clone();
    let tasks = swarm.api(Method::GET, "tasks", None).await;
    let tasks = tasks.as_array().cloned().unwrap_or_default();
    tasks
        .iter()
        .all(|task| task["NodeID"] != node || task["Status"]["State"] != "running")
}

pub async fn nodes_of_a_pool_are_drained_activated_and_removed(swarm: &Swarm) {
    let folder = tempfile::tempdir().unwrap();
    for node in ["manager", "worker1", "worker2"] {
        swarm
            .change_node(node, &json!({"Labels": {"role": "web"}}))
            .await;
    }
    swarm
        .create("spread", &json!({"Mode": {"Replicated": {"Replicas": 6}}}))
        .await;
    swarm.runs("spread", 6).await;
    let up = up_on(swarm, folder.path()).await;
    let more = scaling(&up, "more", "up", json!({})).await;
    let fewer = scaling(&up, "fewer", "down", json!({})).await;

    // All three are in service, so one more is above the maximum; the manager is the oldest, and is left alone.
    assert_eq!(code(&up, &more).await.0, "aboveMax");
    let (done, message) = code(&up, &fewer).await;
    assert_eq!(done, "hostsRemoved", "{message}");
    assert!(message.contains("worker"), "{message}");
    assert_eq!(swarm.availability("manager").await, "active");
    let (first, second) = match swarm.availability("worker1").await.as_str() {
        "drain" => ("worker1", "worker2"),
        _ => ("worker2", "worker1"),
    };
    assert_eq!(swarm.availability(first).await, "drain");
    assert!(is_empty(swarm, first).await);
    swarm.runs("spread", 6).await;

    let (done, message) = code(&up, &fewer).await;
    assert_eq!(done, "hostsRemoved", "{message}");
    assert_eq!(swarm.availability(second).await, "drain");
    assert_eq!(code(&up, &fewer).await.0, "belowMin");

    // A manager that is alone above the minimum stays too.
    let both = scaling(&up, "both", "up", json!({"amount": 2})).await;
    let (done, message) = code(&up, &more).await;
    assert_eq!(done, "hostsAdded", "{message}");
    assert!(message.contains(first), "drained the longest: {message}");
    assert_eq!(swarm.availability(first).await, "active");
    let label = &swarm.node(first).await["Spec"]["Labels"];
    assert_eq!(label, &json!({"role": "web"}), "the mark is gone");
    assert_eq!(code(&up, &both).await.0, "aboveMax");
    swarm
        .change_node(first, &json!({"Availability": "drain"}))
        .await;
    swarm
        .change_node("manager", &json!({"Labels": {"role": "other"}}))
        .await;
    let two = scaling(&up, "two", "up", json!({"amount": 3})).await;
    let (refused, message) = code(&up, &two).await;
    assert_eq!(refused, "noSpareHost", "{message}");
    assert_eq!(code(&up, &both).await.0, "hostsAdded");

    let removing = scaling(
        &up,
        "removing",
        "down",
        json!({"remove": true, "deleteOption": "mostRecent"}),
    )
    .await;
    let (done, message) = code(&up, &removing).await;
    assert_eq!(done, "hostsRemoved", "{message}");
    let nodes = swarm.api(Method::GET, "nodes", None).await;
    assert_eq!(nodes.as_array().map(Vec::len), Some(2), "{nodes}");
    swarm.runs("spread", 6).await;

    let managers = json!({
        "name": "managers", "driver": "scaleHost",
        "scaleHostConfig": {
            "hostSelector": {"role": "web"}, "action": "down", "amount": 1, "min": 1, "max": 3,
            "remove": true, "includeManagers": true,
        },
    });
    let (status, answer) = up.api(Method::POST, "receivers", Some(&managers)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    assert_eq!(answer["fieldName"], "remove", "{answer}");
    up.stop().await;
    swarm.remove("spread").await;
}
