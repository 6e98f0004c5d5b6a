//! The practice platform answers as Cattle does.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

mod knobs;

use std::path::Path;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use stormhook_sandbox::{Sandbox, SandboxOptions};

async fn start(folder: &Path) -> Sandbox {
    start_with(folder, None).await
}

async fn start_with(folder: &Path, key: Option<&str>) -> Sandbox {
    stormhook_sandbox::start(SandboxOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: folder.to_owned(),
        access_key: key.map(str::to_owned),
        secret_key: key.map(str::to_owned),
    })
    .await
    .unwrap()
}

fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

async fn call(sandbox: &Sandbox, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("http://{}/{path}", sandbox.address());
    let method: Method = method.parse().unwrap();
    let mut request = http().request(method, url);
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn get(sandbox: &Sandbox, path: &str) -> Value {
    call(sandbox, "GET", path, Value::Null).await.1
}

async fn reaches(sandbox: &Sandbox, path: &str, state: &str) -> Value {
    let waiting = async {
        loop {
            let found = get(sandbox, path).await;
            if found["state"] == state {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(30);
    let reached = tokio::time::timeout(patience, waiting).await;
    reached.unwrap_or_else(|_| panic!("{path} never was {state}"))
}

#[tokio::test]
async fn what_was_answered_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    call(&sandbox, "PUT", "v2-beta/services/1s5", json!({"scale": 7})).await;
    call(&sandbox, "PUT", "sandbox/knobs", json!({"latencyMs": 1})).await;
    sandbox.stop().await;
    // Its database is let go with its last thread.
    let sandbox = loop {
        let options = SandboxOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: folder.path().to_owned(),
            access_key: None,
            secret_key: None,
        };
        match stormhook_sandbox::start(options).await {
            Ok(sandbox) => break sandbox,
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(get(&sandbox, "v2-beta/services/1s5").await["scale"], 7);
    assert_eq!(get(&sandbox, "sandbox/knobs").await["latencyMs"], 1);
    let calls = get(&sandbox, "sandbox/calls").await;
    assert_eq!(calls["total"], 1);
    assert_eq!(
        calls["data"][0]["effect"]["scale"],
        json!({"from": 1, "to": 7})
    );
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start_with(folder.path(), Some("key")).await;
    let (status, error) = call(&sandbox, "GET", "v2-beta/services", Value::Null).await;
    assert_eq!((status, &error["type"]), (401, &json!("error")));
    let url = format!("{}/services", sandbox.url());
    let request = http().get(url).basic_auth("key", Some("key"));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn lists_come_in_pages_and_unknown_filters_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let many = json!({"name": "many", "count": 150});
    call(&sandbox, "POST", "sandbox/services", many).await;
    let first = get(&sandbox, "v2-beta/projects/1a5/services").await;
    assert_eq!(first["data"].as_array().unwrap().len(), 100);
    assert_eq!(first["pagination"]["partial"], true);
    let next = first["pagination"]["next"].as_str().unwrap();
    let host = format!("http://{}/", sandbox.address());
    let second = get(&sandbox, next.strip_prefix(&host).unwrap()).await;
    assert_eq!(second["data"].as_array().unwrap().len(), 60);
    assert_eq!(second["pagination"]["next"], Value::Null);
    for (query, count) in [
        ("limit=0", 160),
        ("limit=5", 5),
        ("limit=0&name=web", 1),
        ("limit=0&name_ne=web", 159),
        ("limit=0&colour=blue", 160),
    ] {
        let found = get(&sandbox, &format!("v2-beta/services?{query}")).await;
        assert_eq!(found["data"].as_array().unwrap().len(), count, "{query}");
    }
}

/// A PUT of another scale, by the state of the service.
#[tokio::test]
async fn a_scale_is_taken_queued_or_stored_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let slow = json!({"settleMs": 600_000});
    call(&sandbox, "PUT", "sandbox/knobs", slow).await;
    for (service, action, state, status) in [
        ("1s5", None, "active", 200),
        ("1s6", Some("restart"), "restarting", 409),
        ("1s7", Some("deactivate"), "deactivating", 409),
    ] {
        let path = format!("v2-beta/services/{service}");
        if let Some(action) = action {
            call(
                &sandbox,
                "POST",
                &format!("{path}?action={action}"),
                json!({}),
            )
            .await;
        }
        assert_eq!(get(&sandbox, &path).await["state"], state);
        let (found, _) = call(&sandbox, "PUT", &path, json!({"scale": 9, "state": "x"})).await;
        assert_eq!(found, status, "{state}");
        let stored = get(&sandbox, &path).await;
        assert_eq!(stored["scale"], 9, "stored all the same in {state}");
        assert_ne!(stored["state"], "x", "what cannot be written is ignored");
    }
    for scale in [json!(-1), json!(1.5), json!("3")] {
        let body = json!({"scale": scale});
        let (status, error) = call(&sandbox, "PUT", "v2-beta/services/1s5", body).await;
        assert_eq!(
            (status, &error["fieldName"]),
            (422, &json!("scale")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_upgrade_goes_through_cattles_states() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let path = "v2-beta/services/1s14";
    let config = json!({"imageUuid": "docker:example/shop:2", "labels": {"release": "shop"}});
    let body = json!({"inServiceStrategy": {"batchSize": 2, "launchConfig": config}});
    let act = |action: &'static str, body: Value| {
        let sandbox = &sandbox;
        async move { call(sandbox, "POST", &format!("{path}?action={action}"), body).await }
    };
    let (status, error) = act("finishupgrade", json!({})).await;
    assert_eq!(
        (status, &error["code"]),
        (422, &json!("ActionNotAvailable"))
    );
    let (status, error) = act("levitate", json!({})).await;
    assert_eq!((status, &error["code"]), (422, &json!("InvalidAction")));
    let (status, error) = act("upgrade", json!({"inServiceStrategy": {}})).await;
    assert_eq!((status, &error["code"]), (422, &json!("InvalidOption")));
    let (status, upgrading) = act("upgrade", body.clone()).await;
    assert_eq!((status, &upgrading["state"]), (202, &json!("upgrading")));
    let upgraded = reaches(&sandbox, path, "upgraded").await;
    assert_eq!(upgraded["launchConfig"], config, "replaced wholesale");
    assert_eq!(
        upgraded["secondaryLaunchConfigs"][0]["name"], "shop-log",
        "the sidekick stays"
    );
    assert!(upgraded["actions"]["finishupgrade"].is_string());
    let (status, _) = act("upgrade", body).await;
    assert_eq!(status, 422, "not before it is finished or rolled back");
    act("rollback", json!({})).await;
    let back = reaches(&sandbox, path, "active").await;
    assert_eq!(
        back["launchConfig"]["imageUuid"],
        "docker:example/shop:latest"
    );
}

#[tokio::test]
async fn hosts_are_provisioned_and_evacuated_over_time() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let fails = json!({"failingHosts": ["doomed"]});
    call(&sandbox, "PUT", "sandbox/knobs", fails).await;
    let hosts = "v2-beta/hosts";
    let new = |name: &str| json!({"hostname": name, "digitaloceanConfig": {"size": "1gb"}});
    let (status, error) = call(&sandbox, "POST", hosts, json!({"hostname": "bare"})).await;
    assert_eq!(
        (status, &error["code"]),
        (422, &json!("DriverConfigExactlyOneRequired"))
    );
    let (status, made) = call(&sandbox, "POST", hosts, new("fine")).await;
    assert_eq!((status, &made["state"]), (201, &json!("registering")));
    let path = format!("{hosts}/{}", made["id"].as_str().unwrap());
    reaches(&sandbox, &path, "active").await;
    let (status, _) = call(&sandbox, "DELETE", &path, Value::Null).await;
    assert_eq!(status, 405, "an active host is not removed");
    let event = json!({"eventType": "host.evacuate", "hostId": made["id"], "deleteHost": true});
    let (status, _) = call(
        &sandbox,
        "POST",
        "v2-beta/externalHostEvents",
        event.clone(),
    )
    .await;
    assert_eq!(status, 201);
    reaches(&sandbox, &path, "removed").await;
    let (status, _) = call(&sandbox, "POST", "v2-beta/externalHostEvents", event).await;
    assert_eq!(status, 422, "it is gone");

    let (_, doomed) = call(&sandbox, "POST", hosts, new("doomed")).await;
    let path = format!("{hosts}/{}", doomed["id"].as_str().unwrap());
    let failed = reaches(&sandbox, &path, "error").await;
    assert_eq!(failed["transitioning"], "error");
    assert!(
        failed["transitioningMessage"]
            .as_str()
            .unwrap()
            .contains("quota")
    );
    let (status, _) = call(&sandbox, "DELETE", &path, Value::Null).await;
    assert_eq!(status, 200, "from error it is removed at once");
}
