//! Triggers in great numbers, past the ingress.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::domain::kind::{Driver, Kind, Target};
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Options, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Trigger;
use stormhook_shared::nats::{Nats, NatsOptions};
use stormhook_shared::ports::Backbone;
use stormhook_tests::contract;
use stormhook_tests::fleet::Fleet;

/// How many appends are under way at once.
const IN_FLIGHT: usize = 4_000;

/// The backbone of the fleet on the servers at `url`, without an ingress.
pub async fn backbone(url: &str) -> Backbone {
    let nats = Nats::connect(&NatsOptions::at(url), &Arc::default()).await;
    nats.unwrap().backbone()
}

/// Services, each with a receiver.
pub async fn targets(fleet: &Fleet, count: usize) -> Vec<(ReceiverId, String)> {
    let up = fleet.ingress();
    let new = json!({"count": count, "name": "bench", "scale": 1});
    let mut targets = Vec::new();
    for service in up.add_services(&new).await {
        let hook = up.scaling(&service, &service, "up", (1, 1_000_000), json!({}));
        targets.push((hook.await.receiver.parse().unwrap(), service));
    }
    targets
}

/// A receiver that scales a service up, to at most `max`.
pub fn receiver(service: &str, max: u32) -> Receiver {
    let config = json!({
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
    let like = contract::trigger_log::trigger("g", None, Timestamp::now());
    Trigger {
        receiver_id,
        group: GroupKey::of(&like.project, &Target::Service(service)),
        body: vec![b'x'; 512],
        ..like
    }
}
