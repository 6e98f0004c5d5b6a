//! Real Prometheus and Alertmanager scale a service up and down: `scripts/autoscale-demo`, run to its end.

use std::path::Path;
use std::process::Stdio;

use stormhook_tests::project;
use stormhook_tests::up::program;
use tokio::process::Command;

#[tokio::test]
async fn prometheus_and_alertmanager_scale_a_service_up_and_down() {
    let is_there = |name: &str| Path::new("/usr/bin").join(name).exists();
    if !is_there("prometheus") || !is_there("prometheus-alertmanager") {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped");
        println!(
            "skipped: install prometheus and prometheus-alertmanager (scripts/install-test-tools)"
        );
        return;
    }
    let script = project::path("scripts/autoscale-demo");
    let output = Command::new(script)
        .env("STORMHOOK_PROGRAM", program())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the demo starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complaints}");
    for step in [
        "demand raised",
        "the load is fine again",
        "demand lowered",
        "scaled web from 1 to 2",
        "to 1",
    ] {
        assert!(told.contains(step), "{step:?} is missing in:\n{told}");
    }
}
