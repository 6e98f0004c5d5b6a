//! Stormhook, or only its worker, stops while the page is open: the page says so, recovers by itself, and has missed
//! nothing.

use std::path::Path;
use std::process::Stdio;

use reqwest::StatusCode;
use serde_json::json;
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::up::{Hook, Up, http, program, read, sandbox};
use stormhook_tests::wait;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[tokio::test]
async fn the_page_says_that_nothing_answers_and_recovers() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("web", "1s5", "up", (1, 50), json!({})).await;
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    browser.visit("activity").await;
    up.outcome(&hook, "").await;
    browser.read("table", "scaled web from 1 to 2").await;
    browser.read(".health", "live").await;

    let listen = up.address.trim_start_matches("http://").to_owned();
    up.kill().await;
    browser.read(".banner", "does not answer").await;
    browser.read(".health", "interrupted").await;
    let up = Up::start_at(&listen, folder.path(), &[]).await;
    for _ in 0..2 {
        up.outcome(&hook, "").await;
    }
    browser.read(".health", "live").await;
    browser.read("table", "scaled web from 3 to 4").await;
    browser.read(".counts", "3 succeeded").await;
    let banner = "return document.querySelector('.banner').hidden";
    wait::until("a page without a banner", || async {
        let hidden = browser.run(banner, &[]).await;
        if hidden == true {
            Ok(())
        } else {
            Err(browser.text(".banner").await)
        }
    })
    .await;
    browser.close().await;
    up.stop().await;
}

const KEY: (&str, &str) = ("ops", "secret");

/// Starts one of the programs of a fleet. Returns it with the address that it tells.
async fn start(name: &str, folder: &Path, arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(program().with_file_name(name))
        .arg("--config")
        .arg(folder.join("stormhook.toml"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it tells where");
    let address = line.split_whitespace().last().unwrap().to_owned();
    wait::until("ready", || async {
        let answer = http().get(format!("{address}/readyz")).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    (child, address)
}

async fn worker(folder: &Path) -> Child {
    let data = folder.join("worker");
    let arguments = ["--probe-listen", "127.0.0.1:0", "--data-dir"];
    let data = data.to_str().unwrap();
    start(
        "stormhook-worker",
        folder,
        &[&arguments[..], &[data]].concat(),
    )
    .await
    .0
}

#[tokio::test]
async fn the_page_says_that_no_worker_answers_and_recovers() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nats = NatsServer::start(folder, &jetstream(folder)).await;
    let (_platform, platform) = sandbox(&folder.join("sandbox"), &[]).await;
    std::fs::write(folder.join("secret"), [7; 32]).unwrap();
    // SHA-256 of "secret".
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let text = format!(
        "backbone = \"{}\"\nsecret_file = \"secret\"\n\
         [[api_keys]]\naccess_key = \"ops\"\nsecret_sha256 = \"{digest}\"\nrole = \"admin\"\nprojects = [\"*\"]\n\
         [projects.1a5]\nplatform = \"rancher\"\nurl = \"{platform}\"\n",
        nats.url()
    );
    std::fs::write(folder.join("stormhook.toml"), text).unwrap();
    let first = worker(folder).await;
    let (_ingress, address) =
        start("stormhook-ingress", folder, &["--listen", "127.0.0.1:0"]).await;
    let receiver = json!({
        "name": "web", "driver": "scaleService",
        "scaleServiceConfig": {"serviceId": "1s5", "action": "up", "amount": 1, "min": 1, "max": 50},
    });
    let receivers = format!("{address}/v1-webhooks/receivers?projectId=1a5");
    let created = http()
        .post(receivers)
        .basic_auth(KEY.0, Some(KEY.1))
        .json(&receiver);
    let hook = Hook::of(&read(created).await.1);
    let fire = async || {
        let (status, _) = read(http().post(format!("{address}{}", hook.path))).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    };

    let browser = Browser::signed_in(&address, KEY).await;
    browser.visit("activity").await;
    fire().await;
    browser.read("table", "scaled web from 1 to 2").await;
    drop(first);
    browser.read(".banner", "No worker answers").await;
    fire().await;
    browser.read("table", "pending").await;
    let _second = worker(folder).await;
    browser.read("table", "scaled web from 2 to 3").await;
    wait::until("a page without a banner", || async {
        let hidden = browser
            .run("return document.querySelector('.banner').hidden", &[])
            .await;
        if hidden == true {
            Ok(())
        } else {
            Err(browser.text(".banner").await)
        }
    })
    .await;
    browser.close().await;
}
