//! How soon the groups of a worker act again that was killed, or that was asked to stop.

use std::time::Instant;

use futures::future::join_all;
use serde_json::json;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::up::Hook;

use super::NATS_SECTION;
use super::report::{self, percentile};

const ROUNDS: usize = 20;
const GROUPS: usize = 100;
const WORKERS: usize = 2;

/// Kills a worker twenty times and stops one as often, and fires at all groups each time.
pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let mut fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, WORKERS).await;
    let new = json!({"count": GROUPS, "name": "bench", "scale": 1});
    let mut hooks = Vec::new();
    for service in fleet.ingress().add_services(&new).await {
        let up = fleet.ingress();
        let hook = up.scaling(&service, &service, "up", (1, 1_000_000), json!({}));
        hooks.push(hook.await);
    }
    let (mut killed, mut stopped) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let number = round % WORKERS;
        fleet.everybody_has_a_share().await;
        let began = Instant::now();
        fleet.kill_worker(number).await;
        all_act(&fleet, &hooks).await;
        killed.push(began.elapsed().as_secs_f64());
        fleet.start_worker(number).await;
        fleet.everybody_has_a_share().await;
        let began = Instant::now();
        fleet.stop_worker(number).await;
        all_act(&fleet, &hooks).await;
        stopped.push(began.elapsed().as_secs_f64());
        fleet.start_worker(number).await;
    }
    for (what, mut times, target) in [
        ("worker killed", killed, "<= 4 s (leases last 3 s)"),
        ("worker stopped", stopped, "<= 0.5 s"),
    ] {
        report::line(
            &format!("{what}: all its groups act again, p99 of {ROUNDS}"),
            format!("{:.2} s", percentile(&mut times, 99)),
            target,
        );
    }
}

/// Fires at each of `hooks`, and waits for all outcomes.
async fn all_act(fleet: &Fleet, hooks: &[Hook]) {
    join_all(hooks.iter().map(|hook| fleet.ingress().outcome(hook, ""))).await;
}
