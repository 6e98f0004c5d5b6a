//! Pools of machines get the size that is asked for, and a custom resource its scale. The story plays Cluster API and
//! Rancher: it makes and removes machines.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::custom_resources::{CustomResources, Sort};
use stormhook_tests::wait;

fn sort(
    group: &'static str,
    versions: &[&'static str],
    plural: &'static str,
    kind: &'static str,
) -> Sort {
    Sort {
        group,
        versions: versions.to_vec(),
        plural,
        kind,
        scale: (plural == "machinedeployments").then_some("replicas"),
    }
}

fn cluster_api(versions: &[&'static str]) -> [Sort; 2] {
    let group = "cluster.x-k8s.io";
    [
        sort(group, versions, "machinedeployments", "MachineDeployment"),
        sort(group, versions, "machines", "Machine"),
    ]
}

fn pool(cluster: &CustomResources, name: &str, replicas: u64, further: &Value) {
    let mut labels = json!({"cluster.x-k8s.io/deployment-name": name});
    for (key, value) in further.as_object().unwrap() {
        labels[key] = value.clone();
    }
    let body = json!({
        "metadata": {"labels": {"role": name}},
        "spec": {"replicas": replicas, "clusterName": "prod", "template": {"metadata": {"labels": labels}}},
    });
    cluster.create("machinedeployments", "fleet", name, body);
}

fn machine(cluster: &CustomResources, pool: &str, name: &str) {
    let body = json!({
        "metadata": {"labels": {"cluster.x-k8s.io/deployment-name": pool}}, "spec": {"clusterName": "prod"},
        "status": {"phase": "Running", "nodeRef": {"name": name}},
    });
    cluster.create("machines", "fleet", name, body);
}

/// The names of all machines, with a star where one is marked to go.
fn machines(cluster: &CustomResources) -> Vec<String> {
    let shown = |one: &Value| {
        let metadata = &one["metadata"];
        let is_marked = metadata["annotations"]["cluster.x-k8s.io/delete-machine"].is_string();
        let star = if is_marked { "*" } else { "" };
        format!("{}{star}", metadata["name"].as_str().unwrap())
    };
    cluster.all("machines").iter().map(shown).collect()
}

/// Waits until a thing says `size` at `pointer`.
async fn sized(cluster: &CustomResources, plural: &str, name: &str, pointer: &str, size: u64) {
    wait::until("the pool's size", || async {
        let found = cluster.get(plural, "fleet", name).unwrap();
        match found.pointer(pointer).and_then(Value::as_u64) {
            Some(found) if found == size => Ok(()),
            other => Err(format!("{other:?} instead of {size}")),
        }
    })
    .await;
}

async fn grow_and_shrink(versions: &[&'static str]) {
    let cluster = CustomResources::start(&cluster_api(versions)).await;
    pool(&cluster, "web", 2, &json!({}));
    machine(&cluster, "web", "web-a");
    machine(&cluster, "web", "web-b");
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path()).await;

    let more = up.scaling_hosts("more", "up", json!({})).await;
    let made = async {
        sized(&cluster, "machinedeployments", "web", "/spec/replicas", 3).await;
        machine(&cluster, "web", "web-c");
    };
    let (grown, ()) = tokio::join!(up.outcome(&more, ""), made);
    let message = &grown["outcome"]["message"];
    assert_eq!(message, "added 1 machines of web (2 → 3 hosts)");

    let check = json!([{"type": "HealthCheckSucceeded", "status": "False"}]);
    let change = json!({"status": {"conditions": check}});
    cluster.merge("machines", "fleet", "web-b", &change);
    let config = json!({"amount": 2});
    let fewer = up.scaling_hosts("fewer", "down", config).await;
    let removed = async {
        sized(&cluster, "machinedeployments", "web", "/spec/replicas", 1).await;
        assert_eq!(machines(&cluster), ["web-a*", "web-b*", "web-c"]);
        cluster.delete("machines", "fleet", "web-a");
        cluster.delete("machines", "fleet", "web-b");
    };
    let (shrunk, ()) = tokio::join!(up.outcome(&fewer, ""), removed);
    let message = &shrunk["outcome"]["message"];
    assert_eq!(message, "removed web-b, web-a (3 → 1 hosts)");
    let below = up.outcome(&fewer, "").await;
    assert_eq!(below["outcome"]["code"], "belowMin");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_of_cluster_api_grow_and_lose_the_unhealthy_and_the_oldest() {
    grow_and_shrink(&["v1beta2", "v1beta1"]).await;
    grow_and_shrink(&["v1beta1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_lose_their_marks_when_the_size_is_refused() {
    let cluster = CustomResources::start(&cluster_api(&["v1beta1"])).await;
    pool(&cluster, "web", 2, &json!({}));
    machine(&cluster, "web", "web-a");
    machine(&cluster, "web", "web-b");
    cluster.refuse_scales();
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path()).await;
    let fewer = up.scaling_hosts("fewer", "down", json!({})).await;
    let refused = up.outcome(&fewer, "").await;
    assert_eq!(refused["outcome"]["code"], "platformRefused", "{refused}");
    let message = refused["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("budget.example.org"), "{message}");
    assert_eq!(machines(&cluster), ["web-a", "web-b"]);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_of_rancher_are_resized_where_rancher_keeps_their_size() {
    let [deployments, of_machines] = cluster_api(&["v1beta1"]);
    let clusters = sort("provisioning.cattle.io", &["v1"], "clusters", "Cluster");
    let cluster = CustomResources::start(&[deployments, of_machines, clusters]).await;
    let labels = json!({"cluster.x-k8s.io/cluster-name": "prod", "rke.cattle.io/rke-machine-pool-name": "web"});
    pool(&cluster, "web", 1, &labels);
    machine(&cluster, "web", "web-a");
    let etcd = json!({"name": "etcd", "quantity": 3, "etcdRole": true});
    let web = json!({"name": "web", "quantity": 1, "labels": {"kept": "yes"}});
    let body = json!({"metadata": {}, "spec": {"rkeConfig": {"machinePools": [etcd, web]}}});
    cluster.create("clusters", "fleet", "prod", body);
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path()).await;

    let more = up.scaling_hosts("more", "up", json!({"amount": 2})).await;
    let made = async {
        let quantity = "/spec/rkeConfig/machinePools/1/quantity";
        sized(&cluster, "clusters", "prod", quantity, 3).await;
        machine(&cluster, "web", "web-b");
        machine(&cluster, "web", "web-c");
    };
    let (grown, ()) = tokio::join!(up.outcome(&more, ""), made);
    assert_eq!(grown["outcome"]["status"], "succeeded", "{grown}");
    let found = cluster.get("clusters", "fleet", "prod").unwrap();
    let mut resized = web;
    resized["quantity"] = json!(3);
    let pools = &found["spec"]["rkeConfig"]["machinePools"];
    assert_eq!(pools, &json!([etcd, resized]), "nothing else changes");
    // What Rancher makes of it is Rancher's matter.
    let deployment = cluster.get("machinedeployments", "fleet", "web").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 1);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cluster_api_there_are_no_pools() {
    let cluster = CustomResources::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up(folder.path()).await;
    let body = json!({"name": "early", "driver": "scaleHost", "scaleHostConfig": {
        "hostSelector": {"role": "web"}, "action": "up", "amount": 1, "min": 1, "max": 9}});
    let (status, told) = up.api(Method::POST, "receivers", Some(&body)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    up.stop().await;
}
