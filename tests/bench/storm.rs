//! A storm on one group.

use std::time::{Duration, Instant};

use serde_json::json;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};

use super::NATS_SECTION;
use super::publishing::backbone;
use super::publishing::publish;
use super::report;

const TRIGGERS: usize = 100_000;

/// Publishes a storm on one group while a worker settles it, on a platform that takes 5 ms for a call.
pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let fleet = Fleet::start(folder.path(), &server.url(), NATS_SECTION, 1, 1).await;
    let up = fleet.ingress();
    up.tweak("knobs", &json!({"latencyMs": 5})).await;
    let hook = up.scaling("storm", "1s5", "up", (1, 2_000_000_000), json!({}));
    let receiver: ReceiverId = hook.await.receiver.parse().unwrap();
    let backbone = backbone(&server.url()).await;
    let began = Instant::now();
    publish(&backbone, TRIGGERS, |_| (receiver, "1s5".to_owned())).await;
    let published = began.elapsed();
    up.settled().await;
    let drained = began.elapsed();
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    report::line(
        &format!("storm of {TRIGGERS} on one group, platform 5 ms: writes to it"),
        up.call_count().await,
        "<= 300",
    );
    report::line(
        "  final scale",
        up.scale("1s5").await,
        &format!("{}", TRIGGERS + 1),
    );
    report::line("  published within", seconds(published), "");
    report::line(
        "  drained within, as a ratio to that",
        format!("{:.2}", drained.as_secs_f64() / published.as_secs_f64()),
        "<= 2",
    );
}
