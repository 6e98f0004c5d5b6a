//! The contract of platforms, kept by Docker Swarm.

use async_trait::async_trait;
use serde_json::json;
use stormhook_shared::configuration::{PlatformConfiguration, SwarmConfiguration, SwarmEndpoint};
use stormhook_tests::contract::platform::{Bench, holds};
use stormhook_tests::swarm::Swarm;

struct OnSwarm<'a>(&'a Swarm);

impl OnSwarm<'_> {
    fn at(&self, node: &str) -> PlatformConfiguration {
        PlatformConfiguration::Swarm(SwarmConfiguration {
            endpoint: SwarmEndpoint::Unix(self.0.socket(node)),
            registry_config_file: None,
        })
    }
}

#[async_trait]
impl Bench for OnSwarm<'_> {
    fn configuration(&self) -> PlatformConfiguration {
        self.at("manager")
    }

    fn nowhere(&self) -> PlatformConfiguration {
        self.at("nowhere")
    }

    async fn create(&self, name: &str, scale: u32) -> String {
        let spec = json!({
            "Mode": {"Replicated": {"Replicas": scale}}, "UpdateConfig": {"Monitor": 1_000_000_000},
        });
        self.0.create(name, &spec).await;
        name.to_owned()
    }

    async fn unscalable(&self) -> String {
        let nowhere = json!({"Placement": {"Constraints": ["node.labels.nowhere==true"]}});
        let spec = json!({"Mode": {"Replicated": null, "Global": {}}, "TaskTemplate": nowhere});
        self.0.create("contract-global", &spec).await;
        "contract-global".to_owned()
    }

    async fn rescale(&self, id: &str, to: u32) {
        let change = json!({"Mode": {"Replicated": {"Replicas": to}}});
        self.0.change(id, &change).await;
    }

    async fn image(&self, id: &str) -> String {
        let service = self.0.service(id).await;
        let image = &service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"];
        image.as_str().unwrap_or_default().to_owned()
    }

    async fn remove(&self, id: &str) {
        self.0.remove(id).await;
    }
}

pub async fn every_law_of_platforms_holds(swarm: &Swarm) {
    holds(&OnSwarm(swarm)).await;
    swarm.remove("contract-global").await;
}
