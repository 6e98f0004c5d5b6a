//! "Do it again": triggers of some time are sent again in their order, through the same gates, and however often that is
//! interrupted, none of them twice.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::random::Random;
use stormhook_tests::up::{Hook, Up, program, run};
use stormhook_tests::wait;
use tokio::process::Command;

const SINCE: [&str; 3] = ["replay", "--since", "2h ago"];

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_sent_again_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let short = json!({"deadlineSeconds": 1});
    let hooks = [
        up.scaling("web", "1s5", "up", (1, 100), short.clone())
            .await,
        up.scaling("api", "1s6", "up", (1, 100), short).await,
    ];
    up.tweak("knobs", &json!({"errorRate": 1.0})).await;
    for number in 0..12 {
        let (status, _) = up.post(&hooks[number % 2], &number.to_string(), &[]).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    up.settled().await;
    up.tweak("knobs", &json!({"errorRate": 0.0})).await;
    // It is left alone for a while after so many failures; triggers have a second only.
    wait::until("the platform is asked again", || async {
        match up.api(Method::GET, "targets?kind=service", None).await {
            (StatusCode::OK, _) => Ok(()),
            (_, told) => Err(told.to_string()),
        }
    })
    .await;
    let failed = up.history("&status=failed&order=asc").await;
    assert_eq!(failed.len(), 12, "{failed:?}");

    let told = fine(folder.path(), &["--status", "failed"]).await;
    assert!(told.contains("12 would be sent again, 0 not"), "{told}");
    assert_eq!(up.history("").await.len(), 12, "nothing was sent");

    let told = fine(
        folder.path(),
        &["--status", "failed", "--apply", "--id", "one"],
    )
    .await;
    assert!(told.starts_with("12 sent again"), "{told}");
    up.settled().await;
    assert_eq!((up.scale("1s5").await, up.scale("1s6").await), (7, 8));
    expect_each_once_in_order(&up, &failed).await;

    let told = fine(
        folder.path(),
        &["--status", "failed", "--apply", "--id", "one"],
    )
    .await;
    assert!(told.starts_with("0 sent again, 12 were sent"), "{told}");
    assert_eq!(up.history("").await.len(), 24);

    // Who replayed what is in the record, each time, and what was sent names the replay.
    let calls = wait::until("both replays in the record", || async {
        let (_, page) = up.api(Method::GET, "audit/calls?limit=100", None).await;
        let calls = page["data"].as_array().cloned().unwrap_or_default();
        let replays = calls.iter().filter(|call| call["call"] == "replay");
        if replays.count() == 2 {
            Ok(calls)
        } else {
            Err(page.to_string())
        }
    })
    .await;
    let replay = calls.iter().find(|call| call["call"] == "replay").unwrap();
    let wish = &replay["after"];
    assert_eq!(
        (&wish["id"], &wish["triggers"]),
        (&json!("one"), &json!(12))
    );
    assert_eq!(
        (&wish["status"], &wish["group"]),
        (&json!("failed"), &Value::Null)
    );
    assert!(
        wish["since"].is_string() && wish["until"].is_string(),
        "{wish}"
    );
    assert!(replay["accessKey"].is_string(), "{replay}");
    let named = calls
        .iter()
        .filter(|call| call["after"]["key"] == "replay one");
    assert_eq!(named.count(), 12);
    let (code, told, error) = run(folder.path(), &["audit", "calls"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(
        told.contains("12 triggers since ") && told.contains("status failed"),
        "{told}"
    );
    // It is refused what is no replay.
    let (status, error) = up
        .api(
            Method::POST,
            "triggers?action=replay",
            Some(&json!({"id": "x"})),
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");

    // What repeats another one is not sent beside it.
    let told = fine(folder.path(), &["--group", "service/1a5/1s5"]).await;
    assert!(told.contains("6 would be sent again, 6 not"), "{told}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_pass_the_same_gates() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let resting = json!({"cooldownSeconds": 3_600});
    let cool = up.scaling("cool", "1s5", "up", (1, 100), resting).await;
    let off = up.scaling("off", "1s6", "up", (1, 100), json!({})).await;
    let gone = up.scaling("gone", "1s6", "up", (1, 100), json!({})).await;
    for hook in [&cool, &off, &gone] {
        assert_eq!(up.outcome(hook, "").await["outcome"]["code"], "scaled");
    }
    act(&up, Method::POST, &off, "?action=disable").await;
    act(&up, Method::DELETE, &gone, "").await;

    let told = fine(folder.path(), &["--apply", "--id", "gated"]).await;
    assert!(
        told.starts_with("2 sent again, 0 were sent by this replay before, 1 not sent"),
        "{told}"
    );
    up.settled().await;
    let ends = |triggers: Vec<Value>| {
        let end = |one: &Value| one["outcome"]["code"].as_str().unwrap().to_owned();
        triggers.iter().map(end).collect::<Vec<_>>()
    };
    let of = |hook: &Hook| format!("&receiverId={}", hook.receiver);
    assert_eq!(
        ends(up.history(&of(&cool)).await),
        ["coolingDown", "scaled"]
    );
    assert_eq!(
        ends(up.history(&of(&off)).await),
        ["receiverDisabled", "scaled"]
    );
    assert_eq!(ends(up.history(&of(&gone)).await), ["scaled"]);
    let told = fine(folder.path(), &[]).await;
    assert!(told.contains("no: its receiver is gone"), "{told}");

    let anyway = ["--receiver", "cool", "--apply", "--ignore-cooldown"];
    let told = fine(folder.path(), &anyway).await;
    assert!(told.starts_with("1 sent again"), "{told}");
    up.settled().await;
    assert_eq!(
        ends(up.history(&of(&cool)).await),
        ["scaled", "coolingDown", "scaled"]
    );

    // The same through the API: who asks twice with one key gets the same trigger.
    let first = up.history("&order=asc").await.remove(0);
    let path = format!(
        "/v1-webhooks/triggers/{}?projectId=1a5&action=redeliver",
        first["id"].as_str().unwrap()
    );
    let mut ids = Vec::new();
    for expected in [StatusCode::ACCEPTED, StatusCode::OK] {
        let request = up.admin_request(Method::POST, &path);
        let answer = request.header("idempotency-key", "k").send().await.unwrap();
        assert_eq!(answer.status(), expected);
        ids.push(answer.json::<Value>().await.unwrap()["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_at_random_nothing_is_sent_twice() {
    const TRIGGERS: usize = 200;
    const INTERRUPTIONS: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::seeded();
    let mut up = Up::start(folder.path()).await;
    let hooks = [
        up.scaling("web", "1s5", "up", (1, 1_000), json!({})).await,
        up.scaling("api", "1s6", "up", (1, 1_000), json!({})).await,
    ];
    for hook in &hooks {
        act(&up, Method::POST, hook, "?action=disable").await;
    }
    for number in 0..TRIGGERS {
        up.fire(&hooks[number % 2]).await.unwrap();
    }
    up.settled().await;
    for hook in &hooks {
        act(&up, Method::POST, hook, "?action=enable").await;
    }
    let missed = up.history("&status=skipped&order=asc").await;
    assert_eq!(missed.len(), TRIGGERS);

    let apply = [
        "--apply", "--status", "skipped", "--id", "night", "--rate", "400",
    ];
    for interruption in 0..INTERRUPTIONS {
        let mut client = Command::new(program())
            .args(SINCE)
            .args(apply)
            .env("STORMHOOK_DATA_DIR", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // As many more as are sent in a while, counted on the server.
        let more = random.below(TRIGGERS as u64 / INTERRUPTIONS as u64);
        let goal = up.history("").await.len() as u64 + more;
        loop {
            let is_there = up.history("").await.len() as u64 >= goal;
            if is_there || client.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let is_server = random.below(2) == 1;
        println!("interruption {interruption} after {more}, server: {is_server}");
        if is_server {
            up.kill().await;
            client.kill().await.unwrap();
            up = Up::start(folder.path()).await;
        } else {
            client.kill().await.unwrap();
        }
    }
    let told = fine(folder.path(), &apply).await;
    assert!(
        told.contains("were sent by this replay before, 0 not sent"),
        "{told}"
    );
    up.settled().await;
    assert_eq!(up.history("").await.len(), 2 * TRIGGERS);
    expect_each_once_in_order(&up, &missed).await;
    let half = TRIGGERS as u64 / 2;
    assert_eq!(
        (up.scale("1s5").await, up.scale("1s6").await),
        (1 + half, 2 + half)
    );
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (arguments, why) in [
        (["--until", "3h ago"], "is before --since"),
        (["--receiver", "nobody"], "has no receiver"),
    ] {
        let (code, _, error) = replay(folder.path(), &arguments).await;
        assert_eq!(code, 1, "{arguments:?}");
        assert!(error.contains(why) && error.lines().count() == 1, "{error}");
    }
    for (arguments, why) in [
        (["--until", "2026-11-23T21:00:00"], "no zone"),
        (["--until", "soon"], "is not a time"),
        (["--status", "lost"], "is not a status"),
        (["--rate", "0"], "zero"),
    ] {
        let (code, _, error) = replay(folder.path(), &arguments).await;
        assert_eq!(code, 2, "{arguments:?}");
        assert!(error.contains(why), "{error}");
    }
    let (code, told, _) = replay(folder.path(), &["--apply"]).await;
    assert_eq!(
        (code, told.starts_with("0 sent again")),
        (0, true),
        "{told}"
    );
    up.stop().await;
}

async fn act(up: &Up, method: Method, hook: &Hook, action: &str) {
    let path = format!("receivers/{}{action}", hook.receiver);
    let (status, answer) = up.api(method, &path, None).await;
    assert!(status.is_success(), "{answer}");
}

async fn replay(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    run(folder, &[&SINCE[..], arguments].concat()).await
}

async fn fine(folder: &Path, arguments: &[&str]) -> String {
    let (code, told, error) = replay(folder, arguments).await;
    assert_eq!(code, 0, "{error}");
    told
}

/// Each of `originals` has one trigger that repeats it, and within a group these come in the same order.
async fn expect_each_once_in_order(up: &Up, originals: &[Value]) {
    let all = up.history("&order=asc").await;
    let mut by_group: HashMap<&str, (Vec<&str>, Vec<&str>)> = HashMap::new();
    for original in originals {
        let group = by_group
            .entry(original["group"].as_str().unwrap())
            .or_default();
        group.0.push(original["id"].as_str().unwrap());
    }
    for trigger in &all {
        if let Some(original) = trigger["replayOf"].as_str() {
            assert_eq!(trigger["outcome"]["status"], "succeeded", "{trigger}");
            let group = by_group
                .entry(trigger["group"].as_str().unwrap())
                .or_default();
            group.1.push(original);
        }
    }
    for (group, (originals, repeated)) in by_group {
        assert_eq!(originals, repeated, "{group}");
    }
}
