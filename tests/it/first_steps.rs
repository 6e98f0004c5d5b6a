//! What a new user does first.

use reqwest::{Method, StatusCode};
use serde_json::json;
use stormhook_tests::up::{Up, read};

#[tokio::test]
async fn a_hook_is_made_fired_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .scaling("scale-api", "1s6", "up", (1, 3), json!({}))
        .await;

    let (status, fired) = up.post(&hook, "", &[("prefer", "wait=20")]).await;
    assert_eq!(status, StatusCode::OK, "{fired}");
    assert_eq!(fired["outcome"]["code"], "scaled");
    assert_eq!(
        (&fired["outcome"]["from"], &fired["outcome"]["to"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(up.scale("1s6").await, 3);

    let (status, refused) = up.post(&hook, "", &[("prefer", "wait=20")]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(refused["outcome"]["status"], "rejected");
    assert_eq!(
        refused["outcome"]["message"],
        "3 + 1 is above the maximum of 3"
    );

    let id = fired["id"].as_str().unwrap();
    let (status, detail) = up.api(Method::GET, &format!("triggers/{id}"), None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(detail["plan"]["action"]["to"], 3);
    assert_eq!(detail["attempts"], 1);
    let codes: Vec<_> = up
        .history("")
        .await
        .iter()
        .map(|trigger| trigger["outcome"]["code"].clone())
        .collect();
    assert_eq!(codes, ["aboveMax", "scaled"]);
    for (filter, count) in [
        ("&status=rejected", 1),
        ("&status=failed", 0),
        ("&group=service/1a5/1s6", 2),
        ("&group=service/1a5/1s5", 0),
        (&format!("&receiverId={}", hook.receiver), 2),
        ("&until=2020-01-01T00:00:00Z", 0),
        ("&since=2020-01-01T00:00:00Z", 2),
    ] {
        assert_eq!(up.history(filter).await.len(), count, "{filter}");
    }
    up.stop().await;
}

#[tokio::test]
async fn the_demo_is_made_once_even_if_the_first_start_did_not_come_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // What is left of a start that was killed while it made its databases.
    std::fs::create_dir_all(data.join("sandbox")).unwrap();
    for draft in ["backbone.redb.new", "sandbox/sandbox.redb.new"] {
        std::fs::write(data.join(draft), [0_u8; 8_192]).unwrap();
    }
    // With a project of its own it has no demo, as if it had been killed just before.
    let config = folder.path().join("stormhook.toml");
    let text = "[projects.own]\nplatform = \"rancher\"\nurl = \"http://127.0.0.1:9/v2-beta\"";
    std::fs::write(&config, text).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    Up::start_with(&data, &config).await.stop().await;

    let up = Up::start(&data).await;
    let (_, receivers) = up.api(Method::GET, "receivers", None).await;
    let demo = &receivers["data"][0];
    assert_eq!(demo["name"], "demo-scale-web-up", "{receivers}");
    let path = format!("receivers/{}", demo["id"].as_str().unwrap());
    let (status, _) = up.api(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    up.stop().await;

    let up = Up::start(&data).await;
    let (_, receivers) = up.api(Method::GET, "receivers", None).await;
    assert_eq!(receivers["data"], json!([]), "it does not come back");
    up.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_makes_one_trigger_of_many_requests() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .scaling("up", "1s5", "up", (1, 50), json!({"dedupe": "alert"}))
        .await;
    let notification = json!({
        "version": "4", "status": "firing", "groupKey": "g", "receiver": "r",
        "alerts": [{"fingerprint": "f", "status": "firing", "startsAt": "2026-01-01T00:00:00Z"}],
    })
    .to_string();
    for headers in [
        &[("idempotency-key", "a")][..],
        &[("webhook-id", "b")],
        &[("ce-id", "1"), ("ce-source", "/s")],
        &[("x-github-delivery", "c")],
        &[("content-type", "application/json")],
    ] {
        let body = if headers[0].0 == "content-type" {
            notification.as_str()
        } else {
            ""
        };
        let (_, first) = up.post(&hook, body, headers).await;
        let (status, second) = up.post(&hook, body, headers).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        assert_eq!(first, second, "{headers:?}");
    }
    up.settled().await;
    assert_eq!(up.history("").await.len(), 5);
    assert_eq!(up.scale("1s5").await, 6);
    up.stop().await;
}

#[tokio::test]
async fn receivers_are_changed_rotated_disabled_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 50), json!({})).await;
    let path = format!("receivers/{}", hook.receiver);

    let change = json!({"name": "up-by-two", "scaleServiceConfig": {"amount": 2}});
    let (status, changed) = up.api(Method::PUT, &path, Some(&change)).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(changed["scaleServiceConfig"]["amount"], 2);
    assert_eq!(changed["scaleServiceConfig"]["max"], 50);
    assert_eq!(changed["revision"], 2);

    let (_, fired) = up.post(&hook, "", &[("prefer", "wait=20")]).await;
    assert_eq!(fired["outcome"]["to"], 3);
    assert_eq!(fired["outcome"]["receiverRevision"], 2);

    let overlap = json!({"overlapSeconds": 60});
    let (status, rotated) = up
        .api(
            Method::POST,
            &format!("{path}?action=rotate"),
            Some(&overlap),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{rotated}");
    let next = stormhook_tests::up::Hook::of(&rotated);
    assert_ne!(next.path, hook.path);
    assert_eq!(
        up.fire(&hook).await.unwrap().0,
        StatusCode::ACCEPTED,
        "the old one overlaps"
    );
    let (_, rotated) = up
        .api(Method::POST, &format!("{path}?action=rotate"), None)
        .await;
    let newest = stormhook_tests::up::Hook::of(&rotated);
    assert_eq!(
        up.fire(&next).await.unwrap().0,
        StatusCode::FORBIDDEN,
        "without overlap"
    );

    up.api(Method::POST, &format!("{path}?action=disable"), None)
        .await;
    let (_, skipped) = up.post(&newest, "", &[("prefer", "wait=20")]).await;
    assert_eq!(skipped["outcome"]["code"], "receiverDisabled");
    let (_, enabled) = up
        .api(Method::POST, &format!("{path}?action=enable"), None)
        .await;
    assert_eq!(enabled["state"], "active");

    let (status, _) = up.api(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(up.fire(&newest).await.unwrap().0, StatusCode::FORBIDDEN);
    assert!(
        up.history(&format!("&receiverId={}", hook.receiver))
            .await
            .len()
            >= 3,
        "history survives it"
    );
    up.stop().await;
}

#[tokio::test]
async fn targets_probes_and_metrics_answer() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let (status, targets) = up.api(Method::GET, "targets?kind=service", None).await;
    assert_eq!(status, StatusCode::OK);
    let names: Vec<_> = targets["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| &target["name"])
        .collect();
    assert_eq!(
        names,
        ["web", "api", "worker", "lb", "shop"],
        "only those that can be scaled"
    );
    let (_, version) = up.api(Method::GET, "", None).await;
    assert_eq!(version["type"], "apiVersion");
    let metrics = up
        .request(Method::GET, "/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("stormhook_triggers_accepted_total"),
        "{metrics}"
    );
    assert_eq!(
        read(up.request(Method::GET, "/readyz")).await.1["ready"],
        true
    );
    up.stop().await;
}
