//! The contract of platforms, kept by the practice platform, and so by what speaks Cattle's API.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use stormhook_shared::configuration::{PlatformConfiguration, RancherConfiguration};
use stormhook_tests::contract::platform::{Bench, holds};
use stormhook_tests::up::{http, read, sandbox};

struct OnSandbox {
    http: reqwest::Client,
    /// With `/v2-beta`.
    api: String,
}

impl OnSandbox {
    async fn call(&self, method: Method, url: String, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, &url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let (status, answer) = read(request).await;
        assert!(status.is_success(), "{url}: {answer}");
        answer
    }
}

fn at(url: &str) -> PlatformConfiguration {
    PlatformConfiguration::Rancher(RancherConfiguration {
        url: url.parse().unwrap(),
        access_key: None,
        secret_key: None,
        ca_file: None,
    })
}

#[async_trait]
impl Bench for OnSandbox {
    fn configuration(&self) -> PlatformConfiguration {
        at(&self.api)
    }

    fn nowhere(&self) -> PlatformConfiguration {
        // Nobody listens at the discard port.
        at("http://127.0.0.1:9/v2-beta")
    }

    async fn create(&self, name: &str, scale: u32) -> String {
        let url = format!("{}/sandbox/services", self.api.trim_end_matches("/v2-beta"));
        let new = json!({
            "name": name, "scale": scale, "labels": {"app": name}, "image": "docker:example/web:v1",
        });
        let created = self.call(Method::POST, url, Some(new)).await;
        created["data"][0]["id"].as_str().unwrap().to_owned()
    }

    async fn unscalable(&self) -> String {
        "1s9".to_owned()
    }

    async fn rescale(&self, id: &str, to: u32) {
        let url = format!("{}/services/{id}", self.api);
        self.call(Method::PUT, url, Some(json!({"scale": to})))
            .await;
    }

    async fn image(&self, id: &str) -> String {
        let url = format!("{}/services/{id}", self.api);
        let service = self.call(Method::GET, url, None).await;
        let image = service["launchConfig"]["imageUuid"].as_str();
        image.unwrap_or_default().to_owned()
    }

    async fn remove(&self, id: &str) {
        let url = format!("{}/services/{id}", self.api);
        self.call(Method::DELETE, url, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_law_of_platforms_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (_process, api) = sandbox(folder.path(), &[]).await;
    let bench = OnSandbox { http: http(), api };
    holds(&bench).await;
}
