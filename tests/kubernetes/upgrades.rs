//! Pushed images are rolled out, and nothing else of the workloads changes.

use serde_json::{Value, json};
use stormhook_tests::kube::ControlPlane;
use stormhook_tests::wait;

const PUSH: &str = r#"{"push_data": {"tag": "v2"}, "repository": {"repo_name": "library/nginx"}}"#;

async fn workload(cluster: &ControlPlane, kind: &str, name: &str, image: &str) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    let list = format!("/apis/apps/v1/namespaces/shop/{plural}");
    let labels = json!({"app": name});
    let mut body = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": {"release": "shop"}},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}},
    });
    if kind == "StatefulSet" {
        body["spec"]["serviceName"] = json!(name);
        body["spec"]["replicas"] = json!(2);
    }
    cluster.create(&list, &body).await;
    format!("{list}/{name}")
}

fn image(object: &Value) -> &str {
    let template = &object["spec"]["template"]["spec"];
    template["containers"][0]["image"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_workload_with_the_label_and_the_repository_is_upgraded() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    let web = cluster
        .deployment("shop", "web", "docker.io/library/nginx:v1", 2)
        .await;
    let db = workload(&cluster, "StatefulSet", "db", "nginx:v1").await;
    let agent = workload(
        &cluster,
        "DaemonSet",
        "agent",
        "index.docker.io/library/nginx:v1",
    )
    .await;
    let other = workload(&cluster, "Deployment", "other", "example/other:v1").await;
    let before = cluster.get(&web).await;
    let _kubelet = cluster.kubelet("shop", "broken");
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path(), &cluster.kubeconfig(), "").await;
    let config = json!({"batchSize": 2, "intervalMillis": 100, "startFirst": true});
    let hook = up
        .upgrading("shop", json!({"release": "shop"}), config)
        .await;

    let pushed = up.outcome(&hook, PUSH).await;
    assert_eq!(pushed["outcome"]["status"], "succeeded", "{pushed}");
    for (path, expected) in [
        (&web, "docker.io/library/nginx:v2"),
        (&db, "nginx:v2"),
        (&agent, "index.docker.io/library/nginx:v2"),
        (&other, "example/other:v1"),
    ] {
        assert_eq!(image(&cluster.get(path).await), expected, "{path}");
    }
    let mut after = cluster.get(&web).await;
    assert_eq!(after["status"]["updatedReplicas"], 2);
    let strategy = after["spec"]["strategy"]["rollingUpdate"].clone();
    assert_eq!(strategy, json!({"maxSurge": 2, "maxUnavailable": 0}));
    assert_eq!(after["spec"]["minReadySeconds"], 1);
    // Nothing but what the upgrade is about differs.
    let container = &mut after["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    container["image"] = json!("docker.io/library/nginx:v1");
    container["imagePullPolicy"] = json!("IfNotPresent");
    after["spec"]["strategy"] = before["spec"]["strategy"].clone();
    after["spec"]
        .as_object_mut()
        .unwrap()
        .remove("minReadySeconds");
    assert_eq!(after["spec"], before["spec"]);
    let manager = json!("stormhook");
    let fields = after["metadata"]["managedFields"].as_array().unwrap();
    assert!(fields.iter().any(|entry| entry["manager"] == manager));

    // The same tag again: whoever runs it gets what it leads to now.
    let pushed = up.outcome(&hook, PUSH).await;
    assert_eq!(pushed["outcome"]["status"], "succeeded", "{pushed}");
    let after = cluster.get(&web).await;
    let annotations = &after["spec"]["template"]["metadata"]["annotations"];
    assert!(
        annotations["kubectl.kubernetes.io/restartedAt"].is_string(),
        "{annotations}"
    );
    let path = format!("triggers/{}", pushed["id"].as_str().unwrap());
    let (_, detail) = up.api(reqwest::Method::GET, &path, None).await;
    let parts = detail["children"].as_array().unwrap().len();
    assert_eq!(parts, 3, "what runs another repository is no part of it");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_comes_to_nothing_is_told_and_taken_back_where_that_is_wanted() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    let web = cluster.deployment("shop", "web", "nginx:v1", 1).await;
    let hurry = json!({"spec": {"progressDeadlineSeconds": 2}});
    cluster.merge(&web, &hurry).await;
    let _kubelet = cluster.kubelet("shop", ":v2");
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path(), &cluster.kubeconfig(), "").await;
    let config = json!({"intervalMillis": 100, "startFirst": true});
    let hook = up
        .upgrading("leave", json!({"app": "web"}), config.clone())
        .await;
    let failed = up.outcome(&hook, PUSH).await;
    assert_eq!(failed["outcome"]["code"], "upgradeFailed", "{failed}");
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("progress deadline"), "{message}");
    assert_eq!(image(&cluster.get(&web).await), "nginx:v2");

    cluster
        .merge(&web, &json!({"metadata": {"labels": {"again": "yes"}}}))
        .await;
    let back = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx:v1"}]);
    let body = Some(("application/json-patch+json", &back));
    cluster.call(reqwest::Method::PATCH, &web, body).await;
    let mut config = config;
    config["onFailure"] = json!("rollback");
    let hook = up.upgrading("back", json!({"again": "yes"}), config).await;
    let failed = up.outcome(&hook, PUSH).await;
    assert_eq!(failed["outcome"]["code"], "upgradeFailed", "{failed}");
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("taken back"), "{message}");
    assert_eq!(image(&cluster.get(&web).await), "nginx:v1");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_quota_refuses_is_told_in_its_words() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    let web = cluster.deployment("shop", "web", "nginx:v1", 1).await;
    let hurry = json!({"spec": {"progressDeadlineSeconds": 3}});
    cluster.merge(&web, &hurry).await;
    let _kubelet = cluster.kubelet("shop", "broken");
    wait::until("the first pod", || async {
        let found = cluster.get(&web).await;
        match found["status"]["availableReplicas"].as_u64() {
            Some(1) => Ok(()),
            _ => Err(found["status"].to_string()),
        }
    })
    .await;
    let hard = json!({"pods": "1"});
    let quotas = "/api/v1/namespaces/shop/resourcequotas";
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard}});
    cluster.create(quotas, &quota).await;
    // Its controller, which does not run here, would count the pods.
    let counted = json!({"status": {"hard": hard, "used": hard}});
    cluster
        .merge(&format!("{quotas}/few/status"), &counted)
        .await;

    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path(), &cluster.kubeconfig(), "").await;
    let config = json!({"intervalMillis": 100, "startFirst": true});
    let hook = up.upgrading("shop", json!({"app": "web"}), config).await;
    let failed = up.outcome(&hook, PUSH).await;
    assert_eq!(failed["outcome"]["code"], "upgradeFailed", "{failed}");
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("exceeded quota: few"), "{message}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_goes_on_with_the_upgrade_that_it_finds() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    let web = cluster.deployment("shop", "web", "nginx:v2", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path(), &cluster.kubeconfig(), "").await;
    // The reference stays the same, so that only the mark tells whose rollout it is.
    let config = json!({"intervalMillis": 100, "startFirst": true});
    let hook = up.upgrading("shop", json!({"app": "web"}), config).await;
    let (_, accepted) = up.post(&hook, PUSH, &[]).await;
    let generation = wait::until("the upgrade to begin", || async {
        let found = cluster.get(&web).await;
        let generation = found["metadata"]["generation"].as_u64().unwrap();
        if generation > 1 {
            Ok(generation)
        } else {
            Err(format!("{found}"))
        }
    })
    .await;
    up.kill().await;
    let up = cluster.up(folder.path(), &cluster.kubeconfig(), "").await;
    let _kubelet = cluster.kubelet("shop", "broken");
    up.settled().await;
    let path = format!("triggers/{}", accepted["id"].as_str().unwrap());
    let (_, settled) = up.api(reqwest::Method::GET, &path, None).await;
    assert_eq!(settled["outcome"]["status"], "succeeded", "{settled}");
    let found = cluster.get(&web).await;
    assert_eq!(
        found["metadata"]["generation"], generation,
        "it was begun once"
    );
    up.stop().await;
}
