//! The platform fails, and callers do not notice: triggers are tried again until their deadline.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;
use stormhook_tests::up::{Up, read};
use stormhook_tests::wait;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 100), json!({})).await;
    up.tweak("knobs", &json!({"outage": true})).await;
    for _ in 0..20 {
        assert_eq!(up.fire(&hook).await.unwrap().0.as_u16(), 202);
    }
    assert_eq!(
        up.history("&status=pending").await.len(),
        20,
        "all of them wait"
    );
    up.tweak("knobs", &json!({"outage": false})).await;
    up.settled().await;
    assert_eq!(up.scale("1s5").await, 21);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_after_their_effect_are_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 100), json!({})).await;
    up.tweak("knobs", &json!({"errorAfterRate": 0.5, "errorRate": 0.2}))
        .await;
    for _ in 0..30 {
        up.fire(&hook).await.unwrap();
    }
    up.settled().await;
    up.tweak("knobs", &json!({"errorAfterRate": 0.0, "errorRate": 0.0}))
        .await;
    assert_eq!(up.scale("1s5").await, 31);
    assert_eq!(up.history("&status=succeeded").await.len(), 30);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_trying_and_a_stopped_process_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let short = up
        .scaling(
            "short",
            "1s5",
            "up",
            (1, 100),
            json!({"deadlineSeconds": 1}),
        )
        .await;
    let long = up.scaling("long", "1s6", "up", (1, 100), json!({})).await;
    up.tweak("knobs", &json!({"outage": true})).await;
    let (_, failed) = up.post(&short, "", &[("prefer", "wait=30")]).await;
    assert_eq!(failed["outcome"]["code"], "deadlineExceeded", "{failed}");
    up.fire(&long).await.unwrap();
    up.stop().await;

    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"outage": false})).await;
    up.settled().await;
    assert_eq!((up.scale("1s5").await, up.scale("1s6").await), (1, 3));
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_wants_to_be_left_alone_for_ages_does_not_outlast_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let short = json!({"deadlineSeconds": 1});
    let hook = up.scaling("up", "1s5", "up", (1, 100), short).await;
    let ages = json!({"outage": true, "retryAfterSeconds": u64::MAX});
    up.tweak("knobs", &ages).await;
    for _ in 0..2 {
        let (_, failed) = up.post(&hook, "", &[("prefer", "wait=30")]).await;
        assert_eq!(failed["outcome"]["code"], "deadlineExceeded", "{failed}");
    }
    up.stop().await;
}

/// While the platform is away, its receivers can be managed, and that counts for what waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_platform_is_decided_by_its_receiver_as_it_is_then() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let change = json!({"filter": [{"pointer": "/go", "equals": true}]});
    for (name, method, action, body, code) in [
        (
            "disabled",
            Method::POST,
            "?action=disable",
            None,
            "receiverDisabled",
        ),
        ("deleted", Method::DELETE, "", None, "receiverDeleted"),
        ("changed", Method::PUT, "", Some(&change), "filtered"),
    ] {
        let hook = up.scaling(name, "1s5", "up", (1, 9), json!({})).await;
        up.tweak("knobs", &json!({"outage": true})).await;
        let (_, fired) = up.post(&hook, "", &[]).await;
        let fired = format!("triggers/{}", fired["id"].as_str().unwrap());
        wait::until("the trigger to wait for the platform", || async {
            let (_, trigger) = up.api(Method::GET, &fired, None).await;
            let waits_for = trigger["waiting"]["waitsFor"].as_str().unwrap_or_default();
            if waits_for.contains("platform") {
                Ok(())
            } else {
                Err(trigger.to_string())
            }
        })
        .await;
        let path = format!("receivers/{}{action}", hook.receiver);
        let (status, answer) = up.api(method, &path, body).await;
        assert!(status.is_success(), "{answer}");
        up.tweak("knobs", &json!({"outage": false})).await;
        up.settled().await;
        let newest = up.history("").await.remove(0);
        assert_eq!(newest["outcome"]["code"], code, "{newest}");
    }
    assert_eq!(up.scale("1s5").await, 1);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_is_decided_from() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 100), json!({})).await;
    up.post(&hook, "", &[("prefer", "wait=20")]).await;
    up.tweak("services/1s5", &json!({"scale": 10})).await;
    let (_, fired) = up.post(&hook, "", &[("prefer", "wait=20")]).await;
    assert_eq!(
        (&fired["outcome"]["from"], &fired["outcome"]["to"]),
        (&json!(10), &json!(11))
    );
    let path = format!("triggers/{}", fired["id"].as_str().unwrap());
    let (_, detail) = up.api(Method::GET, &path, None).await;
    assert_eq!(detail["plan"]["drift"], json!({"left": 2, "found": 10}));
    up.stop().await;
}

/// Waiting callers and viewers have no time to end by themselves: within the grace, which is 10 s, the process has ended.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_answered_when_the_process_stops() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 100), json!({})).await;
    up.tweak("knobs", &json!({"outage": true})).await;
    let viewing = async {
        let feed = "/v1-webhooks/events?projectId=1a5";
        let answer = up.admin_request(Method::GET, feed).send().await.unwrap();
        answer.text().await
    };
    let stopping = async {
        wait::until("a trigger and a viewer to wait", || async {
            let pending = up.history("&status=pending").await.len();
            let (_, system) = up.api(Method::GET, "system", None).await;
            if pending == 1 && system["ingress"]["viewers"] == 1 {
                Ok(())
            } else {
                Err(format!("{pending} triggers; {system}"))
            }
        })
        .await;
        up.signal("TERM").await;
        Instant::now()
    };
    let waiting = up.post(&hook, "", &[("prefer", "wait=60")]);
    let (viewed, asked, (status, answer)) = tokio::join!(viewing, stopping, waiting);
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert!(viewed.is_ok(), "the feed ends in order: {viewed:?}");
    up.stop().await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Triggers are accepted while a platform is down, so the process stays ready; but it tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_left_alone_is_told_in_probes_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 100), json!({})).await;
    up.tweak("knobs", &json!({"outage": true})).await;
    up.fire(&hook).await.unwrap();
    expect_told(&up, "left alone", "0").await;
    up.tweak("knobs", &json!({"outage": false})).await;
    up.settled().await;
    expect_told(&up, "ready", "1").await;
    up.stop().await;
}

async fn expect_told(up: &Up, state: &str, reachable: &str) {
    wait::until("the platform's state to be told", || async {
        let (status, ready) = read(up.request(Method::GET, "/readyz")).await;
        assert_eq!(status, StatusCode::OK, "{ready}");
        let told = ready["projects"]["1a5"].as_str().unwrap_or_default();
        let metrics = up.request(Method::GET, "/metrics").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let line = format!("stormhook_platform_reachable{{project=\"1a5\"}} {reachable}\n");
        if told.contains(state) && metrics.contains(&line) {
            Ok(())
        } else {
            Err(format!("{ready} {metrics}"))
        }
    })
    .await;
}
