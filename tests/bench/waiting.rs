//! What a worker holds in memory while very many triggers wait.

use std::time::Instant;

use serde_json::json;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};

use super::publishing::{backbone, publish, targets};
use super::{NATS_SECTION, report};

const GROUPS: usize = 1_000;
const WAITING: usize = 1_000_000;

/// What a worker holds in memory while very many triggers wait for a platform that is down.
pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, 1).await;
    let targets = targets(&fleet, GROUPS).await;
    fleet
        .ingress()
        .tweak("knobs", &json!({"outage": true}))
        .await;
    let backbone = backbone(&server.url()).await;
    publish(&backbone, WAITING, |number| {
        targets[number % GROUPS].clone()
    })
    .await;
    let worker = fleet.workers[0].as_ref().unwrap();
    let peak = worker.peak_memory() / 1_000_000;
    report::line(
        &format!("most memory of a worker with {WAITING} triggers waiting"),
        format!("{peak} MB"),
        "<= 300 MB",
    );
    fleet
        .ingress()
        .tweak("knobs", &json!({"outage": false}))
        .await;
    let began = Instant::now();
    fleet.ingress().settled().await;
    report::line(
        "  once the platform is there: all settled within",
        format!("{:.1} s", began.elapsed().as_secs_f64()),
        "",
    );
    let peak = worker.peak_memory() / 1_000_000;
    report::line("  most memory until then", format!("{peak} MB"), "");
}
