//! Fleets on the practice platform: how workers share the work, and what a worker holds in memory.

use std::time::{Duration, Instant};

use serde_json::json;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::nats::{Nats, NatsOptions};
use stormhook_shared::ports::Backbone;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use tokio_util::task::AbortOnDropHandle;

use super::report::Report;
use super::settling::publish;
use super::{LOAD, NATS_SECTION};

const GROUPS: usize = 1_000;
const WAITING: usize = 1_000_000;
/// How often each group gets a trigger, so that there is always something to do.
const PERIOD: Duration = Duration::from_millis(250);

/// How much more two workers do than one, where the platform takes its time.
pub async fn sharing(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let mut fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, 1).await;
    let targets = targets(&fleet).await;
    fleet
        .ingress()
        .tweak("knobs", &json!({"latencyMs": 20}))
        .await;
    let backbone = backbone(&server.url()).await;
    let load = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            publish(&backbone, GROUPS, |number| targets[number].clone()).await;
        }
    });
    let load = AbortOnDropHandle::new(load);
    let one = writes_a_second(&fleet).await;
    fleet.start_worker(1).await;
    fleet.everybody_has_a_share().await;
    let two = writes_a_second(&fleet).await;
    drop(load);
    report.line(
        &format!("{GROUPS} groups, platform 20 ms: writes by one worker"),
        format!("{one:.0}/s"),
        "",
    );
    report.line(
        "  two workers, as a ratio to that",
        format!("{:.2}", two / one),
        ">= 1.8",
    );
}

/// What a worker holds in memory while very many triggers wait for a platform that is down.
pub async fn waiting(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, 1).await;
    let targets = targets(&fleet).await;
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
    report.line(
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
    report.line(
        "  once the platform is there: all settled within",
        format!("{:.1} s", began.elapsed().as_secs_f64()),
        "",
    );
    let peak = worker.peak_memory() / 1_000_000;
    report.line("  most memory until then", format!("{peak} MB"), "");
}

/// Services, each with a receiver.
pub async fn targets(fleet: &Fleet) -> Vec<(ReceiverId, String)> {
    let up = fleet.ingress();
    let new = json!({"count": GROUPS, "name": "bench", "scale": 1});
    let mut targets = Vec::new();
    for service in up.add_services(&new).await {
        let hook = up.scaling(&service, &service, "up", (1, 1_000_000), json!({}));
        targets.push((hook.await.receiver.parse().unwrap(), service));
    }
    targets
}

/// The same backbone for who publishes without an ingress.
pub async fn backbone(url: &str) -> Backbone {
    let nats = Nats::connect(&NatsOptions::at(url), &std::sync::Arc::default()).await;
    nats.unwrap().backbone()
}

async fn writes_a_second(fleet: &Fleet) -> f64 {
    let before = fleet.ingress().call_count().await;
    let began = Instant::now();
    tokio::time::sleep(LOAD).await;
    let made = fleet.ingress().call_count().await - before;
    made as f64 / began.elapsed().as_secs_f64()
}
