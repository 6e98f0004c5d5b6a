//! Measures a fleet on NATS and the record, and prints each figure beside its target. Load generator, ingress, worker, practice platform
//! and nats-server share this machine, so only figures of one run can be compared. `scripts/bench` runs it; arguments
//! name the parts to run.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "whatever is not as expected ends the measurement, and figures are rounded anyway"
)]

mod accepting;
mod bare;
mod publishing;
mod record;
mod report;
mod settling;
mod sharing;
mod solo;
mod storm;
mod takeover;
mod waiting;
mod wrk;

use std::time::Duration;

/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(10);
/// How many servers keep each stream here, and how long a lease lasts.
const NATS_SECTION: &str = "replicas = 1\nlease_ttl_seconds = 3";

#[tokio::main]
async fn main() {
    // Cargo adds options of its own, like --bench.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part);
    report::line("measure", "result", "target");
    if is_wanted("accepting") {
        accepting::measure().await;
    }
    if is_wanted("replicas") {
        accepting::measure_replicas().await;
    }
    if is_wanted("settling") {
        settling::measure().await;
    }
    if is_wanted("storm") {
        storm::measure().await;
    }
    if is_wanted("sharing") {
        sharing::measure().await;
    }
    if is_wanted("takeover") {
        takeover::measure().await;
    }
    if is_wanted("record") {
        record::measure().await;
    }
    if is_wanted("waiting") {
        waiting::measure().await;
    }
}
