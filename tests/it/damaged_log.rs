//! The outcome log is a copy: damaged or gone, it is rebuilt by itself, and nothing is missing.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::json;
use stormhook_tests::up::{Up, run};

const TRIGGERS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_rebuilt_with_nothing_missing() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 200), json!({})).await;
    for _ in 0..TRIGGERS {
        up.fire(&hook).await.unwrap();
    }
    up.settled().await;
    let before = up.history("").await;
    assert_eq!(before.len(), TRIGGERS);
    let (_, head) = up.api(Method::GET, "audit/head", None).await;
    let number = head["number"].as_u64().unwrap();
    up.stop().await;

    let log = folder.path().join("outcomes");
    let damages: [(&str, Inflict); 4] = [
        ("bytes flipped", flip_bytes),
        ("file cut off", cut_off),
        ("file gone", |log| fs::remove_file(log.join("db")).unwrap()),
        ("folder gone", |log| fs::remove_dir_all(log).unwrap()),
    ];
    for (damage, inflict) in damages {
        inflict(&log);
        let up = Up::start(folder.path()).await;
        let mut after = up.history("").await;
        for (before, after) in before.iter().zip(&mut after) {
            // The port is another one.
            after["links"] = before["links"].clone();
            after["actions"] = before["actions"].clone();
        }
        assert_eq!(after, before, "{damage}");
        let path = format!("audit/head?at={number}");
        let (_, now) = up.api(Method::GET, &path, None).await;
        assert_eq!(now["hash"], head["hash"], "{damage}");
        let (code, told, error) = run(folder.path(), &["audit", "verify"]).await;
        assert_eq!(code, 0, "{damage}: {told}{error}");
        up.stop().await;
    }
}

type Inflict = fn(&Path);

fn flip_bytes(log: &Path) {
    let path = log.join("db");
    let mut bytes = fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for place in (used / 4..used).step_by(997) {
        bytes[place] ^= 0x55;
    }
    fs::write(path, bytes).unwrap();
}

fn cut_off(log: &Path) {
    let path = log.join("db");
    let bytes = fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(path, &bytes[..used / 2]).unwrap();
}
