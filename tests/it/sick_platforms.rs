//! Platforms that hang or fail, and one that is well: groups on that one do not wait for the others.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use stormhook_tests::up::{Hook, Up, read, sandbox};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::http_letters::heard;

/// How long to wait for what comes within a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_hangs_or_fails_delays_nobody_elses_groups() {
    let folder = tempfile::tempdir().unwrap();
    let (_healthy, url) = sandbox(&folder.path().join("healthy"), &[]).await;
    let (hanging, hanging_url) = silent_platform().await;
    let (failing, failing_url) = silent_platform().await;
    let failing = tokio::spawn(hang_up(failing));
    let projects = [
        project("1a5", &url),
        project("1a6", &hanging_url),
        project("1a7", &failing_url),
    ];
    let config = folder.path().join("stormhook.toml");
    std::fs::write(&config, projects.concat()).unwrap();
    let data = folder.path().join("data");
    let up = Up::start_with(&data, &["--config", config.to_str().unwrap()]).await;
    let web = up.scaling("web", "1s5", "up", (1, 9), json!({})).await;
    let api = up.scaling("api", "1s6", "up", (1, 9), json!({})).await;
    let mut sick = vec![scaling_hosts(&up, "1a7", "web").await];
    // More than the calls that a platform gets at once; and web8, web15 and web18 are in the
    // partitions of the two healthy groups.
    for number in 1..=20 {
        sick.push(scaling_hosts(&up, "1a6", &format!("web{number}")).await);
    }

    for hook in &sick {
        assert_eq!(up.fire(hook).await.unwrap().0, StatusCode::ACCEPTED);
    }
    let _calls = asked_for_hosts(&hanging).await;
    for (hook, to) in [(&web, 2), (&api, 3), (&web, 3), (&api, 4)] {
        let scaled = up.outcome(hook, "").await;
        assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
        assert_eq!(scaled["outcome"]["to"], to, "{scaled}");
    }
    for (project, count) in [("1a6", 20), ("1a7", 1)] {
        let path = format!("/v1-webhooks/triggers?status=pending&projectId={project}");
        let (_, waiting) = read(up.admin_request(Method::GET, &path)).await;
        let waiting = waiting["data"].as_array().map(Vec::len);
        assert_eq!(waiting, Some(count), "{project}");
    }
    failing.abort();
    up.kill().await;
}

/// A platform that answers nothing, and the address of its API.
async fn silent_platform() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2-beta", listener.local_addr().unwrap());
    (listener, url)
}

/// Hangs up on every call to a platform.
async fn hang_up(platform: TcpListener) {
    while let Ok((call, _)) = platform.accept().await {
        drop(call);
    }
}

/// A project's section of the configuration.
fn project(id: &str, url: &str) -> String {
    format!("[projects.{id}]\nplatform = \"rancher\"\nurl = \"{url}\"\n")
}

/// Creates a receiver for the hosts with a role, which need not be there, in another project.
async fn scaling_hosts(up: &Up, project: &str, role: &str) -> Hook {
    let receiver = json!({
        "name": role, "driver": "scaleHost",
        "scaleHostConfig": {
            "hostSelector": {"role": role}, "action": "up", "amount": 1, "min": 1, "max": 9,
        },
    });
    let path = format!("/v1-webhooks/receivers?projectId={project}");
    let request = up.admin_request(Method::POST, &path).json(&receiver);
    let (status, created) = read(request).await;
    assert_eq!(status, StatusCode::OK, "{created}");
    Hook::of(&created)
}

/// Takes calls and answers none until hosts are asked for. Returns their connections, which are
/// open as long as they are kept.
async fn asked_for_hosts(platform: &TcpListener) -> Vec<TcpStream> {
    let mut calls = Vec::new();
    loop {
        let accepted = timeout(PATIENCE, platform.accept()).await;
        let (mut call, _) = accepted.expect("a call in time").unwrap();
        let asked = heard(&mut call, "\r\n").await;
        calls.push(call);
        if asked.contains("/hosts") {
            return calls;
        }
    }
}
