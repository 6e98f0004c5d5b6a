//! How many triggers one worker settles, where the platform costs nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ReceiverId, Revision, TriggerId};
use stormhook_shared::domain::kind::{Driver, Kind, Target};
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Options, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::{Source, Trigger};
use stormhook_shared::ports::Backbone;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::wait;

use super::practice::backbone;
use super::report::Report;
use super::solo::SoloWorker;

const GROUPS: usize = 10_000;
const TRIGGERS: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(300);
/// How many appends are under way at once.
const IN_FLIGHT: usize = 4_000;

/// Lets a worker settle what waits in very many groups.
pub async fn measure(report: &mut Report) {
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
    report.line(
        &format!("settled by one worker, {GROUPS} groups, platform stubbed at the port"),
        settled,
        ">= 40000/s",
    );
    report.line("  and in its outcome log", recorded, ">= 20000/s");
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

/// A receiver that scales a service up, to at most `max`.
pub fn receiver(service: &str, max: u32) -> Receiver {
    let config = serde_json::json!({
        "driver": "scaleService", "serviceId": service, "action": "up", "amount": 1, "min": 1, "max": max,
    });
    Receiver {
        id: ReceiverId::random(Timestamp::now()).unwrap(),
        project: "1a5".parse().unwrap(),
        name: service.to_owned(),
        kind: serde_json::from_value::<Kind>(config).unwrap(),
        options: Options::default_for(Driver::ScaleService),
        activity: Activity::Active,
        keys: KeyVersions::FIRST,
        revision: 1,
        created_at: Timestamp::now(),
    }
}

/// Appends triggers, many at a time; `of` tells each one's receiver and service.
pub async fn publish(
    backbone: &Backbone,
    count: usize,
    of: impl Fn(usize) -> (ReceiverId, String),
) {
    let appends = futures::stream::iter(0..count).map(|number| {
        let (receiver, service) = of(number);
        let trigger = trigger(receiver, service);
        async move { backbone.triggers.append(trigger).await.unwrap() }
    });
    appends
        .buffer_unordered(IN_FLIGHT)
        .for_each(|_| std::future::ready(()))
        .await;
}

fn trigger(receiver_id: ReceiverId, service: String) -> Trigger {
    let project = "1a5".parse().unwrap();
    Trigger {
        id: TriggerId::random(),
        receiver_id,
        receiver_name: "bench".to_owned(),
        driver: Driver::ScaleService,
        group: GroupKey::of(&project, &Target::Service(service)),
        project,
        accepted_at: Timestamp::now(),
        source: Source {
            address: None,
            user_agent: None,
        },
        idempotency_key: None,
        replay_of: None,
        ignores_cooldown: false,
        parent_id: None,
        parent_sequence: None,
        notice: None,
        query: None,
        registry_revision: Revision(0),
        headers: BTreeMap::new(),
        content_type: None,
        body: vec![b'x'; 512],
    }
}
