//! One platform connection a project: `[projects.<id>]`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::secret::{Secret, read_secret};
use super::{Border, ConfigurationError};

/// How many calls to a platform run at the same time, unless the file says otherwise.
const DEFAULT_MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");

/// A project and its platform connection.
#[derive(Debug, Clone)]
pub struct ProjectConfiguration {
    /// Its name, for people.
    pub name: Option<String>,
    /// What its triggers act upon.
    pub platform: PlatformConfiguration,
    /// How many calls run at the same time.
    pub max_in_flight: NonZeroUsize,
}

/// How a platform is reached.
#[derive(Debug, Clone)]
pub enum PlatformConfiguration {
    /// Rancher 1.6's Cattle API.
    Rancher(RancherConfiguration),
}

/// How a Cattle server is reached.
#[derive(Debug, Clone)]
pub struct RancherConfiguration {
    /// The API's base, up to and including its version.
    pub url: Url,
    /// The user name of HTTP Basic.
    pub access_key: Option<String>,
    /// The password of HTTP Basic.
    pub secret_key: Option<Secret>,
    /// A PEM file with the authority that the server's certificate is checked against, beside the system's.
    pub ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectFile {
    name: Option<String>,
    platform: String,
    url: Option<String>,
    access_key: Option<String>,
    secret_key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    max_in_flight: Option<NonZeroUsize>,
}

impl ProjectFile {
    pub(super) fn check(
        self,
        border: &Border<'_>,
        key: &str,
    ) -> Result<ProjectConfiguration, ConfigurationError> {
        if self.platform != "rancher" {
            let reason = format!(
                "{:?} is not a platform of this version: rancher",
                self.platform
            );
            return Err(border.invalid(&format!("{key}.platform"), reason));
        }
        let expected = "a URL like https://rancher.example.org/v2-beta";
        let url_key = format!("{key}.url");
        let url: Url = border
            .parse(&url_key, self.url, expected)?
            .ok_or_else(|| border.invalid(&url_key, format!("is missing: {expected}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(border.invalid(&url_key, format!("{url} is not {expected}")));
        }
        if self.access_key.is_some() != self.secret_key_file.is_some() {
            let reason = "access_key and secret_key_file go together";
            return Err(border.invalid(key, reason));
        }
        let secret_key = self
            .secret_key_file
            .map(|path| read_secret(&border.path(&path)))
            .transpose()?;
        Ok(ProjectConfiguration {
            name: self.name,
            platform: PlatformConfiguration::Rancher(RancherConfiguration {
                url,
                access_key: self.access_key,
                secret_key,
                ca_file: self.ca_file.map(|path| border.path(&path)),
            }),
            max_in_flight: self.max_in_flight.unwrap_or(DEFAULT_MAX_IN_FLIGHT),
        })
    }
}
