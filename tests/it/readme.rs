//! The README's own command lines run, and so does what `stormhook up` prints for whoever has read no further.

use std::path::Path;

use serde_json::{Value, json};
use stormhook_tests::project;
use stormhook_tests::up::{Up, program, run};
use tokio::process::Command;

/// What the README calls the program by. Here, another build of it stands for that one.
const ALIAS: &str = "alias stormhook=target/release/stormhook\n";
/// The trigger's id in the README: every reader has another.
const ID: &str = "01933d8e-…";

#[tokio::test(flavor = "multi_thread")]
async fn hooks_of_all_kinds_are_made_fired_and_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let blocks = blocks(&section("Make a hook"));
    let (asking, making) = blocks.split_last().unwrap();
    let making = making.concat();
    let making = making.strip_prefix(ALIAS).expect("the alias is first");

    let told = shell(folder.path(), making).await;
    let verdicts: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("succeeded ("))
        .collect();
    assert_eq!(
        verdicts,
        [
            "succeeded (scaled): scaled api from 2 to 3",
            "succeeded (hostsAdded): added web04 (4 → 5 hosts)",
            "succeeded (upgraded): upgraded shop to example/shop:v2",
            "succeeded (forwarded): passed on to api:8080/build/start",
        ],
        "{told}"
    );
    assert_eq!(up.scale("1s6").await, 3);
    assert_eq!(up.hosts().await.len(), 5);
    let calls = up.calls().await;
    let forwarded = calls.last().unwrap();
    assert_eq!(forwarded["path"], "/r/projects/1a5/api:8080/build/start");
    assert_eq!(forwarded["body"], r#"{"branch": "main"}"#);
    let list = ["receivers", "list", "--format", "json"];
    let (code, list, error) = run(folder.path(), &list).await;
    assert_eq!(code, 0, "{error}");
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let names: Vec<_> = list.iter().map(|receiver| &receiver["name"]).collect();
    assert_eq!(
        names,
        [
            "demo-scale-web-up",
            "more-hosts",
            "scale-api",
            "start-build",
            "upgrade-shop"
        ]
    );

    up.settled().await;
    let smaller = json!({"name": "scale-api", "scaleServiceConfig": {"max": 2}});
    std::fs::write(folder.path().join("smaller.json"), smaller.to_string()).unwrap();
    let history = up.history("").await;
    let fired = history
        .iter()
        .find(|trigger| trigger["receiverName"] == "scale-api");
    let id = fired.unwrap()["id"].as_str().unwrap();
    assert!(asking.contains(ID), "{asking}");
    let told = shell(folder.path(), &asking.replace(ID, id)).await;
    for expected in [
        "scaled api from 2 to 3",
        "nothing would be sent",
        "aboveMax at 2",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_start_prints_scales_the_demo_service_and_tells_why() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let curl = printed_below(&up, "Scale the demo service up by one:");
    assert!(curl.starts_with("curl "), "{curl}");
    let answer = shell(folder.path(), curl).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["state"], "accepted", "{answer}");
    up.settled().await;
    assert_eq!(up.scale("1s5").await, 2);

    let history = printed_below(&up, "See what happened, and why:");
    let told = shell(folder.path(), history).await;
    assert!(told.contains("1 → 2"), "{told}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_own_keys_the_history_command_asks_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stormhook.toml");
    let digest = "0".repeat(64);
    let key = format!(
        "[[api_keys]]\naccess_key = \"ops\"\nsecret_sha256 = \"{digest}\"\nrole = \"admin\"\nprojects = [\"*\"]\n"
    );
    std::fs::write(&config, key).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let up = Up::start_with(&folder.path().join("data"), &config).await;
    let history = printed_below(&up, "See what happened, and why:");
    let ending = format!(
        "history --server {} --access-key … --secret-key …",
        up.address
    );
    assert!(history.ends_with(&ending), "{history}");
    up.stop().await;
}

/// A section of the README, without its heading.
fn section(heading: &str) -> String {
    let readme = std::fs::read_to_string(project::path("README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    section.to_owned()
}

/// Its indented blocks, as they are to be typed: what stands between two of them begins another.
fn blocks(section: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        if let Some(typed) = line.strip_prefix("    ") {
            let block = blocks.last_mut().unwrap();
            block.push_str(typed);
            block.push('\n');
        } else if !line.is_empty() {
            blocks.push(String::new());
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// The command that `up` printed below this sentence.
fn printed_below<'a>(up: &'a Up, sentence: &str) -> &'a str {
    let mut lines = up.printed().lines().map(str::trim);
    assert!(lines.any(|line| line == sentence), "{}", up.printed());
    lines.next().unwrap()
}

/// Runs command lines as their reader would who has the alias, one after the other, and expects all of them to end well.
/// Returns what they print.
async fn shell(folder: &Path, commands: &str) -> String {
    let alias = format!("alias stormhook='{}'", program().display());
    let script = format!("set -euo pipefail\nshopt -s expand_aliases\n{alias}\n{commands}");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder)
        .env("STORMHOOK_DATA_DIR", folder)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}: {told}{error}");
    told
}
