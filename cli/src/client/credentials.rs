//! Which server to speak to, and as whom: from the command line, the environment, or the file that
//! `stormhook up` leaves in its data folder.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use stormhook_shared::configuration::Secret;
use stormhook_shared::domain::ids::ProjectId;
use url::Url;

use crate::arguments::ServerOptions;
use stormhook_shared::program::data_folder::{self, DataFolder};

const DEFAULT_SERVER: &str = "http://127.0.0.1:8085";
const DEFAULT_PROJECT: &str = "1a5";

/// A server, a project on it, and a key.
pub struct Credentials {
    pub server: Url,
    pub project: ProjectId,
    pub access_key: String,
    pub secret_key: Secret,
}

/// What `up` leaves for the other commands.
#[derive(Serialize, Deserialize)]
pub struct CredentialsFile {
    pub server: Url,
    pub project: ProjectId,
    pub access_key: String,
    pub secret_key: String,
}

impl CredentialsFile {
    /// What stands in the file at `path`, if there is one.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{} is damaged; delete it, and the next `stormhook up` makes a new admin key",
                    path.display()
                )
            })?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
}

impl Credentials {
    /// What `options` say, completed by what `up` left.
    pub fn find(options: &ServerOptions) -> Result<Self> {
        let folder = match &options.data_dir {
            Some(folder) => folder.clone(),
            None => data_folder::default_path("stormhook")?,
        };
        let path = folder.join(DataFolder::CREDENTIALS);
        let left = CredentialsFile::read(&path)?;
        let nowhere = || {
            format!(
                "no key is given, and {} has none; give --access-key and --secret-key, or --data-dir of `stormhook up`",
                path.display()
            )
        };
        Ok(Self {
            server: match (&options.server, &left) {
                (Some(server), _) => server.clone(),
                (None, Some(left)) => left.server.clone(),
                (None, None) => DEFAULT_SERVER.parse().context("the default server")?,
            },
            project: match (&options.project, &left) {
                (Some(project), _) => project.clone(),
                (None, Some(left)) => left.project.clone(),
                (None, None) => DEFAULT_PROJECT.parse().context("the default project")?,
            },
            access_key: options
                .access_key
                .clone()
                .or_else(|| left.as_ref().map(|left| left.access_key.clone()))
                .with_context(nowhere)?,
            secret_key: options
                .secret_key
                .clone()
                .or_else(|| left.map(|left| left.secret_key))
                .map(Secret::new)
                .with_context(nowhere)?,
        })
    }
}
