//! scaleService on replicated services.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::swarm::Swarm;

use crate::{outcome, up_on};

const STORM: u64 = 2_000;
/// "At most a few dozen" updates of the service for the whole storm.
const MOST_WRITES: usize = 60;

pub async fn two_thousand_alerts_are_a_few_dozen_updates(swarm: &Swarm) {
    let folder = tempfile::tempdir().unwrap();
    swarm.create_unplaceable("storm", 1).await;
    let up = Arc::new(up_on(swarm, folder.path()).await);
    let hook = up
        .scaling("storm", "storm", "up", (1, 5_000), json!({}))
        .await;

    let mut firing = tokio::task::JoinSet::new();
    for _ in 0..STORM {
        let (up, hook) = (Arc::clone(&up), hook.clone());
        firing.spawn(async move { up.fire(&hook).await.unwrap().0 });
    }
    while let Some(status) = firing.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::ACCEPTED);
    }
    up.settled().await;

    assert_eq!(swarm.scale("storm").await, STORM + 1);
    let succeeded = up.history("&status=succeeded").await.len();
    assert_eq!(succeeded as u64, STORM);
    let writes = swarm.writes("storm").await;
    println!("{STORM} alerts were {writes} updates of the service");
    assert!((1..=MOST_WRITES).contains(&writes), "{writes} updates");
    Arc::into_inner(up)
        .expect("nobody fires any more")
        .stop()
        .await;
    swarm.remove("storm").await;
}

/// Somebody else sets labels and the scale all the time. Nothing of theirs is undone, and every "+1" counts from what
/// was there: the sum of all is what is left.
pub async fn what_others_change_meanwhile_is_kept(swarm: &Swarm) {
    const OTHERS: u32 = 20;
    let folder = tempfile::tempdir().unwrap();
    swarm.create_unplaceable("contended", 1).await;
    let up = up_on(swarm, folder.path()).await;
    let hook = up
        .scaling("contended", "contended", "up", (1, 1_000), json!({}))
        .await;
    let others = async {
        for number in 0..OTHERS {
            let label = json!({"Labels": {"turn": number.to_string()}});
            swarm.change("contended", &label).await;
        }
    };
    let own = async {
        for _ in 0..OTHERS {
            assert_eq!(up.fire(&hook).await.unwrap().0, StatusCode::ACCEPTED);
        }
    };
    tokio::join!(others, own);
    up.settled().await;
    let expected = u64::from(OTHERS) + 1;
    assert_eq!(swarm.scale("contended").await, expected);
    let labels = swarm.service("contended").await["Spec"]["Labels"].clone();
    assert_eq!(labels["turn"], (OTHERS - 1).to_string());

    let to_five = json!({"Mode": {"Replicated": {"Replicas": 5}}});
    swarm.change("contended", &to_five).await;
    let trigger = outcome(&up, &hook, "").await;
    assert_eq!(trigger["outcome"]["from"], 5, "{trigger}");
    assert_eq!(swarm.scale("contended").await, 6);

    swarm.remove("contended").await;
    let trigger = outcome(&up, &hook, "").await;
    assert_eq!(trigger["outcome"]["code"], "serviceRemoved", "{trigger}");
    up.stop().await;
}

pub async fn what_cannot_be_scaled_is_refused(swarm: &Swarm) {
    let folder = tempfile::tempdir().unwrap();
    swarm.create_unplaceable("web", 1).await;
    let nowhere = json!({"Placement": {"Constraints": ["node.labels.nowhere==true"]}});
    for (name, mode) in [
        ("global", json!({"Replicated": null, "Global": {}})),
        (
            "job",
            json!({"Replicated": null, "ReplicatedJob": {"MaxConcurrent": 1}}),
        ),
    ] {
        let spec = json!({"Mode": mode, "TaskTemplate": nowhere});
        swarm.create(name, &spec).await;
    }
    let up = up_on(swarm, folder.path()).await;
    let receiver = |name: &str, service: &str| {
        json!({
            "name": name, "driver": "scaleService",
            "scaleServiceConfig": {"serviceId": service, "action": "up", "amount": 1, "min": 1, "max": 9},
        })
    };
    let forward = json!({
        "name": "forward", "driver": "forwardPost",
        "forwardPostConfig": {"projectId": "1a5", "serviceName": "web", "port": 80, "path": "/"},
    });
    for (refused, field, says) in [
        (receiver("a", "global"), "serviceId", "is global"),
        (receiver("b", "job"), "serviceId", "is a job"),
        (
            receiver("c", "nowhere"),
            "serviceId",
            "there is no service nowhere",
        ),
        (receiver("d", ".."), "serviceId", "there is no service .."),
        (forward, "driver", "no proxy"),
    ] {
        let (status, answer) = up.api(Method::POST, "receivers", Some(&refused)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert_eq!(answer["fieldName"], field, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }

    // By name or by id it is the same service, and the same group.
    let id = swarm.service("web").await["ID"].clone();
    let created = receiver("by-id", id.as_str().unwrap());
    let (status, created) = up.api(Method::POST, "receivers", Some(&created)).await;
    assert_eq!(status, StatusCode::OK, "{created}");
    assert_eq!(created["scaleServiceConfig"]["serviceId"], "web");

    // What became global after the receiver was made is refused when it acts.
    let hook = up.scaling("web", "web", "up", (1, 9), json!({})).await;
    swarm.remove("web").await;
    let spec = json!({"Mode": {"Replicated": null, "Global": {}}, "TaskTemplate": nowhere});
    swarm.create("web", &spec).await;
    let trigger: Value = outcome(&up, &hook, "").await;
    assert_eq!(trigger["outcome"]["code"], "unsupported", "{trigger}");
    for name in ["web", "global", "job"] {
        swarm.remove(name).await;
    }
    up.stop().await;
}
