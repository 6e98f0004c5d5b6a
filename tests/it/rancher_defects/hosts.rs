//! Of groups of hosts.

use reqwest::{Method, StatusCode};
use serde_json::json;
use stormhook_tests::up::{Up, http, read};

/// 7983: after web9 came web1, over and over. And names were given twice.
#[tokio::test]
async fn host_names_count_on_past_nine_and_are_never_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (hostname, role) in [("app9", "app"), ("app11", "other")] {
        let host = json!({"hostname": hostname, "digitaloceanConfig": {"size": "1gb"}, "labels": {"role": role}});
        up.cattle(Method::POST, "hosts", &host).await;
    }
    let more = json!({"hostSelector": {"role": "app"}, "amount": 2});
    let more = up.scaling_hosts("more", "up", more).await;
    for _ in 0..3 {
        let added = up.outcome(&more, "").await;
        assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
    }
    let names: Vec<_> = up.hosts().await;
    let apps: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("app"))
        .collect();
    assert_eq!(
        apps,
        [
            "app10", "app11", "app12", "app13", "app14", "app15", "app16", "app9"
        ],
        "app11 is another group's"
    );
    up.stop().await;
}

/// 7926: while the oldest host did not answer, another like it was waited for without end; and so was the sixth of many.
#[tokio::test]
async fn hosts_are_cloned_while_the_oldest_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("hosts/1h1", &json!({"state": "disconnected"}))
        .await;
    let more = up.scaling_hosts("more", "up", json!({"amount": 6})).await;
    let added = up.outcome(&more, "").await;
    assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
    assert_eq!(
        up.hosts().await,
        [
            "rack-7",
            "web01 (disconnected)",
            "web02",
            "web03",
            "web04",
            "web05",
            "web06",
            "web07",
            "web08",
            "web09"
        ]
    );
    up.stop().await;
}

/// 7918: where all hosts had been added by hand, none could be removed; and at the minimum the service panicked.
#[tokio::test]
async fn hosts_that_were_added_by_hand_can_go() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for name in ["rack-1", "rack-2"] {
        let host = json!({"name": name, "labels": {"role": "rack"}});
        let url = format!("{}/sandbox/hosts", up.sandbox);
        let (status, added) = read(http().post(url).json(&host)).await;
        assert_eq!(status, StatusCode::OK, "{added}");
    }
    let fewer = json!({"hostSelector": {"role": "rack"}});
    let fewer = up.scaling_hosts("fewer", "down", fewer).await;
    for code in ["hostsRemoved", "belowMin", "belowMin"] {
        let told = up.outcome(&fewer, "").await;
        assert_eq!(told["outcome"]["code"], code, "{told}");
    }
    assert_eq!(up.hosts().await.len(), 5, "one of them, and the others");
    up.stop().await;
}

/// All hosts in a bad state went, even beyond `amount`; or some of them went, and the caller was told 400.
#[tokio::test]
async fn exactly_as_many_hosts_go_as_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (id, state) in [
        ("1h1", "disconnected"),
        ("1h2", "inactive"),
        ("1h3", "reconnecting"),
    ] {
        let bad = json!({"state": state});
        up.tweak(&format!("hosts/{id}"), &bad).await;
    }
    let fewer = up
        .scaling_hosts("fewer", "down", json!({"amount": 2}))
        .await;
    let removed = up.outcome(&fewer, "").await;
    assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
    assert_eq!(removed["outcome"]["to"], 2, "{removed}");
    assert_eq!(
        up.hosts().await,
        ["rack-7", "web03 (reconnecting)"],
        "the oldest of those that do not work"
    );
    let calls = up.calls().await;
    for call in &calls {
        let host = call["resource"].as_str().unwrap();
        assert!(matches!(host, "1h1" | "1h2"), "{call}");
        assert!(call["status"].as_u64() < Some(300), "{call}");
    }
    up.stop().await;
}

/// 7913: a host that was purged as soon as it was removed looked inactive for ever, as nobody is told of that.
#[tokio::test]
async fn hosts_that_are_purged_without_a_word_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    // Long enough for somebody to listen, who hears of all states but the last.
    let purged = json!({"evacuationsEnd": "purged", "settleMs": 1_500, "eventMs": 20});
    up.tweak("knobs", &purged).await;
    let fewer = json!({"amount": 2, "deleteOption": "mostRecent"});
    let fewer = up.scaling_hosts("fewer", "down", fewer).await;
    let removed = up.outcome(&fewer, "").await;
    assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
    assert_eq!(up.hosts().await, ["rack-7", "web01"]);
    let all = up.everything("hosts").await;
    let purged = all.iter().filter(|host| host["state"] == "purged");
    assert_eq!(purged.count(), 2, "{all:?}");
    up.stop().await;
}

/// 8069, 11396: what was left of a removal that did not come to its end stayed there as an inactive host.
#[tokio::test]
async fn a_removal_that_stalls_is_told_and_what_is_left_goes_first_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let brief = up
        .create(&json!({
            "name": "brief", "driver": "scaleHost", "deadlineSeconds": 3,
            "scaleHostConfig": {
                "hostSelector": {"role": "web"}, "action": "down", "amount": 1, "min": 1, "max": 9,
                "deleteOption": "mostRecent",
            },
        }))
        .await;
    up.tweak("knobs", &json!({"evacuationsEnd": "inactive"}))
        .await;
    let failed = up.outcome(&brief, "").await;
    assert_eq!(failed["outcome"]["code"], "deadlineExceeded", "{failed}");
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("web03 is being removed"), "{message}");
    let left = ["rack-7", "web01", "web02", "web03 (inactive)"];
    assert_eq!(up.hosts().await, left);

    let fewer = up.scaling_hosts("fewer", "down", json!({})).await;
    let removed = up.outcome(&fewer, "").await;
    assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
    assert_eq!(up.hosts().await, ["rack-7", "web01", "web02"]);

    // Its containers cannot be stopped: nothing but the platform can end that.
    up.tweak("knobs", &json!({"evacuationsEnd": "deactivating"}))
        .await;
    let failed = up.outcome(&brief, "").await;
    assert_eq!(failed["outcome"]["code"], "deadlineExceeded", "{failed}");
    let left = ["rack-7", "web01", "web02 (deactivating)"];
    assert_eq!(up.hosts().await, left, "no other goes in its place");
    up.stop().await;
}
