//! What the programs that share work over NATS, ingress and worker, are told in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::log_options::LogOptions;
use crate::configuration::BackboneChoice;
use crate::nats::NatsOptions;

/// The options of a program that shares work with others over NATS.
#[derive(Debug, Args)]
pub struct FleetOptions {
    /// The configuration file; paths in it are relative to it
    #[arg(long, env = "STORMHOOK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The NATS servers, like nats://user:password@a:4222,b:4222 [default: what the configuration says]
    #[arg(
        long,
        env = "STORMHOOK_BACKBONE",
        value_name = "URL",
        hide_env_values = true
    )]
    pub backbone: Option<BackboneChoice>,
    /// How long what runs may take to finish when stopping, in seconds
    #[arg(
        long,
        env = "STORMHOOK_GRACE_SECONDS",
        value_name = "SECONDS",
        default_value_t = 10
    )]
    grace_seconds: u64,
    /// What is logged.
    #[command(flatten)]
    pub log: LogOptions,
}

/// No NATS was named.
#[derive(Debug, thiserror::Error)]
#[error(
    "this program shares its work with others over NATS: give --backbone nats://host:4222, or write it into the \
     configuration; for everything in one process there is `stormhook up`"
)]
pub struct NoNats;

impl FleetOptions {
    /// How NATS is reached: at the address that was given, with what is `configured`.
    pub fn nats(&self, configured: Option<BackboneChoice>) -> Result<NatsOptions, NoNats> {
        match (&self.backbone, configured) {
            (Some(BackboneChoice::Nats(given)), Some(BackboneChoice::Nats(configured))) => {
                Ok(NatsOptions {
                    servers: given.servers.clone(),
                    ..*configured
                })
            }
            (Some(BackboneChoice::Nats(only)), _) => Ok((**only).clone()),
            (None, Some(BackboneChoice::Nats(only))) => Ok(*only),
            (Some(BackboneChoice::Embedded), _) | (None, _) => Err(NoNats),
        }
    }

    /// How long what runs may take to finish when stopping.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }
}
