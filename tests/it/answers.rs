//! The page of answers runs: each of its commands, against a Stormhook that something went wrong with.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::json;
use stormhook_tests::up::{Up, program};
use stormhook_tests::{project, wait};
use tokio::process::Command;

/// What the command under each heading tells.
const TOLD: [(&str, &str); 6] = [
    ("Why did it scale?", "scaled api from 2 to 3"),
    ("Who called that?", "\"userAgent\":\"Alertmanager/0.28\""),
    ("What did we miss?", "deadlineExceeded"),
    ("Can you prove it?", "entries are as they were written"),
    ("Do it again", "1 sent again"),
    ("What if?", "aboveMax at 2"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_question_is_answered_by_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let api = up
        .scaling("scale-api", "1s6", "up", (1, 9), json!({}))
        .await;
    let short = json!({"deadlineSeconds": 1});
    let web = up.scaling("scale-web", "1s5", "up", (1, 9), short).await;
    up.tweak("knobs", &json!({"errorRate": 1.0})).await;
    assert_eq!(up.outcome(&web, "").await["outcome"]["status"], "failed");
    up.tweak("knobs", &json!({"errorRate": 0.0})).await;
    wait::until("the platform is asked again", || async {
        match up.api(Method::GET, "targets?kind=service", None).await {
            (StatusCode::OK, _) => Ok(()),
            (_, told) => Err(told.to_string()),
        }
    })
    .await;
    let agent = [("prefer", "wait=60"), ("user-agent", "Alertmanager/0.28")];
    let (_, fired) = up.post(&api, "", &agent).await;
    assert_eq!(fired["outcome"]["to"], 3, "{fired}");
    let smaller = json!({"scaleServiceConfig": {"max": 2}}).to_string();
    std::fs::write(folder.path().join("smaller.json"), smaller).unwrap();

    let page = project::path("docs/answers.md");
    let page = std::fs::read_to_string(page).unwrap();
    let sections: Vec<_> = page.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), TOLD.len(), "each heading has an answer");
    for (section, (heading, answer)) in sections.into_iter().zip(TOLD) {
        let (title, text) = section.split_once('\n').unwrap();
        assert_eq!(title, heading);
        let (_, code) = text.split_once("```sh\n").unwrap();
        let (command, _) = code.split_once("\n```").unwrap();
        assert!(!command.contains('\n'), "one command: {command}");
        let told = shell(folder.path(), command).await;
        assert!(told.contains(answer), "{command}: {told}");
    }
    up.settled().await;
    assert_eq!(up.scale("1s5").await, 2, "it was done again");
    let drawn = std::fs::read_to_string(folder.path().join("scales.svg")).unwrap();
    assert!(drawn.contains("would have been"), "{drawn}");
    up.stop().await;
}

/// Runs a command line of the page as a user would.
async fn shell(folder: &Path, command: &str) -> String {
    let bin = program();
    let path = format!(
        "{}:{}",
        bin.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("bash")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", path)
        .env("STORMHOOK_DATA_DIR", folder)
        .output()
        .await
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
