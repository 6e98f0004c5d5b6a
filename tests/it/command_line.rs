//! The commands that speak to a running Stormhook.

use serde_json::Value;
use stormhook_tests::up::{Up, run};

#[tokio::test]
async fn receivers_triggers_and_history_from_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let folder = folder.path();
    let create = [
        "receivers",
        "create",
        "--name",
        "up",
        "--service",
        "1s6",
        "--action",
        "up",
        "--min",
        "1",
        "--max",
        "3",
    ];
    let (code, told, error) = run(folder, &create).await;
    assert_eq!(code, 0, "{error}");
    assert!(told.contains("scale 1s6 up by 1, within 1 to 3"), "{told}");
    let (code, _, error) = run(folder, &create).await;
    assert_eq!(code, 1);
    assert!(
        error.contains("already has a receiver") && error.lines().count() == 1,
        "{error}"
    );

    let (code, told, error) = run(folder, &["trigger", "up", "--wait"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(told.contains("scaled api from 2 to 3"), "{told}");
    let (code, _, error) = run(folder, &["trigger", "up", "--wait", "20"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("above the maximum of 3"), "{error}");

    let (_, table, _) = run(folder, &["history"]).await;
    assert!(table.contains("WHY") && table.contains("2 → 3"), "{table}");
    let (_, lines, _) = run(
        folder,
        &[
            "history", "--format", "json", "--status", "rejected", "--since", "1h ago",
        ],
    )
    .await;
    let rejected: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(rejected["outcome"]["code"], "aboveMax");
    let (_, csv, _) = run(folder, &["history", "--format", "csv", "--receiver", "up"]).await;
    assert_eq!(csv.lines().count(), 3, "{csv}");

    let (_, list, _) = run(folder, &["receivers", "list", "--format", "json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&list)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(run(folder, &["receivers", "disable", "up"]).await.0, 0);
    assert_eq!(run(folder, &["receivers", "enable", "up"]).await.0, 0);
    assert_eq!(run(folder, &["receivers", "rotate", "up"]).await.0, 0);
    assert_eq!(run(folder, &["receivers", "delete", "up"]).await.0, 0);
    let (code, _, error) = run(folder, &["receivers", "show", "up"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("has no receiver"), "{error}");
    up.stop().await;
    let (code, _, error) = run(folder, &["history"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("cannot reach"), "{error}");
}

#[tokio::test]
async fn usage_errors_end_with_2_and_completions_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &["history", "--colour"]).await.0, 2);
    assert_eq!(run(folder.path(), &["history", "--limit", "0"]).await.0, 2);
    let (code, script, _) = run(folder.path(), &["completions", "bash"]).await;
    assert_eq!(code, 0);
    assert!(script.contains("stormhook"), "{script}");
}
