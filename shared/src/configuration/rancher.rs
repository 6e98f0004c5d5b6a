//! How a Cattle server is reached.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::secret::{Secret, read_secret};
use super::{Border, ConfigurationError};

const EXPECTED: &str = "a URL like https://rancher.example.org/v2-beta";

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
pub(super) struct RancherFile {
    url: Option<String>,
    access_key: Option<String>,
    secret_key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

impl RancherFile {
    pub(super) fn check(
        self,
        border: &Border<'_>,
        key: &str,
    ) -> Result<RancherConfiguration, ConfigurationError> {
        let url_key = format!("{key}.url");
        let url: Url = border
            .parse(&url_key, self.url, EXPECTED)?
            .ok_or_else(|| border.invalid(&url_key, format!("is missing: {EXPECTED}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(border.invalid(&url_key, format!("{url} is not {EXPECTED}")));
        }
        if self.access_key.is_some() != self.secret_key_file.is_some() {
            let reason = "access_key and secret_key_file go together";
            return Err(border.invalid(key, reason));
        }
        let secret_key = self
            .secret_key_file
            .map(|path| read_secret(&border.path(&path)))
            .transpose()?;
        Ok(RancherConfiguration {
            url,
            access_key: self.access_key,
            secret_key,
            ca_file: self.ca_file.map(|path| border.path(&path)),
        })
    }
}
