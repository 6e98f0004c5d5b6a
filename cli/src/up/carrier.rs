//! The backbone that `up` runs on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use stormhook_shared::embedded::{Embedded, EmbeddedOptions};
use stormhook_shared::nats::Nats;
use stormhook_shared::ports::Backbone;
use stormhook_shared::telemetry::Readiness;

use super::settings::Settings;

/// How long to wait before NATS is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// The backbone that `up` runs on.
pub enum Carrier {
    Embedded(Embedded),
    Nats(Box<Nats>),
}

impl Carrier {
    /// Opens the database in the data folder, or connects to NATS, for which this waits until it is there.
    pub async fn open(settings: &Settings, readiness: &Arc<Readiness>) -> Result<Self> {
        let Some(options) = &settings.nats else {
            let path = settings.folder.backbone();
            let embedded = Embedded::open(&path, EmbeddedOptions::default())?;
            return Ok(Self::Embedded(embedded));
        };
        loop {
            match Nats::connect(options, readiness).await {
                Ok(nats) => return Ok(Self::Nats(Box::new(nats))),
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// All ports over it.
    pub fn backbone(&self) -> Backbone {
        match self {
            Self::Embedded(embedded) => embedded.backbone(),
            Self::Nats(nats) => nats.backbone(),
        }
    }

    /// Closes it in order.
    pub async fn close(self) {
        match self {
            Self::Embedded(embedded) => embedded.close().await,
            Self::Nats(nats) => nats.close().await,
        }
    }
}
