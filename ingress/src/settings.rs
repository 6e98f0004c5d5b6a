//! What `stormhook-ingress` runs with: the command line over the environment over the configuration file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use stormhook_shared::configuration::{ApiKey, Configuration, ConfigurationError};
use stormhook_shared::hook_key::{DeploymentSecret, SecretError};
use stormhook_shared::nats::NatsOptions;
use stormhook_shared::program::fleet_options::{FleetOptions, NoNats};
use url::Url;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8085);

/// Takes triggers and management calls in, and publishes them to NATS.
#[derive(Parser)]
#[command(name = "stormhook-ingress", version, max_term_width = 100)]
pub struct Arguments {
    /// Where to listen [default: 127.0.0.1:8085]
    #[arg(long, env = "STORMHOOK_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// What trigger URLs begin with [default: the address that a request came to]
    #[arg(long, env = "STORMHOOK_PUBLIC_URL", value_name = "URL")]
    public_url: Option<Url>,
    /// The file with the deployment's secret, 32 bytes or more, the same for every ingress
    #[arg(long, env = "STORMHOOK_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub fleet: FleetOptions,
}

/// What an ingress runs with.
pub struct Settings {
    pub listen: SocketAddr,
    pub public_url: Option<Url>,
    pub secret: DeploymentSecret,
    pub api_keys: Vec<ApiKey>,
    pub nats: NatsOptions,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(
        "every ingress needs the deployment's secret, under which trigger URLs are made: give --secret-file, or write \
         secret_file into the configuration; make one with: head -c 32 /dev/urandom"
    )]
    NoSecret,
    #[error(transparent)]
    NoNats(#[from] NoNats),
}

impl Settings {
    /// Puts the settings together.
    pub fn load(arguments: Arguments) -> Result<Self, SettingsError> {
        let file = match &arguments.fleet.config {
            Some(path) => Configuration::read_without_projects(path)?,
            None => Configuration::default(),
        };
        let secret_file = arguments.secret_file.or(file.secret_file);
        if file.api_keys.is_empty() {
            tracing::warn!(
                "no [[api_keys]] are configured: triggers are taken, but nobody can manage receivers"
            );
        }
        Ok(Self {
            nats: arguments.fleet.nats(file.backbone)?,
            listen: arguments.listen.or(file.listen).unwrap_or(DEFAULT_LISTEN),
            public_url: arguments.public_url.or(file.public_url),
            secret: DeploymentSecret::read(&secret_file.ok_or(SettingsError::NoSecret)?)?,
            api_keys: file.api_keys,
        })
    }
}
