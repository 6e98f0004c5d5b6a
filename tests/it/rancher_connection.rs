//! A project of one's own: Stormhook speaks to a Rancher that asks for credentials, and keeps them to itself.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::json;
use stormhook_tests::tls::TlsFront;
use stormhook_tests::up::{Up, sandbox};
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
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
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

    let scaling = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let upgrading = up
        .upgrading("upgrade", json!({"release": "last"}), json!({}))
        .await;
    let cloning = up.scaling_hosts("hosts", "up", json!({})).await;
    let passing_on = up
        .create(&json!({
            "name": "pass-on", "driver": "forwardPost",
            "forwardPostConfig": {"projectId": "1a5", "serviceName": "api", "port": 80, "path": "/"},
        }))
        .await;
    let push = r#"{"push_data": {"tag": "v2"}, "repository": {"repo_name": "example/last"}}"#;
    for (hook, body, code) in [
        (&scaling, "", "scaled"),
        (&upgrading, push, "upgraded"),
        (&cloning, "", "hostsAdded"),
        (&passing_on, "", "forwarded"),
    ] {
        let done = up.outcome(hook, body).await;
        assert_eq!(done["outcome"]["code"], code, "{done}");
    }
    up.tweak("knobs", &json!({"stuckUpgrades": true})).await;
    up.post(&upgrading, push, &[]).await;
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
