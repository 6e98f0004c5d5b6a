//! The commands that speak to a running Stormhook.

use std::net::TcpListener;

use serde_json::{Value, json};
use stormhook_tests::up::{Up, program, run};
use tokio::process::Command;

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

    let (code, told, error) = run(folder, &["trigger", "--wait", "up"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(told.contains("scaled api from 2 to 3"), "{told}");
    let (code, _, error) = run(folder, &["trigger", "up", "--wait=20"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("above the maximum of 3"), "{error}");

    let (code, _, error) = run(folder, &["history", "--server", &up.address]).await;
    assert_eq!(code, 0, "{error}");
    let other = "http://127.0.0.1:9";
    let (code, _, error) = run(folder, &["history", "--server", other]).await;
    assert_eq!(code, 1);
    assert!(error.contains("no key is given for"), "{error}");

    for (arguments, says) in [
        (
            &["--group", "service/1a5/1s5"][..],
            "has no triggers like that",
        ),
        (
            &["--project", "nosuch"],
            "project nosuch has no triggers yet",
        ),
        (&["--access-key", "a"], "give --secret-key, too"),
        (&["--secret-key", "s"], "give --access-key, too"),
    ] {
        let (_, told, error) = run(folder, &[&["history"][..], arguments].concat()).await;
        assert!(format!("{told}{error}").contains(says), "{told}{error}");
    }
    let missing = folder.join("nosuch.jsonl");
    let check = ["audit", "check", missing.to_str().unwrap()];
    let (code, _, error) = run(folder, &check).await;
    assert!(
        code == 1 && error.contains("stormhook: read") && error.lines().count() == 1,
        "{error}"
    );

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
async fn what_a_receiver_does_otherwise_than_most_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.scaling("plain", "1s5", "up", (1, 9), json!({})).await;
    let options = json!({
        "onLimit": "clamp", "groupCooldownSeconds": 60, "deadlineSeconds": 30,
        "sign": {"secret": "a secret of some length"}, "filter": [{"pointer": "/a", "equals": 1}],
    });
    up.scaling("special", "1s5", "up", (1, 9), options).await;
    let words = |told: &str| -> Vec<String> {
        let words = told.lines().map(|line| line.split_whitespace().next());
        words.flatten().map(str::to_owned).collect()
    };
    let (_, plain, _) = run(folder.path(), &["receivers", "show", "plain"]).await;
    let usual = ["name", "id", "state", "does", "url", "deadlineSeconds"];
    assert_eq!(words(&plain), usual, "{plain}");
    let (_, special, _) = run(folder.path(), &["receivers", "show", "special"]).await;
    let more = [
        "groupCooldownSeconds",
        "onLimit",
        "filter",
        "sign",
        "deadlineSeconds",
    ];
    assert_eq!(words(&special), [&usual[..5], &more].concat(), "{special}");
    assert!(!special.contains("some length"), "{special}");
    up.stop().await;
}

#[tokio::test]
async fn no_caller_speaks_to_the_terminal_of_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 50), json!({})).await;
    let body = "a\u{1b}]0;title\u{7}\tb\u{202e}c";
    let trigger = up.outcome(&hook, body).await;
    let id = trigger["id"].as_str().unwrap();
    let (code, told, error) = run(folder.path(), &["show", id]).await;
    assert_eq!(code, 0, "{error}");
    let shown = "a\\u{1b}]0;title\\u{7}\tb\\u{202e}c";
    assert!(told.contains(shown), "{told:?}");
    assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{told:?}");
    let (_, json, _) = run(folder.path(), &["show", id, "--format", "json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["body"], body);
    up.stop().await;
}

#[tokio::test]
async fn that_a_receiver_wants_signed_requests_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let sign = json!({"sign": {"secret": "a secret of enough characters"}});
    up.scaling("signed", "1s5", "up", (1, 50), sign).await;
    let (code, _, error) = run(folder.path(), &["trigger", "signed"]).await;
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("wants signed requests"), "{error}");
    assert!(!error.contains("--access-key"), "{error}");
    up.stop().await;
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

#[tokio::test]
async fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let taken = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [file, environment, line] = taken.each_ref().map(|taken| {
        let address = taken.local_addr().unwrap();
        address.to_string()
    });
    let config = folder.path().join("stormhook.toml");
    std::fs::write(&config, format!("listen = \"{file}\"")).unwrap();
    let mut up = Command::new(program());
    up.args(["up", "--sandbox-listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .env("STORMHOOK_DATA_DIR", folder.path().join("data"));
    cannot_have(&mut up, &file).await;
    up.env("STORMHOOK_LISTEN", &environment);
    cannot_have(&mut up, &environment).await;
    up.arg("--listen").arg(&line);
    cannot_have(&mut up, &line).await;
}

/// `up` ends, and says that it is because of this address.
async fn cannot_have(up: &mut Command, address: &str) {
    let output = up.output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(address), "not {address}: {error}");
}

#[tokio::test]
async fn what_stands_in_the_environment_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let history = ["history"];
    let replay = ["replay", "--since", "1h ago"];
    for (arguments, name, value, expected) in [
        (&history[..], "STORMHOOK_FOLLOW", "1", 1),
        (&history, "STORMHOOK_FOLLOW", "yes", 1),
        (&history, "STORMHOOK_FOLLOW", "off", 1),
        (&history, "STORMHOOK_FOLLOW", "perhaps", 2),
        (&replay, "STORMHOOK_LIMIT", "5", 1),
    ] {
        let output = Command::new(program())
            .args(arguments)
            .env("STORMHOOK_DATA_DIR", folder.path())
            .env(name, value)
            .output()
            .await
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        // That there is no key is found out only once the command line is understood.
        assert_eq!(output.status.code(), Some(expected), "{value}: {error}");
    }
}
