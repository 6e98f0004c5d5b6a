//! How many triggers one worker settles, where the platform costs nothing.

use std::time::{Duration, Instant};

use futures::StreamExt;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::ports::Backbone;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::wait;

use super::publishing::{backbone, publish, receiver};
use super::report;
use super::solo::SoloWorker;

const GROUPS: usize = 10_000;
const TRIGGERS: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(300);

/// Lets a worker settle what waits in very many groups.
pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let outside = backbone(&server.url()).await;
    let receivers = receivers(&outside).await;
    publish(&outside, TRIGGERS, |number| {
        receivers[number % GROUPS].clone()
    })
    .await;
    let backbone = backbone(&server.url()).await;
    let began = Instant::now();
    let worker = SoloWorker::start(backbone, &folder.path().join("outcome-log")).await;
    let rate = |began: Instant| format!("{:.0}/s", TRIGGERS as f64 / began.elapsed().as_secs_f64());
    wait::until_within(PATIENCE, "all triggers settled", || async {
        worker.at_least("stormhook_triggers_settled_total", TRIGGERS)
    })
    .await;
    let settled = rate(began);
    wait::until_within(PATIENCE, "all outcomes in the outcome log", || async {
        worker.at_least("stormhook_outcome_log_entries", TRIGGERS)
    })
    .await;
    let recorded = rate(began);
    worker.stop().await;
    report::line(
        &format!("settled by one worker, {GROUPS} groups, platform stubbed at the port"),
        settled,
        ">= 40000/s",
    );
    report::line("  and in its outcome log", recorded, ">= 20000/s");
}

/// Makes a receiver for a service of its own in each group.
async fn receivers(backbone: &Backbone) -> Vec<(ReceiverId, String)> {
    let made = futures::stream::iter(0..GROUPS).map(|number| async move {
        let service = format!("1s{number}");
        let receiver = receiver(&service, 1_000_000);
        let id = receiver.id;
        backbone.registry.create(receiver).await.unwrap();
        (id, service)
    });
    made.buffer_unordered(64).collect().await
}
