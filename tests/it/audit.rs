//! "Can you prove it?": the record is verified, exported, checked without a server, and compared with a head that was
//! kept elsewhere. Who managed what stands in it, too.

use std::fs;
use std::path::Path;
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up, read, run};
use stormhook_tests::{project, wait};

/// Runs a command of `stormhook` that is expected to succeed.
async fn fine(folder: &Path, arguments: &[&str]) -> String {
    let (code, told, error) = run(folder, arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {error}");
    told
}

/// Runs one that is expected to fail with one sentence.
async fn fails(folder: &Path, arguments: &[&str]) -> String {
    let (code, _, error) = run(folder, arguments).await;
    assert_eq!(code, 1, "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

async fn worked(up: &Up) -> Hook {
    let secret = json!({"sign": {"secret": "not to be told to anybody"}});
    up.scaling("signed", "1s6", "up", (1, 5), secret).await;
    let hook = up.scaling("up", "1s5", "up", (1, 4), json!({})).await;
    for _ in 0..5 {
        up.outcome(&hook, "").await;
    }
    hook
}

/// The commands in a block of docs/audit.md.
fn documented(name: &str) -> String {
    let path = project::path("docs/audit.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("```sh {name}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn shell(folder: &Path, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + text(&output.stderr).as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_checked_without_a_server_and_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    worked(&up).await;
    let folder = folder.path();
    let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (log, head) = (place("log.jsonl"), place("head.json"));

    let told = fine(folder, &["audit", "verify"]).await;
    assert!(
        told.contains("entries are as they were written: 1 to "),
        "{told}"
    );
    fs::write(&head, fine(folder, &["audit", "head", "--sign"]).await).unwrap();
    let signed: Value = serde_json::from_str(&fs::read_to_string(&head).unwrap()).unwrap();
    fine(folder, &["audit", "export", "--output", &log]).await;
    let told = fine(folder, &["audit", "check", &log, "--head", &head]).await;
    assert!(
        told.contains("as they were written") && told.contains("1 of them given"),
        "{told}"
    );
    let key = signed["publicKey"].as_str().unwrap();
    fine(
        folder,
        &["audit", "check", &log, "--head", &head, "--key", key],
    )
    .await;
    let other = "0".repeat(64);
    let with_other = ["audit", "check", &log, "--head", &head, "--key", &other];
    let error = fails(folder, &with_other).await;
    assert!(error.contains("was signed with key"), "{error}");

    // By hand, as the documents say.
    let by_hand = documented("check-export");
    assert_eq!(shell(folder, &by_hand).trim(), "the chain holds");
    let by_hand_head = documented("check-head");
    assert!(shell(folder, &by_hand_head).contains("Verified Successfully"));

    // The export tells everything, but no secret.
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("\"scaled\""), "{text}");
    assert!(
        text.contains("aboveMax")
            && !text.contains("not to be told to anybody")
            && !text.contains("endpoint?key=")
    );

    // Edited, it is not what it was, and the first bad entry is named.
    let edited = place("edited.jsonl");
    fs::write(
        &edited,
        text.replacen(
            "\"scaled web from 1 to 2\"",
            "\"scaled web from 1 to 3\"",
            1,
        ),
    )
    .unwrap();
    let number = text
        .lines()
        .position(|line| line.contains("scaled web from 1 to 2"))
        .unwrap();
    let error = fails(folder, &["audit", "check", &edited]).await;
    assert!(error.contains(&format!("entry {number}:")), "{error}");
    let by_hand = by_hand.replace("log.jsonl", "edited.jsonl");
    assert_eq!(
        shell(folder, &by_hand).trim(),
        format!("entry {number} is not as it was written")
    );
    fs::write(&edited, &text[..text.len() * 2 / 3]).unwrap();
    let error = fails(folder, &["audit", "check", &edited]).await;
    assert!(error.contains("cut off"), "{error}");

    // A range, and a table.
    let later = place("later.jsonl");
    let at = signed["at"].as_str().unwrap();
    fine(
        folder,
        &["audit", "export", "--since", at, "--output", &later],
    )
    .await;
    let told = fine(folder, &["audit", "check", &later]).await;
    let first = signed["number"].as_u64().unwrap() + 1;
    assert!(told.contains(&format!(": {first} to ")), "{told}");
    assert!(told.contains("no signed head vouches for"), "{told}");
    let error = fails(folder, &["audit", "check", &later, "--key", key]).await;
    assert!(error.contains("nothing in it is signed"), "{error}");
    let error = fails(
        folder,
        &["audit", "check", &later, "--head", &place("nothing")],
    )
    .await;
    assert!(error.contains("nothing"), "{error}");
    let csv = fine(folder, &["audit", "export", "--format", "csv"]).await;
    assert!(
        csv.starts_with("number,hash,at,type") && csv.lines().count() > 10,
        "{csv}"
    );
    let error = fails(
        folder,
        &["audit", "export", "--since", "1h ago", "--until", "2h ago"],
    )
    .await;
    assert!(error.contains("before since"), "{error}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_managed_what_is_in_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = worked(&up).await;
    let receiver = format!("receivers/{}", hook.receiver);
    let triggers = up.history("&limit=1").await;
    let trigger = triggers[0]["id"].as_str().unwrap();
    let change = json!({"scaleServiceConfig": {"max": 9}});
    for (method, path, body) in [
        (Method::PUT, receiver.clone(), Some(&change)),
        (Method::POST, format!("{receiver}?action=disable"), None),
        (Method::POST, format!("{receiver}?action=enable"), None),
        (Method::POST, format!("{receiver}?action=rotate"), None),
        (
            Method::POST,
            format!("triggers/{trigger}?action=redeliver"),
            None,
        ),
    ] {
        let (status, answer) = up.api(method, &path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
    }
    // What is not carried out is recorded as such: the name is taken.
    let taken = json!({"name": "signed"});
    let (status, _) = up.api(Method::PUT, &receiver, Some(&taken)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    up.settled().await;
    let (status, _) = up.api(Method::DELETE, &receiver, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);

    let calls = wait::until("the deletion in the record", || async {
        let (_, page) = up.api(Method::GET, "audit/calls", None).await;
        let calls = page["data"].as_array().cloned().unwrap_or_default();
        match calls.first() {
            Some(last) if last["call"] == "delete" => Ok(calls),
            _ => Err(page.to_string()),
        }
    })
    .await;
    let told: Vec<_> = calls
        .iter()
        .rev()
        .map(|call| call["call"].as_str().or(call["type"].as_str()).unwrap())
        .collect();
    let expected = [
        "create",
        "create",
        "update",
        "disable",
        "enable",
        "rotate",
        "redeliver",
        "update",
        "notDone",
        "delete",
    ];
    assert_eq!(told, expected);
    let update = &calls[7];
    assert_eq!(update["before"]["scaleServiceConfig"]["max"], 4);
    assert_eq!(update["after"]["scaleServiceConfig"]["max"], 9);
    assert!(
        update["accessKey"].as_str().unwrap().starts_with("admin-"),
        "{update}"
    );
    assert_eq!(update["source"]["address"], "127.0.0.1");
    let rotate = &calls[4];
    assert_eq!(
        (
            &rotate["before"]["keyVersion"],
            &rotate["after"]["keyVersion"]
        ),
        (&json!(1), &json!(2))
    );
    assert!(
        calls[1]["reason"]
            .as_str()
            .unwrap()
            .contains("already has a receiver")
    );

    let table = fine(folder.path(), &["audit", "calls"]).await;
    assert!(
        table.contains("rotate") && table.contains("keyVersion 1 → 2"),
        "{table}"
    );
    // History survives the receiver, also by its name.
    let lines = fine(
        folder.path(),
        &["history", "--receiver", "up", "--format", "json"],
    )
    .await;
    assert_eq!(lines.lines().count(), 6, "{lines}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_built_anew_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    worked(&up).await;
    let (_, signed) = up.api(Method::POST, "audit/head?action=sign", None).await;
    let at = format!("audit/head?at={}", signed["number"]);
    let (_, before) = up.api(Method::GET, &at, None).await;
    assert_eq!(before["hash"], signed["hash"], "{before}");
    let worker = before["workers"][0]["worker"].as_str().unwrap();
    let path = format!(
        "/v1-webhooks/audit/log?projectId=1a5&action=rebuild&worker={}",
        worker.replace(' ', "%20")
    );
    let (status, answer) = read(up.admin_request(Method::POST, &path)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let set_aside = || {
        let names = fs::read_dir(folder.path()).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("outcomes.damaged-"))
            .count()
    };
    wait::until("the same head again", || async {
        let (status, after) = up.api(Method::GET, &at, None).await;
        if set_aside() == 1 && status == StatusCode::OK && after["hash"] == before["hash"] {
            Ok(())
        } else {
            Err(format!("{status} {after}"))
        }
    })
    .await;
    fine(folder.path(), &["audit", "verify"]).await;
    for (path, field) in [
        ("audit/head?at=x", "at"),
        ("audit/head?at=100000", "at"),
        ("audit/entries?limit=0", "limit"),
        ("audit/entries?since=yesterday", "since"),
        ("audit/calls?marker=m1-000000000000", "marker"),
    ] {
        let (status, error) = up.api(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {error}");
        assert_eq!(error["fieldName"].as_str(), Some(field), "{path}");
    }
    up.stop().await;
}
