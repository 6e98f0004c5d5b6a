//! How many triggers an ingress accepts, as a ratio to the bare handler on the same nats-server.

use serde_json::json;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::NatsServer;

use super::report;
use super::{LOAD, NATS_SECTION, bare, wrk};

/// The settings of nats-server: what it calls them, and what the ratio should be.
const SETTINGS: [(&str, &str, f64); 2] = [
    ("flushed at intervals", "", 0.8),
    ("flushed each time", "sync_interval: always, ", 5.0),
];

/// Measures both under each setting.
pub async fn measure() {
    for (name, setting, target) in SETTINGS {
        for connections in [64, 256] {
            let folder = tempfile::tempdir().unwrap();
            let store = folder.path().join("store");
            let configuration = format!("jetstream {{ {setting}store_dir: {store:?} }}\n");
            let server = NatsServer::start(folder.path(), &configuration).await;
            let (url, handle) = bare::start(&server.url()).await;
            let bare = wrk::post(folder.path(), &url, connections, LOAD).await;
            handle.stop(false).await;
            let mut fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, 1).await;
            let up = fleet.ingress();
            let hook = up.scaling("accept", "1s5", "up", (1, 2_000_000_000), json!({}));
            let url = format!("{}{}", up.address, hook.await.path);
            fleet.stop_worker(0).await;
            let ours = wrk::post(folder.path(), &url, connections, LOAD).await;
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
            report::line(
                "  ratio",
                format!("{:.2}", ours.rate / bare.rate),
                &format!(">= {target}"),
            );
        }
    }
}
