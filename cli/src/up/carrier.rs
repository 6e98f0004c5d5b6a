//! The backbone that `up` runs on.

use std::sync::Arc;

use anyhow::Result;
use stormhook_shared::embedded::{Embedded, EmbeddedOptions, Snapshots};
use stormhook_shared::nats::Nats;
use stormhook_shared::ports::Backbone;
use stormhook_shared::program::reach::reach;
use stormhook_shared::telemetry::Readiness;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;

/// The backbone that `up` runs on.
pub enum Carrier {
    Embedded(Embedded),
    Nats(Box<Nats>),
}

impl Carrier {
    /// Opens the database in the data folder, or connects to NATS, for which this waits until it is there; `None`: it
    /// was told to `stop` meanwhile.
    pub async fn open(
        settings: &Settings,
        readiness: &Arc<Readiness>,
        stop: &CancellationToken,
    ) -> Result<Option<Self>> {
        let Some(options) = &settings.nats else {
            let path = settings.folder.backbone();
            let embedded = Embedded::open(&path, EmbeddedOptions::default())?;
            return Ok(Some(Self::Embedded(embedded)));
        };
        let nats = reach(options, readiness, stop).await?;
        Ok(nats.map(|nats| Self::Nats(Box::new(nats))))
    }

    /// All ports over it.
    pub fn backbone(&self) -> Backbone {
        match self {
            Self::Embedded(embedded) => embedded.backbone(),
            Self::Nats(nats) => nats.backbone(),
        }
    }

    /// What copies the database, where there is one.
    pub fn snapshots(&self) -> Option<Snapshots> {
        match self {
            Self::Embedded(embedded) => Some(embedded.snapshots()),
            Self::Nats(_) => None,
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
