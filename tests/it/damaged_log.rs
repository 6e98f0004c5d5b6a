//! The outcome log is a copy: damaged or gone, it is rebuilt by itself, and nothing is missing.

use std::fs;
use std::path::Path;

use serde_json::json;
use stormhook_tests::up::Up;

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
    up.stop().await;

    let log = folder.path().join("outcomes");
    let damages: [(&str, Inflict, bool); 4] = [
        ("bytes flipped", flip_bytes, true),
        ("file cut off", cut_off, true),
        (
            "file gone",
            |log| fs::remove_file(log.join("db")).unwrap(),
            false,
        ),
        ("folder gone", |log| fs::remove_dir_all(log).unwrap(), false),
    ];
    for (damage, inflict, is_set_aside) in damages {
        let aside = set_aside(folder.path());
        inflict(&log);
        let up = Up::start(folder.path()).await;
        let mut after = up.history("").await;
        for (before, after) in before.iter().zip(&mut after) {
            after["links"] = before["links"].clone(); // The port is another one.
        }
        assert_eq!(after, before, "{damage}");
        if is_set_aside {
            assert!(
                set_aside(folder.path()) > aside,
                "{damage}: the damaged log is kept for inspection"
            );
        }
        up.stop().await;
    }
}

type Inflict = fn(&Path);

/// How many damaged logs were set aside.
fn set_aside(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("outcomes.damaged-"))
        .count()
}

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
