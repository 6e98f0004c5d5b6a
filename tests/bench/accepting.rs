//! How many triggers an ingress accepts, as a ratio to the bare handler on the same nats-servers.

use std::path::Path;

use serde_json::json;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::NatsServer;
use stormhook_tests::nats_cluster::NatsCluster;
use stormhook_tests::random::Random;

use super::report;
use super::{LOAD, bare, wrk};

/// How often nats-server flushes what it stores: its name here, its value, and what the ratio should be on one server.
const SETTINGS: [(&str, &str, &str); 2] = [
    ("flushed at intervals", "2m", ">= 0.8"),
    ("flushed each time", "always", ">= 5"),
];
const CONNECTIONS: [u32; 2] = [64, 256];

/// Measures both on one server under each setting.
pub async fn measure() {
    for (name, sync_interval, target) in SETTINGS {
        for connections in CONNECTIONS {
            let folder = tempfile::tempdir().unwrap();
            let store = folder.path().join("store");
            let configuration =
                format!("jetstream {{ sync_interval: {sync_interval}, store_dir: {store:?} }}\n");
            let server = NatsServer::start(folder.path(), &configuration).await;
            compare(folder.path(), &server.url(), 1, name, connections, target).await;
        }
    }
}

/// Measures both on three servers, which all keep every stream.
pub async fn measure_replicas() {
    for (name, sync_interval, _) in SETTINGS {
        for connections in CONNECTIONS {
            let folder = tempfile::tempdir().unwrap();
            let mut random = Random::from_seed(1);
            let cluster = NatsCluster::start(folder.path(), &mut random, sync_interval).await;
            let name = format!("three servers, {name}");
            compare(folder.path(), &cluster.url(), 3, &name, connections, "").await;
        }
    }
}

async fn compare(
    folder: &Path,
    nats: &str,
    replicas: usize,
    name: &str,
    connections: u32,
    target: &str,
) {
    let (url, handle) = bare::start(nats, replicas).await;
    let bare = wrk::post(folder, &url, connections, LOAD).await;
    handle.stop(false).await;
    let section = format!("replicas = {replicas}");
    let mut fleet = Fleet::start(folder, nats, &section, 1, 1).await;
    let up = fleet.ingress();
    let hook = up.scaling("accept", "1s5", "up", (1, 2_000_000_000), json!({}));
    let url = format!("{}{}", up.address, hook.await.path);
    fleet.stop_worker(0).await;
    let ours = wrk::post(folder, &url, connections, LOAD).await;
    let label = format!("{name}, {connections} connections");
    report::line(
        &format!("accepted, {label}"),
        format!("{:.0}/s", ours.rate),
        &format!("p99 {}, {} refused", ours.p99, ours.refused),
    );
    report::line(
        &format!("the bare handler, {label}"),
        format!("{:.0}/s", bare.rate),
        &format!("p99 {}, {} refused", bare.p99, bare.refused),
    );
    report::line("  ratio", format!("{:.2}", ours.rate / bare.rate), target);
}
