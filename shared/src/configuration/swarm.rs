//! How a Docker engine is reached that manages a swarm.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::{Border, ConfigurationError};

const EXPECTED: &str = "unix:///var/run/docker.sock or tcp://host:2376";
/// The port that Docker's engine listens on with TLS, and the one without.
const TLS_PORT: u16 = 2376;
const PLAIN_PORT: u16 = 2375;

/// How a Docker engine is reached that manages a swarm.
#[derive(Debug, Clone)]
pub struct SwarmConfiguration {
    /// Where it listens.
    pub endpoint: SwarmEndpoint,
    /// A Docker client's `config.json` with the credentials of registries.
    pub registry_config_file: Option<PathBuf>,
}

/// Where a Docker engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwarmEndpoint {
    /// On a Unix socket.
    Unix(PathBuf),
    /// On TCP.
    Tcp {
        /// Its host and port.
        authority: String,
        /// How both sides prove who they are; without, everything is in the clear.
        tls: Option<SwarmTls>,
    },
}

/// PEM files for mutual TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmTls {
    /// The authority that the engine's certificate is checked against, if it is not one of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to the engine, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwarmFile {
    url: Option<String>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    registry_config_file: Option<PathBuf>,
}

impl SwarmFile {
    pub(super) fn check(
        self,
        border: &Border<'_>,
        key: &str,
    ) -> Result<SwarmConfiguration, ConfigurationError> {
        let url_key = format!("{key}.url");
        let url: Url = border
            .parse(&url_key, self.url, EXPECTED)?
            .ok_or_else(|| border.invalid(&url_key, format!("is missing: {EXPECTED}")))?;
        let identity = match (self.cert_file, self.key_file) {
            (Some(cert), Some(key)) => Some((border.path(&cert), border.path(&key))),
            (None, None) => None,
            _ => return Err(border.invalid(key, "cert_file and key_file go together")),
        };
        let tls = SwarmTls {
            ca_file: self.ca_file.map(|path| border.path(&path)),
            identity,
        };
        let endpoint = endpoint(&url, tls).map_err(|reason| border.invalid(&url_key, reason))?;
        Ok(SwarmConfiguration {
            endpoint,
            registry_config_file: self.registry_config_file.map(|path| border.path(&path)),
        })
    }
}

/// Where `url` leads. TLS is used where a file for it is named, on Docker's port for it, and where the URL says https.
fn endpoint(url: &Url, tls: SwarmTls) -> Result<SwarmEndpoint, String> {
    let has_files = tls.ca_file.is_some() || tls.identity.is_some();
    match url.scheme() {
        "unix" if has_files => Err("a Unix socket takes no certificates".to_owned()),
        "unix" if url.host_str().is_none_or(str::is_empty) && url.path().len() > 1 => {
            Ok(SwarmEndpoint::Unix(Path::new(url.path()).to_owned()))
        }
        "tcp" | "http" | "https" => {
            let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
                return Err(format!("{url} names no host: write {EXPECTED}"));
            };
            let has_tls = has_files || url.scheme() == "https" || url.port() == Some(TLS_PORT);
            if has_files && url.scheme() == "http" {
                return Err("http:// takes no certificates: write tcp:// or https://".to_owned());
            }
            let default = if has_tls { TLS_PORT } else { PLAIN_PORT };
            Ok(SwarmEndpoint::Tcp {
                authority: format!("{host}:{}", url.port().unwrap_or(default)),
                tls: has_tls.then_some(tls),
            })
        }
        "ssh" => Err("ssh:// is not spoken here: forward the engine's socket \
             (ssh -NL /run/swarm.sock:/var/run/docker.sock HOST) and write unix:///run/swarm.sock"
            .to_owned()),
        _ => Err(format!("{url} is not {EXPECTED}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, has_ca: bool) -> Result<SwarmEndpoint, String> {
        let tls = SwarmTls {
            ca_file: has_ca.then(|| "ca.pem".into()),
            identity: None,
        };
        endpoint(&url.parse().unwrap(), tls)
    }

    #[test]
    fn each_way_to_an_engine_is_understood() {
        let socket = SwarmEndpoint::Unix("/var/run/docker.sock".into());
        assert_eq!(read("unix:///var/run/docker.sock", false), Ok(socket));
        for (url, has_ca, expected, has_tls) in [
            ("tcp://swarm:2375", false, "swarm:2375", false),
            ("tcp://swarm", false, "swarm:2375", false),
            ("tcp://swarm:2376", false, "swarm:2376", true),
            ("tcp://swarm", true, "swarm:2376", true),
            ("https://swarm:9000", false, "swarm:9000", true),
            ("tcp://[::1]:2376", true, "[::1]:2376", true),
        ] {
            let Ok(SwarmEndpoint::Tcp { authority, tls }) = read(url, has_ca) else {
                panic!("{url}")
            };
            assert_eq!((authority.as_str(), tls.is_some()), (expected, has_tls));
        }
    }

    #[test]
    fn what_leads_nowhere_is_told() {
        for (url, has_ca, says) in [
            ("unix://", false, "is not unix:///"),
            ("unix:///x.sock", true, "takes no certificates"),
            ("http://swarm", true, "takes no certificates"),
            ("ssh://swarm", false, "forward the engine's socket"),
            ("ftp://swarm", false, "is not unix:///"),
            ("tcp:///x", false, "names no host"),
        ] {
            let error = read(url, has_ca).unwrap_err();
            assert!(error.contains(says), "{url}: {error}");
        }
    }
}
