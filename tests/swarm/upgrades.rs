//! serviceUpgrade by service label.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::swarm::Swarm;
use stormhook_tests::up::Up;
use stormhook_tests::wait;

use crate::{outcome, up_on};

fn pushed(image: &str, tag: &str) -> String {
    json!({"push_data": {"tag": tag}, "repository": {"repo_name": image}}).to_string()
}

fn image(service: &Value) -> &str {
    let image = &service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"];
    image.as_str().unwrap_or_default()
}

/// The outcome of the trigger's only part.
async fn part(up: &Up, trigger: &Value) -> Value {
    let id = trigger["id"].as_str().unwrap();
    let (status, whole) = up.api(Method::GET, &format!("triggers/{id}"), None).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    whole["children"][0]["outcome"].clone()
}

pub async fn a_push_upgrades_what_runs_its_repository_and_keeps_the_rest(swarm: &Swarm) {
    let folder = tempfile::tempdir().unwrap();
    let release = json!({"Labels": {"release": "shop"}});
    let web = json!({
        "Labels": {"release": "shop"}, "Mode": {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {"ContainerSpec": {"Env": ["A=b"], "StopGracePeriod": 3_000_000_000_u64}},
        "UpdateConfig": {"Parallelism": 9, "MaxFailureRatio": 0.25},
    });
    swarm.create("web", &web).await;
    swarm.create_unplaceable("api", 0).await;
    swarm.change("api", &release).await;
    let other = json!({"TaskTemplate": {"ContainerSpec": {"Image": "example/api:v1"}}});
    swarm.change("api", &other).await;
    let before = swarm.service("web").await["Spec"].clone();

    let up = up_on(swarm, folder.path()).await;
    let config =
        json!({"intervalMillis": 100, "monitorSeconds": 1, "startFirst": true, "batchSize": 2});
    let hook = up
        .upgrading("shop", json!({"release": "shop"}), config)
        .await;
    let trigger = outcome(&up, &hook, &pushed("example/web", "v2")).await;
    assert_eq!(trigger["outcome"]["code"], "upgraded", "{trigger}");
    let message = trigger["outcome"]["message"].as_str().unwrap();
    assert!(
        message.contains("web") && !message.contains("api"),
        "{message}"
    );

    let service = swarm.service("web").await;
    assert_eq!(image(&service), "example/web:v2");
    assert_eq!(service["UpdateStatus"]["State"], "completed");
    let mut expected = before;
    expected["TaskTemplate"]["ContainerSpec"]["Image"] = json!("example/web:v2");
    expected["UpdateConfig"] = json!({
        "Parallelism": 2, "Delay": 100_000_000, "Order": "start-first", "FailureAction": "pause",
        "Monitor": 1_000_000_000, "MaxFailureRatio": 0.25,
    });
    assert_eq!(service["Spec"], expected);
    assert_eq!(image(&swarm.service("api").await), "example/api:v1");

    // The same tag again: there is no registry to ask for a digest, so the update is forced.
    let trigger = up
        .outcome(&hook, &pushed("docker.io/example/web", "v2"))
        .await;
    assert_eq!(trigger["outcome"]["code"], "upgraded", "{trigger}");
    let forced = swarm.service("web").await["Spec"]["TaskTemplate"]["ForceUpdate"].clone();
    assert_eq!(forced, 1);

    let trigger = outcome(&up, &hook, &pushed("example/none", "v2")).await;
    assert_eq!(
        trigger["outcome"]["code"], "noMatchingServices",
        "{trigger}"
    );
    up.stop().await;
    for name in ["web", "api"] {
        swarm.remove(name).await;
    }
}

pub async fn an_image_that_cannot_be_pulled_ends_as_the_receiver_says(swarm: &Swarm) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["paused", "back"] {
        swarm.create(name, &json!({})).await;
        swarm.runs(name, 1).await;
    }
    let up = up_on(swarm, folder.path()).await;
    for (name, on_failure, says) in [
        ("paused", "pause", "No such image"),
        ("back", "rollback", "rolled back"),
    ] {
        let config = json!({"tag": "v3", "monitorSeconds": 2, "onFailure": on_failure, "intervalMillis": 100});
        let hook = up.upgrading(name, json!({"app": name}), config).await;
        let trigger = outcome(&up, &hook, &pushed("example/web", "v3")).await;
        assert_eq!(trigger["outcome"]["code"], "upgradeFailed", "{trigger}");
        let part = part(&up, &trigger).await;
        assert_eq!(part["code"], "upgradeFailed", "{part}");
        let message = part["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(
        swarm.service("paused").await["UpdateStatus"]["State"],
        "paused"
    );
    assert_eq!(image(&swarm.service("back").await), "example/web:v1");
    up.stop().await;
    for name in ["paused", "back"] {
        swarm.remove(name).await;
    }
}

/// Killed as soon as the update is written: whoever goes on recognises it, also where the image is the same.
pub async fn a_killed_worker_goes_on_with_its_own_update(swarm: &Swarm) {
    let folder = tempfile::tempdir().unwrap();
    swarm
        .create("killed", &json!({"Mode": {"Replicated": {"Replicas": 2}}}))
        .await;
    swarm.runs("killed", 2).await;
    let mut up = up_on(swarm, folder.path()).await;
    let config = json!({"intervalMillis": 1_000, "monitorSeconds": 1});
    let hook = up
        .upgrading("killed", json!({"app": "killed"}), config)
        .await;
    for forced in 0_u64..2 {
        let (status, _) = up.post(&hook, &pushed("example/web", "v2"), &[]).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        wait::until("the update is written", || async {
            let spec = swarm.service("killed").await;
            let is_forced = spec["Spec"]["TaskTemplate"]["ForceUpdate"].as_u64() == Some(forced);
            if image(&spec) == "example/web:v2" && is_forced {
                Ok(())
            } else {
                Err(spec["Spec"].to_string())
            }
        })
        .await;
        up.kill().await;
        up = up_on(swarm, folder.path()).await;
        up.settled().await;
        let newest = up.history("").await[0].clone();
        assert_eq!(newest["outcome"]["code"], "upgraded", "{newest}");
        let service = swarm.service("killed").await;
        assert_eq!(service["UpdateStatus"]["State"], "completed", "{service}");
        // A second write of the same image would have been forced.
        assert_eq!(service["Spec"]["TaskTemplate"]["ForceUpdate"], forced);
    }
    up.stop().await;
    swarm.remove("killed").await;
}
