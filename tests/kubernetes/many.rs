//! A push that a thousand workloads wait for.

use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use stormhook_shared::domain::time::Timestamp;
use stormhook_tests::kube::ControlPlane;
use stormhook_tests::up::Up;

/// More than two pages of a list, which have 500.
const WORKLOADS: usize = 1_001;
/// How many calls the configuration lets run at the same time.
const MAX_IN_FLIGHT: usize = 8;
/// An idle process holds 46 MB (docs/performance.md).
const MOST_MEMORY: u64 = 160 * 1024 * 1024;
/// How many requests the test itself makes at once.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_workloads_are_upgraded_with_a_few_calls_at_a_time() {
    let Some(cluster) = ControlPlane::start_without_controllers().await else {
        return;
    };
    cluster.namespace("shop").await;
    let _controller = cluster.rollouts("shop");
    let paths: Vec<String> = stream::iter(0..WORKLOADS)
        .map(|number| {
            let cluster = &cluster;
            async move {
                let name = format!("web-{number}");
                cluster.deployment("shop", &name, "nginx:v1", 1).await
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let folder = tempfile::tempdir().unwrap();
    let limit = format!("max_in_flight = {MAX_IN_FLIGHT}");
    let up = cluster
        .up(folder.path(), &cluster.kubeconfig(), &limit)
        .await;
    let config = json!({"batchSize": 1, "intervalMillis": 100, "startFirst": true});
    let hook = up
        .upgrading("all", json!({"release": "shop"}), config)
        .await;
    let push = r#"{"push_data": {"tag": "v2"}, "repository": {"repo_name": "library/nginx"}}"#;
    let (_, accepted) = up.post(&hook, push, &[]).await;
    up.settled().await;

    let pushed = trigger(&up, &accepted).await;
    assert_eq!(
        pushed["outcome"]["status"], "succeeded",
        "{}",
        pushed["outcome"]
    );
    let parts: Vec<Value> = stream::iter(pushed["children"].as_array().unwrap())
        .map(|part| trigger(&up, part))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    assert_eq!(parts.len(), WORKLOADS);
    for part in &parts {
        assert_eq!(part["outcome"]["status"], "succeeded", "{part}");
    }
    let images = stream::iter(&paths)
        .map(|path| cluster.get(path))
        .buffer_unordered(AT_ONCE);
    let upgraded = images.filter(|found| {
        let image = &found["spec"]["template"]["spec"]["containers"][0]["image"];
        std::future::ready(image == "nginx:v2")
    });
    assert_eq!(upgraded.count().await, WORKLOADS);
    let most = most_at_once(&parts);
    assert!(most <= MAX_IN_FLIGHT, "{most} calls ran at the same time");
    let memory = up.peak_memory();
    assert!(memory <= MOST_MEMORY, "it held {memory} bytes");
    up.stop().await;
}

async fn trigger(up: &Up, named: &Value) -> Value {
    let path = format!("triggers/{}", named["id"].as_str().unwrap());
    up.api(Method::GET, &path, None).await.1
}

/// How many of the platform calls on record for `triggers` ran at the same time, at most.
fn most_at_once(triggers: &[Value]) -> usize {
    let mut changes: Vec<(i64, i64)> = Vec::new();
    for call in triggers
        .iter()
        .flat_map(|one| one["calls"].as_array().unwrap())
    {
        let begun: Timestamp = call["at"].as_str().unwrap().parse().unwrap();
        let begun = begun.as_millis();
        let took = call["millis"].as_i64().unwrap();
        changes.extend([(begun, 1), (begun + took, -1)]);
    }
    // Of what happens in the same millisecond, ends come first: times are rounded down.
    changes.sort_unstable();
    let running = changes.iter().scan(0, |running, (_, change)| {
        *running += change;
        Some(*running)
    });
    running
        .max()
        .and_then(|most| usize::try_from(most).ok())
        .unwrap()
}
