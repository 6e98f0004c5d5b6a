//! Hosts are cloned and removed by the group, each once. Numbers of issues are those of rancher/rancher, where the
//! original's users told of the defect that a test is about.

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_tests::stage::Stage;
use stormhook_tests::up::Up;
use stormhook_tests::wait;
use stormhook_tests::wire::Moment;

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

/// The recorded calls in words, each with the name of the host that it was about, and its status if it failed.
fn told(calls: &[Value], hosts: &[Value]) -> Vec<String> {
    calls
        .iter()
        .map(|call| {
            let path = call["path"].as_str().unwrap();
            let what = match call["method"].as_str().unwrap() {
                "POST" if path.ends_with("/hosts") => "clone",
                "POST" if path.ends_with("/externalHostEvents") => "evacuate",
                "POST" => call["action"].as_str().unwrap(),
                method => method,
            };
            let host = hosts.iter().find(|host| host["id"] == call["resource"]);
            let name = host.map_or("nobody", |host| host["name"].as_str().unwrap());
            match call["status"].as_u64().unwrap() {
                200..300 => format!("{what} {name}"),
                status => format!("{what} {name} ({status})"),
            }
        })
        .collect()
}

/// The id of the host with this name that is there.
fn id_of(hosts: &[Value], name: &str) -> String {
    let is_meant = |host: &&Value| host["name"] == name && host["removed"].is_null();
    let host = hosts.iter().find(is_meant).unwrap();
    host["id"].as_str().unwrap().to_owned()
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

/// 7913, 8069, 11396: disconnected hosts stayed behind as inactive ones.
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

/// What the group of the stories about kills has at first, and between them.
const FOUR: [&str; 4] = ["rack-7", "web01", "web02", "web03"];
const SEVEN: [&str; 7] = [
    "rack-7", "web01", "web02", "web03", "web04", "web05", "web06",
];

#[tokio::test]
async fn a_process_killed_at_any_step_of_cloning_makes_each_host_once() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set(folder.path()).await;
    let mut up = stage.start().await;
    let more = up.scaling_hosts("more", "up", json!({"amount": 3})).await;
    let fewer = json!({"amount": 3, "deleteOption": "mostRecent"});
    let fewer = up.scaling_hosts("fewer", "down", fewer).await;
    for (round, moment) in Moment::all(3).into_iter().enumerate() {
        assert_eq!(up.hosts().await, FOUR, "{moment:?}");
        let before = up.calls().await.len();
        let (again, added) = stage.killed_at(moment, up, &more, "").await;
        up = again;
        assert_eq!(
            added["outcome"]["message"], "added web04, web05, web06 (4 → 7 hosts)",
            "{moment:?}: {added}"
        );
        assert_eq!(up.hosts().await, SEVEN, "{moment:?}");
        let hosts = up.everything("hosts").await;
        assert_eq!(
            told(&up.calls().await[before..], &hosts),
            ["clone web04", "clone web05", "clone web06"],
            "{moment:?}: each once"
        );
        let outcomes = up.history("&status=succeeded").await;
        assert_eq!(outcomes.len(), 2 * round + 1, "{moment:?}: one for each");

        let removed = up.outcome(&fewer, "").await;
        assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
    }
    assert_eq!(up.history("&status=failed").await, [Value::Null; 0]);
    up.stop().await;
}

/// One of them does not answer: it is deactivated, and removed when it is inactive.
#[tokio::test]
async fn a_process_killed_at_any_step_of_removing_removes_each_host_once() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set(folder.path()).await;
    let mut up = stage.start().await;
    let more = up.scaling_hosts("more", "up", json!({"amount": 3})).await;
    let fewer = json!({"amount": 3, "deleteOption": "mostRecent"});
    let fewer = up.scaling_hosts("fewer", "down", fewer).await;
    for (round, moment) in Moment::all(4).into_iter().enumerate() {
        let added = up.outcome(&more, "").await;
        assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
        let failing = id_of(&up.everything("hosts").await, "web05");
        let disconnected = json!({"state": "disconnected"});
        up.tweak(&format!("hosts/{failing}"), &disconnected).await;
        let before = up.calls().await.len();

        let (again, removed) = stage.killed_at(moment, up, &fewer, "").await;
        up = again;
        assert_eq!(
            removed["outcome"]["message"], "removed web05, web06, web04 (7 → 4 hosts)",
            "{moment:?}: {removed}"
        );
        assert_eq!(up.hosts().await, FOUR, "{moment:?}");
        let hosts = up.everything("hosts").await;
        let mut done = told(&up.calls().await[before..], &hosts);
        done.sort();
        assert_eq!(
            done,
            [
                "DELETE web05",
                "deactivate web05",
                "evacuate web04",
                "evacuate web06"
            ],
            "{moment:?}: each once"
        );
        let outcomes = up.history("&status=succeeded").await;
        assert_eq!(outcomes.len(), 2 * (round + 1), "{moment:?}: one for each");
    }
    assert_eq!(up.history("&status=failed").await, [Value::Null; 0]);
    up.stop().await;
}

/// Whoever goes on does not know that the platform has been told to remove a host that it finds inactive. It removes it
/// itself, which has the same goal.
#[tokio::test]
async fn a_process_killed_while_hosts_go_by_themselves_removes_those_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set(folder.path()).await;
    let mut up = stage.start().await;
    let more = up.scaling_hosts("more", "up", json!({"amount": 3})).await;
    let fewer = json!({"amount": 3, "deleteOption": "mostRecent"});
    let fewer = up.scaling_hosts("fewer", "down", fewer).await;
    let last_look = Moment::Look { calls: 3, looks: 0 };
    for moment in [Moment::Answer(2), last_look] {
        up.tweak("knobs", &json!({"settleMs": 50})).await;
        let added = up.outcome(&more, "").await;
        assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
        // Long enough for the process to be back before the hosts are gone.
        up.tweak("knobs", &json!({"settleMs": 1_500})).await;
        let before = up.calls().await.len();

        let (again, removed) = stage.killed_at(moment, up, &fewer, "").await;
        up = again;
        assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
        assert_eq!(up.hosts().await, FOUR, "{moment:?}");
        let hosts = up.everything("hosts").await;
        let done = told(&up.calls().await[before..], &hosts);
        for name in ["web04", "web05", "web06"] {
            let evacuation = format!("evacuate {name}");
            let evacuations = done.iter().filter(|call| **call == evacuation).count();
            assert_eq!(evacuations, 1, "{moment:?}: {done:?}");
        }
        let is_other = |call: &&String| !call.starts_with("evacuate ");
        for call in done.iter().filter(is_other) {
            let has_same_goal = ["DELETE web04", "DELETE web05", "DELETE web06"]
                .iter()
                .any(|goal| call.starts_with(goal));
            assert!(has_same_goal, "{moment:?}: {done:?}");
        }
    }
    up.stop().await;
}

/// A host's agent tells the platform a longer name, or somebody gives it another one, while it is made: it is still the
/// one that was asked for.
#[tokio::test]
async fn a_clone_that_gets_another_name_while_it_is_made_is_made_once() {
    for (name, is_killed) in [
        ("web04.example.internal", false),
        ("web04.example.internal", true),
        ("front door", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::set(folder.path()).await;
        let mut up = stage.start().await;
        let more = up.scaling_hosts("more", "up", json!({})).await;
        stage.wire.stop_at(Moment::Look { calls: 1, looks: 0 });
        up.fire(&more).await.unwrap();
        stage.wire.stopped().await;
        let id = id_of(&up.everything("hosts").await, "web04");
        rename(&up, &id, name).await;
        if is_killed {
            up = stage.restart(up).await;
        } else {
            stage.wire.open();
        }
        up.settled().await;

        let added = up.history("").await.remove(0);
        assert_eq!(
            added["outcome"]["message"], "added web04 (4 → 5 hosts)",
            "{name}: {added}"
        );
        let calls = up.calls().await;
        let made = created(&calls).len();
        assert_eq!(made, 1, "{name}, killed: {is_killed}: {calls:?}");
        let mut expected = [FOUR.as_slice(), &[name]].concat();
        expected.sort_unstable();
        assert_eq!(up.hosts().await, expected, "killed: {is_killed}");
        up.stop().await;
    }
}

/// What is sent as a hostname does not stay: the host's agent tells what the machine takes itself for.
#[tokio::test]
async fn clones_whose_agents_tell_longer_hostnames_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"agentDomain": "example.internal"}))
        .await;
    let more = up.scaling_hosts("more", "up", json!({"amount": 2})).await;
    let added = up.outcome(&more, "").await;
    assert_eq!(
        added["outcome"]["message"], "added web04, web05 (4 → 6 hosts)",
        "{added}"
    );
    let added = up.outcome(&more, "").await;
    assert_eq!(
        added["outcome"]["message"], "added web06, web07 (6 → 8 hosts)",
        "{added}"
    );
    assert_eq!(created(&up.calls().await).len(), 4);
    up.stop().await;
}

/// Gives a host another name as soon as the platform takes one.
async fn rename(up: &Up, id: &str, name: &str) {
    let path = format!("hosts/{id}");
    wait::until("the host to be registered", || async {
        let host = up.cattle(Method::GET, &path, &Value::Null).await;
        if host["state"] == "registering" {
            Err(host["state"].to_string())
        } else {
            Ok(())
        }
    })
    .await;
    let named = up.cattle(Method::PUT, &path, &json!({"name": name})).await;
    assert_eq!(named["name"], name);
}
