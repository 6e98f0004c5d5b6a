//! Engines that cannot be reached, or that manage no swarm.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::swarm::Swarm;
use stormhook_tests::up::{Up, read};
use stormhook_tests::wait;

use crate::outcome;

async fn told(up: &Up, project: &str, says: &str) {
    wait::until("the project's connection is told", || async {
        let (status, ready) = read(up.request(Method::GET, "/readyz")).await;
        assert_eq!(
            status,
            StatusCode::OK,
            "the others are not held up: {ready}"
        );
        match ready["projects"][project].as_str() {
            Some(told) if told.contains(says) => Ok(()),
            _ => Err(ready.to_string()),
        }
    })
    .await;
}

pub async fn an_engine_that_cannot_be_used_is_told_and_holds_up_nobody(swarm: &Swarm) {
    let folder = tempfile::tempdir().unwrap();
    swarm.create_unplaceable("well", 1).await;
    let socket = |node: &str| swarm.socket(node).display().to_string();
    let more = format!(
        "[projects.gone]\nplatform = \"swarm\"\nurl = \"unix://{}\"\n\
         [projects.worker]\nplatform = \"swarm\"\nurl = \"unix://{}\"\n",
        socket("nowhere"),
        socket("worker1"),
    );
    let file = swarm.configuration(folder.path(), &more);
    let up = Up::start_with(&folder.path().join("data"), &["--config", &file]).await;
    told(&up, "1a5", "ready").await;
    told(&up, "gone", "No such file").await;
    told(&up, "worker", "manages no swarm").await;

    let receiver = json!({
        "name": "lost", "driver": "scaleService",
        "scaleServiceConfig": {"serviceId": "well", "action": "up", "amount": 1, "min": 1, "max": 9},
    });
    for project in ["gone", "worker"] {
        let path = format!("/v1-webhooks/receivers?projectId={project}");
        let request = up.admin_request(Method::POST, &path).json(&receiver);
        let (status, answer): (_, Value) = read(request).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    }
    let hook = up.scaling("well", "well", "up", (1, 9), json!({})).await;
    let trigger = outcome(&up, &hook, "").await;
    assert_eq!(trigger["outcome"]["code"], "scaled", "{trigger}");
    assert_eq!(swarm.scale("well").await, 2);
    up.stop().await;
    swarm.remove("well").await;
}
