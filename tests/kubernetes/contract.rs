//! The contract of platforms, kept by Kubernetes.

use async_trait::async_trait;
use serde_json::json;
use stormhook_shared::configuration::{KubernetesConfiguration, PlatformConfiguration};
use stormhook_tests::contract::platform::{Bench, holds};
use stormhook_tests::kube::ControlPlane;

const NAMESPACE: &str = "shop";

struct OnKubernetes<'a>(&'a ControlPlane);

fn through(kubeconfig: String) -> PlatformConfiguration {
    PlatformConfiguration::Kubernetes(KubernetesConfiguration {
        kubeconfig: Some(kubeconfig.into()),
        context: None,
        namespaces: Some(vec![NAMESPACE.to_owned()]),
        receiver_resources: false,
    })
}

/// The path of what an id like `deployments/shop/web` names.
fn path(id: &str) -> String {
    let mut parts = id.split('/');
    let mut part = || parts.next().unwrap();
    let (plural, namespace, name) = (part(), part(), part());
    format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}")
}

#[async_trait]
impl Bench for OnKubernetes<'_> {
    fn configuration(&self) -> PlatformConfiguration {
        through(self.0.kubeconfig())
    }

    fn nowhere(&self) -> PlatformConfiguration {
        // Nobody listens at the discard port.
        through(self.0.kubeconfig_at("https://127.0.0.1:9"))
    }

    async fn create(&self, name: &str, scale: u32) -> String {
        let cluster = self.0;
        cluster
            .deployment(NAMESPACE, name, "example/web:v1", scale)
            .await;
        format!("deployments/{NAMESPACE}/{name}")
    }

    async fn unscalable(&self) -> String {
        let labels = json!({"app": "contract-everywhere"});
        let body = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "contract-everywhere"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example/web:v1"}]}}},
        });
        let list = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets");
        self.0.create(&list, &body).await;
        format!("daemonsets/{NAMESPACE}/contract-everywhere")
    }

    async fn rescale(&self, id: &str, to: u32) {
        let change = json!({"spec": {"replicas": to}});
        self.0.merge(&path(id), &change).await;
    }

    async fn image(&self, id: &str) -> String {
        let found = self.0.get(&path(id)).await;
        let image = &found["spec"]["template"]["spec"]["containers"][0]["image"];
        image.as_str().unwrap_or_default().to_owned()
    }

    async fn remove(&self, id: &str) {
        self.0.delete(&path(id)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_law_of_platforms_holds() {
    let Some(cluster) = ControlPlane::start().await else {
        return;
    };
    cluster.namespace(NAMESPACE).await;
    let _kubelet = cluster.kubelet(NAMESPACE, "broken");
    holds(&OnKubernetes(&cluster)).await;
}
