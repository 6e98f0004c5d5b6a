//! "Who called that, and what came of it?": history by every filter, in both orders, page by page.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up, program, run};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Fires `hook` with an idempotency key and returns the trigger's id.
async fn fire(up: &Up, hook: &Hook, key: &str) -> String {
    let headers = [("prefer", "wait=60"), ("idempotency-key", key)];
    let (status, trigger) = up.post(hook, "", &headers).await;
    assert_eq!(status, StatusCode::OK, "{trigger}");
    trigger["id"].as_str().unwrap().to_owned()
}

fn ids(triggers: &[Value]) -> Vec<String> {
    let id = |trigger: &Value| trigger["id"].as_str().unwrap().to_owned();
    triggers.iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_are_found_by_every_filter_in_both_orders() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 4), json!({})).await;
    let other = up.scaling("other", "1s6", "up", (1, 9), json!({})).await;
    let mut fired = Vec::new();
    for number in 0..6 {
        fired.push(fire(&up, &hook, &format!("call-{number}")).await);
    }
    fire(&up, &other, "call-1").await;
    let again = format!("triggers/{}?action=redeliver", fired[1]);
    let (status, _) = up.api(Method::POST, &again, None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    up.settled().await;

    assert_eq!(ids(&up.history("&order=asc").await)[..6], fired);
    let rejected = up.history("&code=aboveMax").await;
    assert_eq!(rejected.len(), 4, "three too many, and one again");
    assert_eq!(up.history("&idempotencyKey=call-1").await.len(), 2);
    let one = format!(
        "&idempotencyKey=call-1&receiverId={}&status=succeeded",
        hook.receiver
    );
    assert_eq!(ids(&up.history(&one).await), fired[1..2]);
    let replays = up.history(&format!("&replayOf={}", fired[1])).await;
    assert_eq!(replays.len(), 1);
    assert_eq!(replays[0]["replayOf"], fired[1]);
    let none = format!("&replayOf={}&status=succeeded", fired[1]);
    assert!(up.history(&none).await.is_empty());

    // Page by page, and a marker is good for its own query only.
    let (_, page) = up
        .api(Method::GET, "triggers?limit=2&order=asc&code=scaled", None)
        .await;
    assert_eq!(ids(page["data"].as_array().unwrap()), fired[..2]);
    let next = page["pagination"]["next"].as_str().unwrap();
    let marker = next.rsplit("marker=").next().unwrap();
    let same = format!("triggers?limit=1&order=asc&code=scaled&marker={marker}");
    let (_, page) = up.api(Method::GET, &same, None).await;
    assert_eq!(ids(page["data"].as_array().unwrap()), fired[2..3]);
    for other in [
        "order=desc&code=scaled",
        "order=asc",
        "order=asc&code=aboveMax",
    ] {
        let path = format!("triggers?{other}&marker={marker}");
        let (status, error) = up.api(Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(
            error["message"].as_str().unwrap().contains("another query"),
            "{error}"
        );
    }

    // 1s5 began at 1, so that three of its six fitted; 1s6 began at 2.
    let (_, counts) = up.api(Method::GET, "counts", None).await;
    let hours = counts["data"].as_array().unwrap();
    assert!((24..=25).contains(&hours.len()), "{counts}");
    let total = |status: &str| -> u64 {
        hours
            .iter()
            .map(|hour| hour[status].as_u64().unwrap())
            .sum()
    };
    let totals = ["succeeded", "rejected", "skipped", "failed"].map(total);
    assert_eq!(totals, [4, 4, 0, 0], "{counts}");

    let (code, lines, error) = run(
        folder.path(),
        &[
            "history",
            "--code",
            "aboveMax",
            "--key",
            "call-5",
            "--oldest-first",
            "--format",
            "json",
        ],
    )
    .await;
    assert_eq!(code, 0, "{error}");
    let found: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(found["id"], fired[5]);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_receivers_are_counted_by_the_minute_in_one_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 4), json!({})).await;
    let other = up.scaling("other", "1s6", "up", (1, 9), json!({})).await;
    let idle = up.scaling("idle", "1s6", "up", (1, 9), json!({})).await;
    let mut last = String::new();
    for number in 0..6 {
        last = fire(&up, &hook, &format!("call-{number}")).await;
    }
    fire(&up, &other, "call").await;
    let check = async |up: &Up| {
        let (status, counts) = up.api(Method::GET, "counts?by=receiver", None).await;
        assert_eq!(status, StatusCode::OK, "{counts}");
        let of = |hook: &Hook| {
            let all = counts["data"].as_array().unwrap();
            let one = all.iter().find(|one| one["receiverId"] == hook.receiver);
            one.cloned()
        };
        let count = of(&hook).unwrap();
        let ends = ["succeeded", "rejected", "skipped", "failed"].map(|status| &count[status]);
        assert_eq!(ends, [3, 3, 0, 0], "{count}");
        let minutes = count["minutes"].as_array().unwrap();
        let sum: u64 = minutes.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!((minutes.len(), sum), (60, 6));
        assert_eq!(count["newest"]["id"], last);
        assert_eq!(count["newest"]["code"], "aboveMax");
        assert_eq!(of(&other).unwrap()["succeeded"], 1);
        assert_eq!(of(&idle), None);
        let since = counts["since"].as_str().unwrap();
        assert!(since.ends_with(":00.000Z"), "{since}");
        counts["through"].as_u64().unwrap()
    };
    let through = check(&up).await;
    up.stop().await;
    up = Up::start(folder.path()).await;
    assert!(check(&up).await >= through, "also after a restart");
    up.stop().await;
}

#[tokio::test]
async fn questions_of_history_that_make_no_sense_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (path, field) in [
        ("triggers?code=done", "code"),
        ("triggers?order=up", "order"),
        ("triggers?replayOf=1", "replayOf"),
        ("triggers?marker=m1-000000000000", "marker"),
        ("counts?since=2h", "since"),
        ("counts?by=group", "by"),
        ("counts?by=receiver&since=2026-01-01T00:00:00Z", "since"),
        ("counts?since=2020-01-01T00:00:00Z", "since"),
        (
            "counts?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
            "until",
        ),
    ] {
        let (status, error) = up.api(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {error}");
        assert_eq!(error["fieldName"].as_str(), Some(field), "{path}");
    }
    for (arguments, why) in [
        (["--since", "yesterday"], "2h ago"),
        (["--since", "2026-11-23"], "no zone"),
        (["--status", "lost"], "possible values: pending, succeeded"),
    ] {
        let arguments = [&["history"][..], &arguments].concat();
        let (code, _, error) = run(folder.path(), &arguments).await;
        assert_eq!(code, 2, "{arguments:?}");
        assert!(error.contains(why), "{error}");
    }
    for (arguments, why) in [
        (
            vec!["--since", "1h ago", "--until", "2h ago"],
            "before since",
        ),
        (vec!["--receiver", "nobody"], "no receiver \"nobody\""),
        (vec!["--code", "done"], "verdicts"),
    ] {
        let arguments = [vec!["history"], arguments].concat();
        let (code, _, error) = run(folder.path(), &arguments).await;
        assert_eq!(code, 1);
        assert!(error.contains(why) && error.lines().count() == 1, "{error}");
    }
    up.stop().await;
}

/// `stormhook history --follow`, whose lines are read as they come.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(["history", "--follow", "--format", "json", "--limit", "2"])
            .args(more)
            .env("STORMHOOK_DATA_DIR", folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let lines = BufReader::new(output).lines();
        Self { child, lines }
    }

    async fn next(&mut self) -> (u64, String) {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line());
        let line = line.await.expect("a line in time").unwrap().unwrap();
        let trigger: Value = serde_json::from_str(&line).unwrap();
        let state = trigger["state"].as_str().unwrap().to_owned();
        (trigger["sequence"].as_u64().unwrap(), state)
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([name, &id]).status().await;
        assert!(sent.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_does_not_outrun_who_follows() {
    const STORM: usize = 12_000;
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .scaling("up", "1s5", "up", (1, 1_000_000), json!({}))
        .await;
    let short = json!({"deadlineSeconds": 1});
    let doomed = up.scaling("doomed", "1s6", "up", (1, 9), short).await;
    for number in 0..3 {
        fire(&up, &hook, &number.to_string()).await;
    }
    up.settled().await;
    let mut following = Following::start(folder.path(), &[]);
    let mut failed = Following::start(folder.path(), &["--status", "failed"]);
    let newest: Vec<_> = up.history("&order=asc").await;
    for trigger in &newest[1..] {
        let place = trigger["sequence"].as_u64().unwrap();
        assert_eq!(following.next().await, (place, "settled".to_owned()));
    }
    // It reads nothing, as if its terminal was held, while more happens than the feed keeps for it.
    following.signal("-STOP").await;
    let firing = (0..16).map(async |_| {
        for _ in 0..STORM / 16 {
            assert_eq!(up.fire(&hook).await.unwrap().0, StatusCode::ACCEPTED);
        }
    });
    futures::future::join_all(firing).await;
    up.settled().await;
    following.signal("-CONT").await;
    let mut settled = BTreeMap::new();
    while settled.len() < STORM {
        let (place, state) = following.next().await;
        if state == "settled" {
            *settled.entry(place).or_insert(0) += 1;
        }
    }
    assert!(settled.values().all(|times| *times == 1), "{settled:?}");
    // A filter on outcomes shows what comes to fit it.
    up.tweak("knobs", &json!({"errorRate": 1.0})).await;
    assert_eq!(up.fire(&doomed).await.unwrap().0, StatusCode::ACCEPTED);
    assert_eq!(failed.next().await.1, "settled");
    up.stop().await;
}
