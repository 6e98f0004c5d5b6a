//! A project of one's own: Stormhook speaks to a Rancher that asks for credentials, and keeps them to itself.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::tls::TlsFront;
use stormhook_tests::up::{Hook, Up, http, read, sandbox};
use tokio::process::Child;

/// A practice platform that asks for the key "ops" with the secret "s3cret", and its address.
async fn guarded_platform(folder: &Path) -> (Child, String) {
    let keys = ["--api-access-key", "ops", "--api-secret-key", "s3cret"];
    sandbox(folder, &keys).await
}

async fn connected(folder: &Path, name: &str, url: &str, secret: &str) -> Up {
    connected_with(folder, name, url, secret, "").await
}

/// The same with further lines of configuration.
async fn connected_with(folder: &Path, name: &str, url: &str, secret: &str, more: &str) -> Up {
    let config = folder.join(format!("{name}.toml"));
    std::fs::write(folder.join("rancher-secret"), format!("{secret}\n")).unwrap();
    let text = format!(
        "[projects.1a5]\nplatform = \"rancher\"\nurl = \"{url}\"\naccess_key = \"ops\"\nsecret_key_file = \"rancher-secret\"\n{more}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut up = Up::start_with(&folder.join(name), &["--config", config.to_str().unwrap()]).await;
    up.sandbox = url.trim_end_matches("/v2-beta").to_owned();
    up
}

/// A server that nobody should call.
fn unfrequented() -> TcpListener {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    server
}

#[tokio::test]
async fn a_platform_that_asks_for_credentials_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_platform, url) = guarded_platform(&folder.path().join("platform")).await;
    let up = connected(folder.path(), "right", &url, "s3cret").await;
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let scaled = up.outcome(&hook, "").await;
    assert_eq!(scaled["outcome"]["to"], 3, "{scaled}");
    assert_eq!(up.calls().await.len(), 1);
    up.stop().await;
}

#[tokio::test]
async fn a_platform_that_refuses_the_credentials_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_platform, url) = guarded_platform(&folder.path().join("platform")).await;
    let up = connected(folder.path(), "wrong", &url, "guessed").await;
    let receiver = json!({
        "name": "up", "driver": "scaleService",
        "scaleServiceConfig": {"serviceId": "1s6", "action": "up", "amount": 1, "min": 1, "max": 9},
    });
    let (status, error) = up.api(Method::POST, "receivers", Some(&receiver)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("401"), "{message}");
    assert!(!message.contains("guessed"), "{message}");

    // What needs no look at the platform can be made, and its triggers fail at once.
    let hook = up.scaling_hosts("hosts", "up", json!({})).await;
    let failed = up.outcome(&hook, "").await;
    assert_eq!(failed["outcome"]["code"], "platformRefused", "{failed}");
    up.stop().await;
}

/// Behind TLS with an authority of one's own, and with links that lead elsewhere: everything works, and nothing goes to
/// where the links lead.
#[tokio::test]
async fn credentials_go_to_the_configured_address_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_platform, plain) = guarded_platform(&folder.path().join("platform")).await;
    let address = plain
        .trim_start_matches("http://")
        .trim_end_matches("/v2-beta");
    let front = TlsFront::start(folder.path(), address).await;
    let url = format!("{}/v2-beta", front.url);
    let elsewhere = unfrequented();
    let authority = format!("ca_file = {:?}", front.authority);
    let mut up = connected_with(folder.path(), "tls", &url, "s3cret", &authority).await;
    up.sandbox = plain.trim_end_matches("/v2-beta").to_owned();
    let links = format!("http://{}/v2-beta", elsewhere.local_addr().unwrap());
    up.tweak("knobs", &json!({"linksAt": links})).await;
    // More than a page, so that there is a link to the next.
    up.add_services(&json!({"name": "filler", "count": 1_000}))
        .await;
    up.add_services(&json!({"name": "last", "labels": {"release": "last"}}))
        .await;

    let (upgrading, push) = every_kind_acts(&up, "last").await;
    up.tweak("knobs", &json!({"stuckUpgrades": true})).await;
    up.post(&upgrading, &push, &[]).await;
    up.expect_subscribers(1).await;
    let called = elsewhere.accept();
    assert!(called.is_err(), "nobody follows the links: {called:?}");
    up.kill().await;

    // Without the authority the certificate is not trusted, and nothing is sent.
    let up = connected(folder.path(), "untrusting", &url, "s3cret").await;
    let receiver = json!({
        "name": "up", "driver": "scaleService",
        "scaleServiceConfig": {"serviceId": "1s6", "action": "up", "amount": 1, "min": 1, "max": 9},
    });
    let (status, error) = up.api(Method::POST, "receivers", Some(&receiver)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("certificate"), "{message}");
    up.stop().await;
}

/// Hooks of all kinds do what they are for. Returns that of the upgrade of what carries `release`, and its push.
async fn every_kind_acts(up: &Up, release: &str) -> (Hook, String) {
    let scaling = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let upgrading = up
        .upgrading("upgrade", json!({"release": release}), json!({}))
        .await;
    let cloning = up.scaling_hosts("hosts", "up", json!({})).await;
    let passing_on = up
        .create(&json!({
            "name": "pass-on", "driver": "forwardPost",
            "forwardPostConfig": {"projectId": "1a5", "serviceName": "api", "port": 80, "path": "/go"},
        }))
        .await;
    let push = json!({"push_data": {"tag": "v2"}, "repository": {"repo_name": format!("example/{release}")}});
    let push = push.to_string();
    for (hook, body, code) in [
        (&scaling, "", "scaled"),
        (&upgrading, push.as_str(), "upgraded"),
        (&cloning, "", "hostsAdded"),
        (&passing_on, "", "forwarded"),
    ] {
        let done = up.outcome(hook, body).await;
        assert_eq!(done["outcome"]["code"], code, "{done}");
    }
    (upgrading, push)
}

/// rancher/rancher issue 7953: with access control on, no host was added, though the caller was told 200.
#[tokio::test]
async fn hosts_are_added_where_access_is_controlled() {
    let folder = tempfile::tempdir().unwrap();
    let (_platform, url) = guarded_platform(&folder.path().join("platform")).await;
    let up = connected(folder.path(), "guarded", &url, "s3cret").await;
    let more = up.scaling_hosts("more", "up", json!({"amount": 2})).await;
    let added = up.outcome(&more, "").await;
    assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
    assert_eq!(up.hosts().await.len(), 6);
    let fewer = up.scaling_hosts("fewer", "down", json!({})).await;
    let removed = up.outcome(&fewer, "").await;
    assert_eq!(removed["outcome"]["code"], "hostsRemoved", "{removed}");
    assert_eq!(up.hosts().await.len(), 5);
    up.stop().await;
}

/// Credentials would go along, to wherever it leads.
#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (_platform, url) = guarded_platform(&folder.path().join("platform")).await;
    let up = connected(folder.path(), "redirected", &url, "s3cret").await;
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let elsewhere = unfrequented();
    for (status, base) in [
        (307, format!("http://{}", elsewhere.local_addr().unwrap())),
        (302, up.sandbox.clone()),
    ] {
        let location = format!("{base}/v2-beta/projects/1a5/services/1s5");
        let fault = json!({"method": "PUT", "status": status, "location": location});
        up.tweak("knobs", &json!({"fault": fault})).await;
        let failed = up.outcome(&hook, "").await;
        assert_eq!(failed["outcome"]["code"], "platformRefused", "{failed}");
        let message = failed["outcome"]["message"].as_str().unwrap();
        assert!(message.contains(&status.to_string()), "{message}");
    }
    let called = elsewhere.accept();
    assert!(called.is_err(), "nobody follows it: {called:?}");
    let calls = up.calls().await;
    let made: Vec<_> = calls.iter().map(|call| call["status"].clone()).collect();
    assert_eq!(made, [307, 302], "one call each, and without effect");
    up.stop().await;
}

/// Behind a proxy that leads to other things, too, a server's API is below a path, and so is its way to the services.
#[tokio::test]
async fn a_platform_below_a_path_is_called_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_platform, plain) = guarded_platform(&folder.path().join("platform")).await;
    let root = plain.trim_end_matches("/v2-beta").to_owned();
    let prefixed = json!({"prefixed": true});
    let moved = http().put(format!("{root}/sandbox/knobs")).json(&prefixed);
    assert_eq!(read(moved).await.0, StatusCode::OK);
    let url = format!("{root}/rancher/v2-beta");
    let mut up = connected(folder.path(), "below", &url, "s3cret").await;
    up.sandbox = root;

    every_kind_acts(&up, "shop").await;
    let calls = up.calls().await;
    assert_eq!(calls.len(), 5, "{calls:?}");
    for call in &calls {
        let path = call["path"].as_str().unwrap();
        assert!(path.starts_with("/rancher/"), "{call}");
    }
    assert_eq!(calls[4]["path"], "/rancher/r/projects/1a5/api:80/go");
    up.stop().await;
}

/// Too much at once is no failure, and whoever is asked to come back later does.
#[tokio::test]
async fn a_platform_that_is_overloaded_has_the_rest_that_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let fault = json!({"times": 2, "method": "PUT", "status": 429, "retryAfter": "1"});
    up.tweak("knobs", &json!({"fault": fault})).await;
    let started = Instant::now();
    let scaled = up.outcome(&hook, "").await;
    assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
    let taken = started.elapsed();
    assert!(taken >= Duration::from_secs(2), "it took {taken:?}");
    let calls = up.calls().await;
    let made: Vec<_> = calls.iter().map(|call| call["status"].clone()).collect();
    assert_eq!(made, [429, 429, 200]);
    up.stop().await;
}

/// The state has changed since it was looked at: look again, and do what is due then.
#[tokio::test]
async fn what_a_state_does_not_permit_is_tried_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .upgrading("upgrade", json!({"release": "shop"}), json!({}))
        .await;
    let fewer = up.scaling_hosts("fewer", "down", json!({})).await;
    let push = r#"{"push_data": {"tag": "v2"}, "repository": {"repo_name": "example/shop"}}"#;
    for (hook, body, fault, code) in [
        (
            &hook,
            push,
            json!({"status": 422, "code": "ActionNotAvailable"}),
            "upgraded",
        ),
        (&fewer, "", json!({"status": 405}), "hostsRemoved"),
    ] {
        let mut fault = fault;
        fault["method"] = json!("POST");
        up.tweak("knobs", &json!({"fault": fault})).await;
        let done = up.outcome(hook, body).await;
        assert_eq!(done["outcome"]["code"], code, "{done}");
    }
    let shop = up.cattle(Method::GET, "services/1s14", &Value::Null).await;
    assert_eq!(shop["launchConfig"]["imageUuid"], "docker:example/shop:v2");
    up.stop().await;
}
