//! What a first start comes with: a project on the practice platform, and a receiver that scales one of its
//! services.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context, Result};
use stormhook_shared::configuration::{
    PlatformConfiguration, ProjectConfiguration, RancherConfiguration,
};
use stormhook_shared::directory::Directory;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId};
use stormhook_shared::domain::receiver::{
    Activity, KeyVersions, Kind, Options, Receiver, ScaleService,
};
use stormhook_shared::domain::scaling::{Amount, Bounds, Direction};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::Backbone;
use url::Url;

const PROJECT: &str = "1a5";
const SERVICE: &str = "1s5";
const RECEIVER: &str = "demo-scale-web-up";
const MOST_CONTAINERS: u32 = 100;

/// The demo project.
pub fn project() -> Result<ProjectId> {
    PROJECT.parse().context("the demo project")
}

/// The demo project's connection to the practice platform at `url`.
pub fn connection(url: Url) -> ProjectConfiguration {
    ProjectConfiguration {
        name: Some("Default".to_owned()),
        platform: PlatformConfiguration::Rancher(RancherConfiguration {
            url,
            access_key: None,
            secret_key: None,
            ca_file: None,
        }),
        max_in_flight: NonZeroUsize::new(16).context("16 is not zero")?,
    }
}

/// The demo receiver: the one of that name, or a new one if the project has no receivers yet.
pub async fn receiver(backbone: &Backbone, directory: &Directory) -> Result<Receiver> {
    todo_placeholder(backbone, directory).await
}
