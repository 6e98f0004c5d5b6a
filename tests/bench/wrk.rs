//! Load by `wrk`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// What a body has: that of a small alert.
const BODY_BYTES: usize = 512;

/// What a load came to.
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// What 99 of 100 answers took at most, as `wrk` writes it.
    pub p99: String,
    /// Answers that were no success.
    pub refused: u64,
}

/// Posts a body to `url` over so many connections for so long.
///
/// # Panics
/// When `wrk` is missing; `scripts/install-test-tools` installs it.
pub async fn post(folder: &Path, url: &str, connections: u32, time: Duration) -> Load {
    let script = folder.join("post.lua");
    let text = format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {BODY_BYTES})\n");
    std::fs::write(&script, text).unwrap();
    let output = Command::new("wrk")
        .args(["-t1", "--latency", &format!("-c{connections}")])
        .arg(format!("-d{}s", time.as_secs()))
        .arg("-s")
        .arg(&script)
        .arg(url)
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("wrk runs (scripts/install-test-tools installs it)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = |word: &str| {
        let line = text.lines().find(|line| line.contains(word))?;
        line.split_whitespace().last().map(str::to_owned)
    };
    Load {
        rate: after("Requests/sec").map_or(0.0, |rate| rate.parse().unwrap()),
        p99: after(" 99%").unwrap_or_default(),
        refused: after("Non-2xx").map_or(0, |count| count.parse().unwrap()),
    }
}
