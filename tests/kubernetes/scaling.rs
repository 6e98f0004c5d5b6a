//! Workloads and whatever else has a scale are scaled, and nothing that others do meanwhile is lost.

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::kube::ControlPlane;
use stormhook_tests::up::{Hook, Up};

const STORM: u64 = 300;
const OTHERS: u64 = 5;

/// A StatefulSet, whose pods are made one after the other: a large one is little work for the control plane.
async fn stateful_set(cluster: &ControlPlane, name: &str) -> String {
    let labels = json!({"app": name});
    let list = "/apis/apps/v1/namespaces/shop/statefulsets";
    let body = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {"replicas": 1, "serviceName": name, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "nginx:1"}]}}},
    });
    cluster.create(list, &body).await;
    format!("{list}/{name}")
}

async fn fire_at_once(up: &Up, hook: &Hook, count: u64) {
    let fired = join_all((0..count).map(|_| up.fire(hook))).await;
    for answer in fired {
        assert_eq!(answer.unwrap().0, StatusCode::ACCEPTED);
    }
}

/// Somebody else who scales up by ten, minding what he finds.
async fn scale_by_ten(cluster: &ControlPlane, path: &str) {
    let path = format!("{path}/scale");
    loop {
        let mut scale = cluster.get(&path).await;
        let now = scale["spec"]["replicas"].as_u64().unwrap_or(0);
        scale["spec"]["replicas"] = json!(now + 10);
        let body = Some(("application/json", &scale));
        match cluster.call(Method::PUT, &path, body).await.0 {
            StatusCode::CONFLICT => {}
            status => return assert_eq!(status, StatusCode::OK),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_folded_and_what_others_scale_meanwhile_is_kept() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    let (db, cache) = tokio::join!(
        stateful_set(&cluster, "db"),
        stateful_set(&cluster, "cache")
    );
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path(), &cluster.kubeconfig(), "").await;

    let hook = up
        .scaling("db", "statefulsets/shop/db", "up", (1, 5_000), json!({}))
        .await;
    fire_at_once(&up, &hook, STORM).await;
    up.settled().await;
    let found = cluster.get(&db).await;
    assert_eq!(found["spec"]["replicas"], 1 + STORM);
    let writes = found["metadata"]["generation"].as_u64().unwrap() - 1;
    assert!(writes <= STORM / 5, "{writes} writes for {STORM} triggers");

    let hook = up
        .scaling(
            "cache",
            "statefulsets/shop/cache",
            "up",
            (1, 5_000),
            json!({}),
        )
        .await;
    let others = async {
        for _ in 0..OTHERS {
            scale_by_ten(&cluster, &cache).await;
        }
    };
    let firing = async {
        for _ in 0..10 {
            fire_at_once(&up, &hook, 3).await;
        }
    };
    tokio::join!(others, firing);
    up.settled().await;
    assert_eq!(cluster.scale(&cache).await, 1 + 10 * OTHERS + 30);
    for trigger in up.history("&status=succeeded").await {
        let outcome = &trigger["outcome"];
        let (from, to) = (outcome["from"].as_u64(), outcome["to"].as_u64());
        assert_eq!(from.map(|from| from + 1), to, "{trigger}");
    }
    up.stop().await;
}

async fn autoscaler(cluster: &ControlPlane, target: &str) {
    let body = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "busy"},
        "spec": {"maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}},
    });
    let list = "/apis/autoscaling/v1/namespaces/shop/horizontalpodautoscalers";
    cluster.create(list, &body).await;
}

fn receiver(name: &str, service: &str, override_autoscaler: bool) -> Value {
    json!({"name": name, "driver": "scaleService", "scaleServiceConfig": {
        "serviceId": service, "action": "up", "amount": 1, "min": 1, "max": 9, "overrideAutoscaler": override_autoscaler}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_autoscaler_scales_is_left_alone_unless_told() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    let web = cluster.deployment("shop", "web", "nginx:1", 1).await;
    cluster.deployment("shop", "api", "nginx:1", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let limits = "namespaces = [\"shop\"]";
    let up = cluster
        .up(folder.path(), &cluster.kubeconfig(), limits)
        .await;

    let plain = up
        .create(&receiver("plain", "deployments/shop/web", false))
        .await;
    let told = up
        .create(&receiver("told", "deployments/shop/web", true))
        .await;
    let first = up.outcome(&plain, "").await;
    assert_eq!(first["outcome"]["message"], "scaled shop/web from 1 to 2");

    // The namespace is watched by now: what is created is seen, and what is deleted.
    autoscaler(&cluster, "web").await;
    let refused = up.outcome(&plain, "").await;
    assert_eq!(refused["outcome"]["status"], "rejected", "{refused}");
    let message = refused["outcome"]["message"].as_str().unwrap();
    assert!(
        message.contains("horizontalpodautoscalers/shop/busy"),
        "{message}"
    );
    assert_eq!(up.outcome(&told, "").await["outcome"]["to"], 3);
    assert_eq!(cluster.scale(&web).await, 3);
    for (service, says) in [
        ("deployments/shop/web", "overrideAutoscaler"),
        ("deployments/shop/none", "there is no deployments/shop/none"),
        ("deployments/other/web", "namespace other"),
        ("daemonsets/shop/agent", "no scale"),
        ("rollouts.argoproj.io/shop/web", "no such sort"),
        ("1s5", "deployments/shop/web"),
    ] {
        let body = receiver("refused", service, false);
        let (status, told) = up.api(Method::POST, "receivers", Some(&body)).await;
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{service}: {told}"
        );
        assert!(told["message"].as_str().unwrap().contains(says), "{told}");
    }
    cluster
        .delete("/apis/autoscaling/v1/namespaces/shop/horizontalpodautoscalers/busy")
        .await;
    assert_eq!(up.outcome(&plain, "").await["outcome"]["to"], 4);

    // It goes between decision and action, or at least between two triggers.
    let api = up
        .create(&receiver("api", "deployments/shop/api", false))
        .await;
    cluster
        .delete("/apis/apps/v1/namespaces/shop/deployments/api")
        .await;
    assert_eq!(
        up.outcome(&api, "").await["outcome"]["code"],
        "serviceRemoved"
    );
    up.stop().await;
}
