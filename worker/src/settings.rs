//! What `stormhook-worker` runs with: the command line over the environment over the configuration file.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use stormhook_shared::audit::head::{SigningKey, SigningKeyError};
use stormhook_shared::configuration::{
    Configuration, ConfigurationError, ProjectConfiguration, Retention,
};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::hook_key::{DeploymentSecret, SecretError};
use stormhook_shared::nats::NatsOptions;
use stormhook_shared::program::data_folder::{DataFolder, DataFolderError, default_path};
use stormhook_shared::program::fleet_options::{FleetOptions, NoNats};
use stormhook_worker::ReceiverResources;
use url::Url;

const DEFAULT_PROBE_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8087);

/// Reads triggers from NATS, decides, acts on platforms and records outcomes.
#[derive(Parser)]
#[command(name = "stormhook-worker", version, max_term_width = 100)]
pub struct Arguments {
    /// Where the data is kept, of this worker alone [default: the user's data folder]
    #[arg(long, env = "STORMHOOK_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are answered [default: 127.0.0.1:8087]
    #[arg(long, env = "STORMHOOK_PROBE_LISTEN", value_name = "ADDRESS")]
    probe_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub fleet: FleetOptions,
}

/// What a worker runs with.
pub struct Settings {
    pub probe_listen: SocketAddr,
    pub folder: DataFolder,
    pub projects: BTreeMap<ProjectId, ProjectConfiguration>,
    pub nats: NatsOptions,
    pub signing_key: Option<SigningKey>,
    pub retention: Retention,
    pub secret: Option<DeploymentSecret>,
    pub public_url: Option<Url>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(
        "a worker acts on platforms: name the configuration with --config, and at least one [projects.<id>] in it"
    )]
    NoProject,
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    NoNats(#[from] NoNats),
}

impl Settings {
    /// Puts the settings together, and takes the data folder for this process.
    pub fn load(arguments: Arguments) -> Result<Self, SettingsError> {
        let file = match &arguments.fleet.config {
            Some(path) => Configuration::read(path)?,
            None => Configuration::default(),
        };
        if file.projects.is_empty() {
            return Err(SettingsError::NoProject);
        }
        // The key of its own, or the one that belongs to the secret that the ingresses have.
        // A worker whose heads are signed with another key, and that makes no URLs, need not have the ingresses' secret.
        let is_secret_needed =
            file.signing_key_file.is_none() || ReceiverResources::are_wanted(&file.projects);
        let secret_file = file.secret_file.as_deref().filter(|_| is_secret_needed);
        let secret = secret_file.map(DeploymentSecret::read).transpose()?;
        let signing_key = match &file.signing_key_file {
            Some(path) => Some(SigningKey::read(path)?),
            None => secret.as_ref().map(SigningKey::derived),
        };
        let nats = arguments.fleet.nats(file.backbone)?;
        let path = match arguments.data_dir.or(file.data_dir) {
            Some(path) => path,
            None => default_path("stormhook-worker")?,
        };
        Ok(Self {
            probe_listen: arguments
                .probe_listen
                .or(file.probe_listen)
                .unwrap_or(DEFAULT_PROBE_LISTEN),
            folder: DataFolder::take(&path)?,
            projects: file.projects,
            nats,
            signing_key,
            retention: file.retention,
            secret,
            public_url: file.public_url,
        })
    }
}
