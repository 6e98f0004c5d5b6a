//! A backup is made while Stormhook works; restored, everything is there, and the record verifies. Old entries are dropped
//! without what is left becoming unprovable.

use std::fs;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Up, run};
use stormhook_tests::wait;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_goes_on_and_its_record_verifies() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 1_000), json!({})).await;
    for _ in 0..5 {
        up.outcome(&hook, "").await;
    }
    let (_, before) = up.api(Method::GET, "audit/head", None).await;
    let backup = elsewhere.path().join("backup.tar");
    let place = backup.to_str().unwrap();
    // While it is used.
    let firing = async {
        for _ in 0..50 {
            up.fire(&hook).await.unwrap();
        }
    };
    let arguments = ["backup", place];
    let backing = run(folder.path(), &arguments);
    let ((), (code, told, error)) = tokio::join!(firing, backing);
    assert_eq!(code, 0, "{error}");
    assert!(told.contains("secret"), "{told}");
    let left: Vec<_> = fs::read_dir(elsewhere.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    up.settled().await;
    let all = up.history("").await.len();
    up.stop().await;

    let (code, _, error) = run(folder.path(), &["restore", place]).await;
    assert!(code == 1 && error.contains("is not empty"), "{error}");
    let restored = elsewhere.path().join("restored");
    let (code, told, error) = run(&restored, &["restore", place]).await;
    assert_eq!(code, 0, "{error}");
    assert!(told.contains("as it was written"), "{told}");
    let up = Up::start(&restored).await;
    up.settled().await;
    let there = up.history("").await.len();
    assert!((5..=all).contains(&there), "{there} of {all}");
    let at = format!("audit/head?at={}", before["number"]);
    let (_, head) = up.api(Method::GET, &at, None).await;
    assert_eq!(head["hash"], before["hash"], "{head}");
    let (code, _, error) = run(&restored, &["audit", "verify"]).await;
    assert_eq!(code, 0, "{error}");
    // The trigger URL is as valid as before.
    let (status, _) = up.fire(&hook).await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED);
    up.stop().await;

    let bytes = fs::read(&backup).unwrap();
    let cut = &bytes[..bytes.len() / 2];
    let error = not_restored(elsewhere.path(), cut).await;
    assert_eq!(error.lines().count(), 1, "{error}");
    let mut damaged = bytes.clone();
    let database = bytes.windows(DATABASE_BEGINS.len());
    let mut database = database
        .enumerate()
        .filter(|(_, at)| *at == DATABASE_BEGINS);
    let (begin, _) = database.next().expect("a backup has a database");
    damaged[begin + 2_000] ^= 1;
    let error = not_restored(elsewhere.path(), &damaged).await;
    assert!(
        error.contains("backbone.redb in it is not as it was written"),
        "{error}"
    );
}

/// What a database's file begins with.
const DATABASE_BEGINS: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// Tries to restore a backup with these bytes. Returns why that is refused.
async fn not_restored(folder: &Path, backup: &[u8]) -> String {
    let (file, target) = (folder.join("bad.tar"), folder.join("nowhere"));
    fs::write(&file, backup).unwrap();
    let (code, _, error) = run(&target, &["restore", file.to_str().unwrap()]).await;
    assert_eq!(code, 1, "{error}");
    assert!(!target.exists() && !folder.join("nowhere.restoring").exists());
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_the_secret_that_is_in_use() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    let secret = folder.path().join("in-use");
    fs::write(&secret, [7; 32]).unwrap();
    let secret = secret.to_str().unwrap();
    let up = Up::start_with(&data, &["--secret-file", secret]).await;
    let hook = up.scaling("up", "1s5", "up", (1, 50), json!({})).await;
    let backup = elsewhere.path().join("backup.tar");
    let backup = backup.to_str().unwrap();

    let (code, _, error) = run(&data, &["backup", backup]).await;
    assert!(code == 1 && error.contains("there is no secret"), "{error}");
    fs::write(data.join("secret"), [8; 32]).unwrap();
    let (code, _, error) = run(&data, &["backup", backup]).await;
    assert!(
        code == 1 && error.contains("is not the secret that the server uses"),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(elsewhere.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let (code, _, error) = run(&data, &["backup", backup, "--secret-file", secret]).await;
    assert_eq!(code, 0, "{error}");
    up.stop().await;

    let restored = elsewhere.path().join("restored");
    let (code, told, error) = run(&restored, &["restore", backup]).await;
    assert_eq!(code, 0, "{error}");
    assert!(!told.contains("cannot be checked"), "{told}");
    let up = Up::start(&restored).await;
    let (status, _) = up.fire(&hook).await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_leaves_verifies_and_what_it_drops_was_archived() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stormhook.toml");
    let data = folder.path().join("data");
    let start = async |days: u32| {
        fs::write(&config, format!("[retention]\nage_days = {days}\n")).unwrap();
        Up::start_with(&data, &["--config", config.to_str().unwrap()]).await
    };
    let up = start(1).await;
    let hook = up.scaling("up", "1s5", "up", (1, 1_000), json!({})).await;
    for _ in 0..5 {
        up.outcome(&hook, "").await;
    }
    let (_, signed) = up.api(Method::POST, "audit/head?action=sign", None).await;
    let signed_at = signed["number"].as_u64().unwrap();
    let archive = folder.path().join("old.jsonl");
    let archive = archive.to_str().unwrap();
    // The record of the signature comes through the ledger.
    wait::until("an archive", || async {
        let (code, told, error) = run(&data, &["audit", "archive", archive, "--ahead", "2d"]).await;
        if code == 0 && told.contains(&format!("to {signed_at} are in")) {
            Ok(())
        } else {
            Err(told + error.as_str())
        }
    })
    .await;
    let beside = format!("{archive}.head.json");
    let (code, told, error) = run(&data, &["audit", "check", archive, "--head", &beside]).await;
    assert!(
        code == 0 && told.contains(&format!("written: 1 to {signed_at}")),
        "{told}{error}"
    );
    up.outcome(&hook, "").await;
    up.stop().await;

    let up = start(0).await;
    let head = wait::until("old entries to be dropped", || async {
        let (_, head) = up.api(Method::GET, "audit/head", None).await;
        match head["workers"][0]["first"].as_u64() {
            Some(first) if first > 1 => Ok(head),
            _ => Err(head.to_string()),
        }
    })
    .await;
    assert_eq!(head["isEqual"], true, "{head}");
    // It may go on to drop, block by block.
    let (code, told, error) = run(&data, &["audit", "verify"]).await;
    assert!(
        code == 0 && told.contains("as they were written") && !told.contains(": 1 to "),
        "{told}{error}"
    );
    let export = folder.path().join("rest.jsonl");
    let export = export.to_str().unwrap();
    run(&data, &["audit", "export", "--output", export]).await;
    let (code, _, error) = run(&data, &["audit", "check", export]).await;
    assert_eq!(code, 0, "{error}");
    let (status, gone) = up.api(Method::GET, "audit/entries?after=0", None).await;
    assert_eq!(
        (status, gone["type"].as_str()),
        (StatusCode::NOT_FOUND, Some("error"))
    );
    let settled: Vec<Value> = up.history("").await;
    assert!(settled.len() < 6, "{}", settled.len());
    up.stop().await;
}
