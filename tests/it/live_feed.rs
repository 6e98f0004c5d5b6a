//! The live feed tells everything once, also to viewers who come back, and never waits for a slow one.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::events::{Event, Viewer};
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::up::{Hook, Up, read};
use stormhook_tests::wait;

const EVENTS: &str = "/v1-webhooks/events?projectId=1a5";
const VIEWERS: usize = 1_000;

async fn view(up: &Up, last_id: &str) -> Viewer {
    let request = up.admin_request(Method::GET, EVENTS);
    Viewer::begin(request.header("last-event-id", last_id)).await
}

async fn fire(up: &Up, hook: &Hook, count: usize) {
    for _ in 0..count {
        assert_eq!(up.fire(hook).await.unwrap().0, StatusCode::ACCEPTED);
    }
}

/// How often each sequence was told in events of a kind.
fn told(events: &[Event], kind: &str) -> BTreeMap<u64, usize> {
    let mut told = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == kind) {
        let sequence = event.data["sequence"].as_u64().unwrap();
        *told.entry(sequence).or_default() += 1;
    }
    told
}

/// The feed has no end, but who asks by HEAD does not view it.
#[tokio::test]
async fn head_of_the_feed_is_answered_and_that_is_all() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let answer = up.admin_request(Method::HEAD, EVENTS).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = answer.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    wait::until("nobody to view", || async {
        let (_, system) = up.api(Method::GET, "system", None).await;
        if system["ingress"]["viewers"] == 0 {
            Ok(())
        } else {
            Err(system.to_string())
        }
    })
    .await;
    up.stop().await;
}

#[tokio::test]
async fn a_viewer_sees_everything_once_however_often_it_reconnects() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start(folder.path()).await;
    let mut viewer = view(&up, "").await;
    let hook = up.scaling("up", "1s5", "up", (1, 5_000), json!({})).await;
    let made = viewer.take(1, &["receiver"]).await.remove(0);
    assert_eq!(
        (&made.data["name"], &made.data["url"]),
        (&json!("up"), &Value::Null)
    );

    let both = ["trigger", "outcome"];
    let mut events = Vec::new();
    fire(&up, &hook, 3).await;
    events.extend(viewer.take(6, &both).await);
    // Whatever was seen last, the next connection goes on behind it: also in the midst of a record's outcomes.
    for _ in 0..20 {
        let last_id = viewer.last_id.clone();
        drop(viewer);
        fire(&up, &hook, 2).await;
        viewer = view(&up, &last_id).await;
        events.extend(viewer.take(3, &both).await);
        let id = events.last().unwrap().id.clone();
        viewer = view(&up, &id).await;
        events.extend(viewer.take(1, &both).await);
    }
    let last_id = viewer.last_id.clone();
    fire(&up, &hook, 50).await;
    up.settled().await;
    up.stop().await;
    up = Up::start(folder.path()).await;
    let renamed = json!({"name": "renamed"});
    let path = format!("receivers/{}", hook.receiver);
    let mut viewer = view(&up, &last_id).await;
    events.extend(viewer.take(100, &both).await);
    up.api(Method::PUT, &path, Some(&renamed)).await;
    up.api(Method::DELETE, &path, None).await;
    let changes = viewer.take(2, &["receiver"]).await;
    assert_eq!(changes[0].data["name"], "renamed");
    assert_eq!(changes[1].data["state"], "removed");

    let history = up.history("").await;
    assert_eq!(history.len(), 93);
    let expected: BTreeMap<u64, usize> = history
        .iter()
        .map(|trigger| (trigger["sequence"].as_u64().unwrap(), 1))
        .collect();
    assert_eq!(told(&events, "trigger"), expected);
    assert_eq!(told(&events, "outcome"), expected);
    let outcome = events.iter().find(|event| event.kind == "outcome").unwrap();
    let same = history
        .iter()
        .find(|trigger| trigger["sequence"] == outcome.data["sequence"])
        .unwrap();
    assert_eq!(outcome.data["outcome"], same["outcome"]);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_ingress_is_gone_goes_on_at_another() {
    let folder = tempfile::tempdir().unwrap();
    let nats = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let mut fleet = Fleet::start(folder.path(), &nats.url(), "", 2, 2).await;
    let first = fleet.ingress();
    let hook = first
        .scaling("up", "1s5", "up", (1, 5_000), json!({}))
        .await;
    let mut viewer = view(first, "").await;
    let both = ["trigger", "outcome"];
    let mut events = Vec::new();
    for round in 0..6 {
        let (here, there) = (round % 2, 1 - round % 2);
        let other = fleet.ingresses[there].as_ref().unwrap();
        wait::until("the receiver to be known", || async {
            let (status, found) = other.fire(&hook).await.map_err(|error| error.to_string())?;
            match status {
                StatusCode::ACCEPTED => Ok(()),
                other => Err(format!("{other}: {found}")),
            }
        })
        .await;
        // What is called at one is seen at the other, until that is killed in the midst of it.
        fire(other, &hook, 9).await;
        events.extend(viewer.take(7, &both).await);
        fleet.ingresses[here].take().unwrap().kill().await;
        while let Some(event) = viewer.next().await {
            events.push(event);
        }
        let other = fleet.ingresses[there].as_ref().unwrap();
        fire(other, &hook, 10).await;
        viewer = view(other, &viewer.last_id).await;
        fleet.start_ingress(here).await;
    }
    // Everything was told once the last one is, in both logs.
    let up = fleet.ingress();
    let last = up.outcome(&hook, "").await["sequence"].clone();
    let mut left = both.len();
    while left > 0 {
        let event = viewer.take(1, &both).await.remove(0);
        left -= usize::from(event.data["sequence"] == last);
        events.push(event);
    }
    let history = up.history("").await;
    assert_eq!(history.len(), 6 * 20 + 1);
    let expected: BTreeMap<u64, usize> = history
        .iter()
        .map(|trigger| (trigger["sequence"].as_u64().unwrap(), 1))
        .collect();
    assert_eq!(told(&events, "trigger"), expected);
    assert_eq!(told(&events, "outcome"), expected);
}

#[tokio::test]
async fn who_cannot_go_on_is_told_to_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let mut viewer = view(&up, "999-999-0").await;
    let event = viewer.next().await.unwrap();
    assert_eq!(event.kind, "reload", "{event:?}");
    assert!(viewer.next().await.is_none(), "and the feed ends");
    let request = up.admin_request(Method::GET, EVENTS);
    let (status, error) = read(request.header("last-event-id", "yesterday")).await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("Last-Event-ID"))
    );
    let (status, _) = read(up.request(Method::GET, EVENTS)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_everything_goes_on_where_others_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 100), json!({})).await;
    let seen = view(&up, "").await.last_id;
    fire(&up, &hook, 3).await;
    up.scaling("other", "1s6", "up", (1, 100), json!({})).await;
    up.settled().await;
    up.stop().await;
    // Which receivers changed meanwhile is not known any more after a restart.
    let up = Up::start(folder.path()).await;
    let mut viewer = view(&up, &seen).await;
    assert_eq!(viewer.next().await.unwrap().kind, "begin");
    assert_eq!(viewer.next().await.unwrap().kind, "reload");
    let everything = format!("{EVENTS}&complete=true");
    let request = up.admin_request(Method::GET, &everything);
    let mut viewer = Viewer::begin(request.header("last-event-id", &seen)).await;
    let events = viewer.take(6, &["trigger", "outcome"]).await;
    for kind in ["trigger", "outcome"] {
        assert_eq!(told(&events, kind).len(), 3, "{kind}");
    }
    let wrong = up.admin_request(Method::GET, &format!("{EVENTS}&complete=x"));
    let (status, error) = read(wrong).await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("complete"))
    );
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_viewer_slows_nobody() {
    const TRIGGERS: usize = 15_000;
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .scaling("up", "1s5", "up", (1, 1_000_000), json!({}))
        .await;
    let mut slow = view(&up, "").await;
    let mut fast = view(&up, "").await;
    let seeing =
        tokio::spawn(async move { fast.take(2 * TRIGGERS, &["trigger", "outcome"]).await });
    let firing = (0..16).map(|_| fire(&up, &hook, TRIGGERS / 16));
    futures::future::join_all(firing).await;
    fire(&up, &hook, TRIGGERS % 16).await;
    let events = seeing.await.unwrap();
    for kind in ["trigger", "outcome"] {
        let told = told(&events, kind);
        assert_eq!(told.len(), TRIGGERS, "{kind}");
        assert!(told.values().all(|times| *times == 1), "{kind}");
    }
    // What it finds at last is the end of what fitted into the buffers, and then that it has to begin anew.
    let last = loop {
        match slow.next().await {
            Some(event) if event.kind == "reload" => break event,
            Some(_) => {}
            None => panic!("the feed ended without a word"),
        }
    };
    assert!(
        last.data["reason"]
            .as_str()
            .is_some_and(|why| why.contains("slow"))
    );
    assert!(slow.next().await.is_none());
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_viewers_see_everything() {
    let me = std::process::id().to_string();
    let raised = std::process::Command::new("prlimit")
        .args(["--pid", &me, "--nofile=8192"])
        .status();
    assert!(
        raised.is_ok_and(|status| status.success()),
        "8,192 files can be open at once"
    );
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 5_000), json!({})).await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        viewers.push(view(&up, "").await);
    }
    fire(&up, &hook, 20).await;
    let seeing = viewers
        .iter_mut()
        .map(|viewer| viewer.take(40, &["trigger", "outcome"]));
    for events in futures::future::join_all(seeing).await {
        assert_eq!(told(&events, "trigger").len(), 20);
        assert_eq!(told(&events, "outcome").len(), 20);
    }
    // Viewers who stay do not keep it from stopping.
    up.stop().await;
}
