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
        if self.url.as_deref().is_some_and(holds_credentials) {
            let reason =
                "it must not hold credentials: put them into access_key and secret_key_file";
            return Err(border.invalid(&url_key, reason));
        }
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

/// Whether `url` says who calls, like `https://key:secret@host`.
fn holds_credentials(url: &str) -> bool {
    match url.parse::<Url>() {
        Ok(url) if url.has_authority() => !url.username().is_empty() || url.password().is_some(),
        // It is told that this is none of Rancher's, and what may be a key must not be shown then.
        _ => url.contains('@'),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(url: &str) -> Result<RancherConfiguration, String> {
        let file: RancherFile = toml::from_str(&format!("url = \"{url}\"")).unwrap();
        let border = Border {
            path: Path::new("stormhook.toml"),
        };
        file.check(&border, "projects.1a5")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn credentials_in_the_url_are_refused_and_not_shown() {
        for url in [
            "https://ops:s3cret@rancher.example.org/v2-beta",
            "https://s3cret@rancher.example.org/v2-beta",
            "https://:s3cret@rancher.example.org/v2-beta",
            "ftp://ops:s3cret@rancher.example.org/v2-beta",
            "https://ops:s3cret@rancher.example.org:port/v2-beta",
            "ops:s3cret@rancher.example.org/v2-beta",
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains("projects.1a5.url"), "{error}");
            assert!(error.contains("secret_key_file"), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        read("https://rancher.example.org/v2-beta/@home").unwrap();
    }
}
