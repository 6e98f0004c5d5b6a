//! Hosts are cloned and removed by the group, each once. Numbers of issues are those of rancher/rancher, where the
//! original's users told of the defect that a test is about.

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_tests::up::Up;

/// Recorded calls that created a host.
fn created(calls: &[Value]) -> Vec<&Value> {
    calls
        .iter()
        .filter(|call| {
            call["method"] == "POST" && call["path"].as_str().unwrap().ends_with("/hosts")
        })
        .map(|call| &call["body"])
        .collect()
}

/// The hosts whose evacuation was asked for.
fn evacuated(calls: &[Value]) -> Vec<&str> {
    calls
        .iter()
        .filter_map(|call| call["body"]["hostId"].as_str())
        .collect()
}

#[tokio::test]
async fn a_group_grows_by_clones_and_shrinks_by_evacuation() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let more = up.scaling_hosts("more", "up", json!({"amount": 2})).await;
    let fewer = json!({"amount": 3, "deleteOption": "mostRecent"});
    let fewer = up.scaling_hosts("fewer", "down", fewer).await;
    assert_eq!(up.hosts().await, ["rack-7", "web01", "web02", "web03"]);

    let added = up.outcome(&more, "").await;
    assert_eq!(added["group"], "hosts/1a5/role=web");
    assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
    assert_eq!(
        added["outcome"]["message"],
        "added web04, web05 (4 → 6 hosts)"
    );
    assert_eq!(
        up.hosts().await,
        ["rack-7", "web01", "web02", "web03", "web04", "web05"]
    );
    // 7997: labels were lost.
    for clone in created(&up.calls().await) {
        assert_eq!(clone["labels"], json!({"role": "web"}));
        assert_eq!(
            clone["digitaloceanConfig"],
            json!({"region": "fra1", "size": "1gb"})
        );
        assert_eq!(clone["id"], Value::Null);
    }

    let removed = up.outcome(&fewer, "").await;
    assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
    assert_eq!(
        (&removed["outcome"]["from"], &removed["outcome"]["to"]),
        (&json!(6), &json!(3))
    );
    assert_eq!(up.hosts().await, ["rack-7", "web01", "web02"]);
    up.stop().await;
}

/// 7978: the same host was removed twice, so that two triggers removed one host.
#[tokio::test]
async fn triggers_at_once_remove_different_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let fewer = up.scaling_hosts("fewer", "down", json!({})).await;
    for _ in 0..5 {
        up.fire(&fewer).await.unwrap();
    }
    up.settled().await;
    assert_eq!(up.hosts().await, ["web03"]);
    let calls = up.calls().await;
    assert_eq!(evacuated(&calls), ["1h4", "1h1", "1h2"], "the oldest first");
    assert_eq!(up.history("&status=rejected").await.len(), 2);
    up.stop().await;
}

/// 7913, 8069, 11396: disconnected hosts stayed behind as inactive ones. 7926: the service hung.
#[tokio::test]
async fn hosts_that_do_not_answer_go_first_and_completely() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let disconnected = json!({"state": "disconnected"});
    up.tweak("hosts/1h2", &disconnected).await;
    let fewer = up.scaling_hosts("fewer", "down", json!({})).await;
    let removed = up.outcome(&fewer, "").await;
    assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
    assert_eq!(up.hosts().await, ["rack-7", "web01", "web03"]);
    let calls = up.calls().await;
    let made: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call["method"].as_str().unwrap(),
                call["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        made,
        [("POST", 202), ("DELETE", 200)],
        "deactivated, then removed"
    );
    up.stop().await;
}

/// Of a removal, all hosts or none go: the original removed as many as it could and then answered 400.
#[tokio::test]
async fn a_removal_that_would_cross_the_minimum_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let fewer = up
        .scaling_hosts("fewer", "down", json!({"amount": 3, "min": 2}))
        .await;
    let rejected = up.outcome(&fewer, "").await;
    assert_eq!(rejected["outcome"]["code"], "belowMin", "{rejected}");
    assert_eq!(up.hosts().await.len(), 4);
    assert_eq!(up.calls().await, [json!(null); 0]);
    up.stop().await;
}

#[tokio::test]
async fn only_hosts_of_a_machine_driver_are_cloned() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for host in ["1h1", "1h2", "1h3"] {
        let elsewhere = json!({"labels": {"role": "db"}});
        up.cattle(Method::PUT, &format!("hosts/{host}"), &elsewhere)
            .await;
    }
    let more = up.scaling_hosts("more", "up", json!({})).await;
    let rejected = up.outcome(&more, "").await;
    assert_eq!(rejected["outcome"]["code"], "noCloneableHost", "{rejected}");

    let nowhere = json!({"hostSelector": {"role": "nothing"}});
    let nowhere = up.scaling_hosts("nowhere", "up", nowhere).await;
    let rejected = up.outcome(&nowhere, "").await;
    assert_eq!(
        rejected["outcome"]["code"], "noHostsWithLabel",
        "{rejected}"
    );
    up.stop().await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_made_is_told_and_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"failingHosts": ["web04"]})).await;
    let more = up.scaling_hosts("more", "up", json!({})).await;
    let failed = up.outcome(&more, "").await;
    assert_eq!(failed["outcome"]["code"], "provisioningFailed", "{failed}");
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("quota exceeded"), "{message}");

    let added = up.outcome(&more, "").await;
    assert_eq!(
        added["outcome"]["message"], "added web05 (4 → 5 hosts)",
        "it does not count, but has its name"
    );
    up.stop().await;
}

#[tokio::test]
async fn a_process_killed_while_it_clones_or_removes_leaves_what_was_intended() {
    for calls_before in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let up = Up::start(folder.path()).await;
        let more = up.scaling_hosts("more", "up", json!({"amount": 3})).await;
        up.fire(&more).await.unwrap();
        let up = up.killed_after(calls_before, folder.path()).await;
        up.settled().await;
        assert_eq!(
            up.hosts().await,
            [
                "rack-7", "web01", "web02", "web03", "web04", "web05", "web06"
            ],
            "killed after {calls_before} calls"
        );
        let calls = up.calls().await;
        assert_eq!(created(&calls).len(), 3, "each was created once: {calls:?}");
        let cloned = calls.len();

        let fewer = up
            .scaling_hosts("fewer", "down", json!({"amount": 3}))
            .await;
        up.fire(&fewer).await.unwrap();
        let up = up.killed_after(cloned + calls_before, folder.path()).await;
        up.settled().await;
        assert_eq!(
            up.hosts().await,
            ["web03", "web04", "web05", "web06"],
            "killed after {calls_before} calls"
        );
        let outcomes = up.history("&status=succeeded").await;
        assert_eq!(outcomes.len(), 2, "{outcomes:?}");
        let calls = up.calls().await;
        let mut gone = evacuated(&calls);
        gone.sort_unstable();
        gone.dedup();
        assert_eq!(gone, ["1h1", "1h2", "1h4"]);
        up.stop().await;
    }
}
