//! How workers share the work, where the platform takes its time.

use std::time::{Duration, Instant};

use serde_json::json;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::wait;
use tokio_util::task::AbortOnDropHandle;

use super::publishing::{backbone, publish, targets};
use super::{NATS_SECTION, report};

const GROUPS: usize = 1_000;
/// How often each group gets a trigger, so that there is always something to do.
const PERIOD: Duration = Duration::from_millis(250);

/// How many writes are timed.
const WRITES: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// How much more two workers do than one, where the platform takes its time.
pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let mut fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, 1).await;
    let targets = targets(&fleet, GROUPS).await;
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
    report::line(
        &format!("{GROUPS} groups, platform 20 ms: writes by one worker"),
        format!("{one:.0}/s"),
        "",
    );
    report::line(
        "  two workers, as a ratio to that",
        format!("{:.2}", two / one),
        ">= 1.8",
    );
}

async fn writes_a_second(fleet: &Fleet) -> f64 {
    let before = fleet.ingress().call_count().await;
    let began = Instant::now();
    let made = wait::until_within(PATIENCE, "enough writes", || async {
        match fleet.ingress().call_count().await - before {
            made if made >= WRITES => Ok(made),
            made => Err(format!("{made} writes")),
        }
    })
    .await;
    made as f64 / began.elapsed().as_secs_f64()
}
