//! With exactly the rights that deploy/kubernetes/rbac gives, everything works; without one, the verdict names it.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_tests::kube::ControlPlane;
use stormhook_tests::{project, wait};

const PUSH: &str = r#"{"push_data": {"tag": "v2"}, "repository": {"repo_name": "nginx"}}"#;

fn manifests(folder: &str) -> PathBuf {
    project::path(format!("deploy/kubernetes/{folder}"))
}

async fn create_roles(cluster: &ControlPlane) {
    for entry in std::fs::read_dir(manifests("rbac")).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("kustomization.yaml") {
            assert_eq!(cluster.create_all(&path, "").await, [""; 0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_are_enough_and_a_missing_right_is_named() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    cluster.namespace("stormhook").await;
    create_roles(&cluster).await;
    cluster
        .create_all(&manifests("example/shop.yaml"), "")
        .await;
    let web = cluster.deployment("shop", "web", "nginx:v1", 1).await;
    let _kubelet = cluster.kubelet("shop", "broken");
    let token = cluster.token("stormhook", "stormhook-worker").await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = cluster.kubeconfig_with(&token);
    let further = format!(
        "namespaces = [\"shop\"]\n[projects.out]\nplatform = \"kubernetes\"\nkubeconfig = {:?}",
        cluster.kubeconfig_with("an-expired-token")
    );
    let up = cluster.up(folder.path(), &kubeconfig, &further).await;

    let hook = up
        .scaling("web", "deployments/shop/web", "up", (1, 9), json!({}))
        .await;
    let scaled = up.outcome(&hook, "").await;
    assert_eq!(scaled["outcome"]["message"], "scaled shop/web from 1 to 2");
    let config = json!({"intervalMillis": 100});
    let upgrade = up.upgrading("upgrade", json!({"app": "web"}), config).await;
    let upgraded = up.outcome(&upgrade, PUSH).await;
    assert_eq!(upgraded["outcome"]["status"], "succeeded", "{upgraded}");
    assert_eq!(cluster.scale(&web).await, 2);

    let forward = json!({"name": "forward", "driver": "forwardPost", "forwardPostConfig": {
        "projectId": "1a5", "serviceName": "web", "port": 80, "path": "/"}});
    let denied = up.outcome(&up.create(&forward).await, "").await;
    let message = denied["outcome"]["message"].as_str().unwrap();
    for part in ["cannot create", "services/proxy", "shop"] {
        assert!(message.contains(part), "{message}");
    }
    let binding =
        "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/stormhook-scale-services";
    cluster.delete(binding).await;
    let message = wait::until("the right to be gone", || async {
        let denied = up.outcome(&hook, "").await;
        let message = denied["outcome"]["message"].as_str().unwrap().to_owned();
        if denied["outcome"]["code"] == "platformRefused" {
            Ok(message)
        } else {
            Err(message)
        }
    })
    .await;
    for part in ["cannot", "deployments/scale", "shop"] {
        assert!(message.contains(part), "{message}");
    }

    // A project whose token is not accepted is told, and holds nobody up.
    let told: Value = wait::until("the projects to be looked at", || async {
        let answer = up.request(Method::GET, "/readyz").send().await.unwrap();
        assert!(answer.status().is_success(), "the process is ready");
        let told: Value = answer.json().await.unwrap();
        let out = told["projects"]["out"].as_str().unwrap_or_default();
        if out.contains("401") {
            Ok(told)
        } else {
            Err(told.to_string())
        }
    })
    .await;
    assert_eq!(told["projects"]["1a5"], "ready", "{told}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installation_is_one_that_the_api_server_takes() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("stormhook").await;
    let mut unknown = Vec::new();
    for file in [
        "base/ingress.yaml",
        "base/worker.yaml",
        "base/network.yaml",
        "base/receivers.yaml",
        "nats/nats.yaml",
    ] {
        unknown.extend(cluster.create_all(&manifests(file), "?dryRun=All").await);
    }
    unknown.sort();
    unknown.dedup();
    // The control plane of these tests is too old for those.
    let too_new = [
        "autoscaling/v2 HorizontalPodAutoscaler",
        "policy/v1 PodDisruptionBudget",
    ];
    assert_eq!(unknown, too_new);
}

/// What the worker does with Receiver objects and Secrets. Objects themselves cannot be made here; see
/// `stormhook_tests::custom_resources`.
const OF_RECEIVERS: [(&str, &str, &str, &str); 9] = [
    ("list", "stormhook.io", "receivers", ""),
    ("watch", "stormhook.io", "receivers", ""),
    ("get", "stormhook.io", "receivers", ""),
    ("patch", "stormhook.io", "receivers", ""),
    ("patch", "stormhook.io", "receivers", "status"),
    ("get", "", "secrets", ""),
    ("create", "", "secrets", ""),
    ("patch", "", "secrets", ""),
    ("delete", "", "secrets", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn receivers_are_known_to_the_cluster_and_the_worker_may_keep_them() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace("shop").await;
    cluster.namespace("stormhook").await;
    create_roles(&cluster).await;
    cluster
        .create_all(&manifests("example/shop.yaml"), "")
        .await;
    cluster
        .create_all(&manifests("base/receivers.yaml"), "")
        .await;
    let definition =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/receivers.stormhook.io";
    wait::until("the definition to be taken in", || async {
        let found = cluster.get(definition).await;
        let conditions = found["status"]["conditions"].as_array();
        let is = |kind: &str| {
            let mut all = conditions.into_iter().flatten();
            all.any(|one| one["type"] == kind && one["status"] == "True")
        };
        // What is wrong with a schema is told beside that it is used.
        assert!(!is("NonStructuralSchema"), "{found}");
        if is("Established") {
            Ok(())
        } else {
            Err(found["status"].to_string())
        }
    })
    .await;
    let list = "/apis/stormhook.io/v1/namespaces/shop/receivers";
    cluster.served(list).await;

    for (verb, group, resource, subresource) in OF_RECEIVERS {
        for (namespace, is_allowed) in [("shop", true), ("stormhook", false)] {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {"user": "system:serviceaccount:stormhook:stormhook-worker", "resourceAttributes": {
                    "namespace": namespace, "verb": verb, "group": group, "resource": resource,
                    "subresource": subresource}},
            });
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let told = cluster.create(path, &review).await;
            assert_eq!(told["status"]["allowed"], is_allowed, "{told}");
        }
    }
}
