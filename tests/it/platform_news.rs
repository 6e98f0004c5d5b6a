//! A platform tells by itself when something changed. Whoever waits for the end of an upgrade or for a new host is told
//! over a websocket; where there is none, looking now and then leads to the same end.

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_tests::up::Up;

fn push() -> String {
    json!({"push_data": {"tag": "v2"}, "repository": {"repo_name": "example/shop"}}).to_string()
}

#[tokio::test]
async fn whoever_waits_for_an_upgrade_subscribes_until_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"stuckUpgrades": true})).await;
    let hook = up
        .upgrading("shop", json!({"release": "shop"}), json!({}))
        .await;
    up.expect_subscribers(0).await;
    up.post(&hook, &push(), &[]).await;
    up.expect_subscribers(1).await;

    // The platform hangs up; it is called again while somebody waits.
    up.tweak("knobs", &json!({"events": false})).await;
    up.expect_subscribers(0).await;
    up.tweak("knobs", &json!({"events": true, "stuckUpgrades": false}))
        .await;
    up.expect_subscribers(1).await;

    // Somebody ends the upgrade by hand, which is told at once.
    let by_hand = "services/1s14?action=rollback";
    up.cattle(Method::POST, by_hand, &json!({})).await;
    up.settled().await;
    let told = up.history("&status=failed").await;
    assert_eq!(told.len(), 2, "the trigger and its part: {told:?}");
    up.expect_subscribers(0).await;
    up.stop().await;
}

#[tokio::test]
async fn without_a_websocket_looking_now_and_then_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"events": false})).await;
    let hook = up
        .upgrading("shop", json!({"release": "shop"}), json!({}))
        .await;
    let upgraded = up.outcome(&hook, &push()).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    let more = up.scaling_hosts("more", "up", json!({})).await;
    let added = up.outcome(&more, "").await;
    assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
    assert_eq!(up.subscribers().await, 0);
    up.stop().await;
}

/// A host is told of by its kind, as nobody knows the id of one that is being made.
#[tokio::test]
async fn new_hosts_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"settleMs": 1_500, "eventMs": 1_000}))
        .await;
    let more = up.scaling_hosts("more", "up", json!({})).await;
    up.post(&more, "", &[]).await;
    up.expect_subscribers(1).await;
    up.settled().await;
    let added = up.history("").await;
    assert_eq!(added[0]["outcome"]["code"], "hostsAdded", "{added:?}");
    assert_eq!(added[0]["outcome"]["to"], Value::from(5));
    up.stop().await;
}
