//! What a worker holds in memory while very many triggers wait.

use std::cell::Cell;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::wait;

use super::publishing::{backbone, publish, targets};
use super::{NATS_SECTION, report};

const GROUPS: usize = 1_000;
const WAITING: usize = 1_000_000;
/// What counts the entries of the worker's outcome log.
const ENTRIES: &str = "stormhook_outcome_log_entries";
/// How often somebody looks at history meanwhile.
const EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(900);

/// What a worker holds in memory while very many triggers wait for a platform that is down.
pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, 1).await;
    let targets = targets(&fleet, GROUPS).await;
    let up = fleet.ingress();
    up.tweak("knobs", &json!({"outage": true})).await;
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
    up.tweak("knobs", &json!({"outage": false})).await;
    let began = Instant::now();
    let drained = wait::until_within(PATIENCE, "all outcomes", || async {
        match worker.metric(ENTRIES).await? {
            entries if entries >= WAITING as u64 => Ok(began.elapsed()),
            entries => Err(format!("{entries} entries")),
        }
    });
    let (slowest, refused) = (Cell::new(Duration::ZERO), Cell::new(0));
    let asked = async {
        let mut times = tokio::time::interval(EVERY);
        loop {
            times.tick().await;
            let asked = Instant::now();
            let (status, _) = up.api(Method::GET, "triggers?limit=50", None).await;
            slowest.set(slowest.get().max(asked.elapsed()));
            refused.set(refused.get() + u32::from(!status.is_success()));
        }
    };
    let drained = tokio::select! {
        drained = drained => drained,
        () = asked => unreachable!("it asks for ever"),
    };
    report::line(
        "  once the platform is there: all settled and in the outcome log within",
        format!("{:.1} s", drained.as_secs_f64()),
        "",
    );
    report::line(
        "  slowest page of history meanwhile",
        format!("{} ms", slowest.get().as_millis()),
        &format!("{} refused", refused.get()),
    );
    let peak = worker.peak_memory() / 1_000_000;
    report::line("  most memory until then", format!("{peak} MB"), "");
}
