//! A start that cannot be is told in one sentence, with exit code 1.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::json;
use stormhook_tests::up::{Up, program};
use tokio::process::Command;

async fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program())
        .args([
            "up",
            "--listen",
            "127.0.0.1:0",
            "--sandbox-listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(folder)
        .args(arguments)
        .output()
        .await
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
    error
}

#[tokio::test]
async fn a_folder_in_use_by_another_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    assert!(
        refused(folder.path(), &[])
            .await
            .contains("in use by another process")
    );
    up.stop().await;
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("FORMAT"), "2\n").unwrap();
    assert!(refused(folder.path(), &[]).await.contains("newer version"));
}

#[tokio::test]
async fn a_lost_secret_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 50), json!({})).await;
    up.stop().await;
    let (secret, elsewhere) = (folder.path().join("secret"), folder.path().join("moved"));
    std::fs::rename(&secret, &elsewhere).unwrap();
    let error = refused(folder.path(), &[]).await;
    assert!(error.contains("head -c 32 /dev/urandom"), "{error}");
    assert!(!secret.exists());

    std::fs::rename(&elsewhere, &secret).unwrap();
    let up = Up::start(folder.path()).await;
    let (status, _) = up.fire(&hook).await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED);
    up.stop().await;
}

#[tokio::test]
async fn a_wrong_configuration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stormhook.toml");
    let short = folder.path().join("short");
    std::fs::write(&short, "too short").unwrap();
    for (text, says) in [
        ("lisen = \"127.0.0.1:1\"", "lisen"),
        ("secret_file = \"short\"", "32"),
        (
            "[projects.k]\nplatform = \"kubernetes\"\nkubeconfig = \"short\"\nreceiver_resources = true",
            "write public_url into the configuration",
        ),
        ("backbone = \"nats://127.0.0.1:4222\"", "add `secret_file`"),
    ] {
        std::fs::write(&config, text).unwrap();
        let error = refused(
            &folder.path().join("data"),
            &["--config", config.to_str().unwrap()],
        )
        .await;
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[tokio::test]
async fn what_an_error_comes_from_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stormhook.toml");
    for text in [
        "[projects.k]\nplatform = \"kubernetes\"\nkubeconfig = \"missing\"",
        "secret_file = \"missing\"",
    ] {
        std::fs::write(&config, text).unwrap();
        let error = refused(
            &folder.path().join("data"),
            &["--config", config.to_str().unwrap()],
        )
        .await;
        assert_eq!(error.matches("No such file").count(), 1, "{error}");
    }
}

#[tokio::test]
async fn a_taken_address_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program())
        .args([
            "up",
            "--sandbox-listen",
            "127.0.0.1:0",
            "--listen",
            &address,
            "--data-dir",
        ])
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains(&address), "{error}");
}
