//! What a first start comes with: a project on the practice platform, and a receiver that scales one of its
//! services.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use stormhook_shared::configuration::{
    PlatformConfiguration, ProjectConfiguration, RancherConfiguration,
};
use stormhook_shared::directory::Directory;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision};
use stormhook_shared::domain::kind::{Driver, Kind, ScaleService, Scaling};
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Options, Receiver};
use stormhook_shared::domain::scaling::{Amount, Bounds, Direction};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::Backbone;
use url::Url;

const PROJECT: &str = "1a5";
const SERVICE: &str = "1s5";
const RECEIVER: &str = "demo-scale-web-up";
const MOST_CONTAINERS: u32 = 100;
/// How long the copy of the registry may take to be complete.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");

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
        max_in_flight: MAX_IN_FLIGHT,
    }
}

/// The demo receiver. It is made where there was never any receiver: a start that was killed before may not have come to
/// it, and an operator who deletes it does not get it back.
pub async fn receiver(backbone: &Backbone, directory: &Directory) -> Result<Option<Receiver>> {
    if !directory.reached(Revision(0), PATIENCE).await {
        bail!(
            "the receivers could not be read within {} s",
            PATIENCE.as_secs()
        );
    }
    let project = project()?;
    let there = directory
        .list(&project)
        .into_iter()
        .find(|receiver| receiver.name == RECEIVER);
    // The registry counts its changes, deletions too.
    let is_untouched = directory.revision() == Revision(0);
    if there.is_some() || !is_untouched {
        return Ok(there.map(|receiver| (*receiver).clone()));
    }
    let now = Timestamp::now();
    let receiver = Receiver {
        id: ReceiverId::random(now).context("make a receiver id")?,
        project,
        name: RECEIVER.to_owned(),
        kind: Kind::ScaleService(ScaleService {
            service_id: SERVICE.to_owned(),
            override_autoscaler: false,
            scaling: Scaling {
                action: Direction::Up,
                amount: Amount::try_from(1)?,
                bounds: Bounds::new(Amount::try_from(1)?, Amount::try_from(MOST_CONTAINERS)?)?,
            },
        }),
        options: Options::default_for(Driver::ScaleService),
        activity: Activity::Active,
        keys: KeyVersions::FIRST,
        revision: 1,
        created_at: now,
    };
    backbone.registry.create(receiver.clone()).await?;
    Ok(Some(receiver))
}
