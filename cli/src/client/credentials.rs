//! Which server to speak to, and as whom: from the command line, the environment, or the file that
//! `stormhook up` leaves in its data folder.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use stormhook_shared::configuration::Secret;
use stormhook_shared::domain::ids::ProjectId;
use url::{Host, Url};

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
    /// What `options` say, completed by what `up` left. Its key goes to nobody but itself.
    pub fn find(options: &ServerOptions) -> Result<Self> {
        match (&options.access_key, &options.secret_key) {
            (Some(_), None) => {
                bail!("an access key is given without its secret key: give --secret-key, too")
            }
            (None, Some(_)) => {
                bail!("a secret key is given without its access key: give --access-key, too")
            }
            _ => {}
        }
        let folder = match &options.data_dir {
            Some(folder) => folder.clone(),
            None => data_folder::default_path("stormhook")?,
        };
        let path = folder.join(DataFolder::CREDENTIALS);
        let left = CredentialsFile::read(&path)?;
        let server = match (&options.server, &left) {
            (Some(server), _) => server.clone(),
            (None, Some(left)) => left.server.clone(),
            (None, None) => DEFAULT_SERVER.parse().context("the default server")?,
        };
        let own = left.as_ref().filter(|left| is_at(&server, &left.server));
        let nowhere = || match &left {
            Some(left) if own.is_none() => format!(
                "no key is given for {server}, and the one in {} is for {} alone; give --access-key and --secret-key",
                path.display(),
                left.server
            ),
            _ => format!(
                "no key is given, and {} has none; give --access-key and --secret-key, or --data-dir of `stormhook up`",
                path.display()
            ),
        };
        let access_key = options.access_key.clone();
        let secret_key = options.secret_key.clone();
        Ok(Self {
            access_key: access_key
                .or_else(|| own.map(|own| own.access_key.clone()))
                .with_context(nowhere)?,
            secret_key: secret_key
                .or_else(|| own.map(|own| own.secret_key.clone()))
                .map(Secret::new)
                .with_context(nowhere)?,
            project: match (&options.project, &left) {
                (Some(project), _) => project.clone(),
                (None, Some(left)) => left.project.clone(),
                (None, None) => DEFAULT_PROJECT.parse().context("the default project")?,
            },
            server,
        })
    }
}

/// Whether `server` is the one at `own`, an address of this machine.
fn is_at(server: &Url, own: &Url) -> bool {
    let is_host = match (ip_of(server), ip_of(own)) {
        // It listens at all of the machine's addresses, and this is surely one.
        (Some(ip), Some(own)) if own.is_unspecified() => ip == own || ip.is_loopback(),
        (Some(ip), Some(own)) => ip == own,
        _ => server.host() == own.host(),
    };
    is_host && server.port_or_known_default() == own.port_or_known_default()
}

fn ip_of(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(name) => (name == "localhost").then_some(Ipv4Addr::LOCALHOST.into()),
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_for_the_address_that_it_was_left_with() {
        for (server, own, expected) in [
            ("http://127.0.0.1:8085", "http://127.0.0.1:8085", true),
            ("http://localhost:8085/", "http://127.0.0.1:8085", true),
            ("http://127.0.0.1:8085", "http://0.0.0.0:8085", true),
            ("http://localhost:8085", "http://[::]:8085", true),
            ("http://127.0.0.1:8086", "http://127.0.0.1:8085", false),
            ("http://127.0.0.1", "http://127.0.0.1:8085", false),
            ("http://10.0.0.7:8085", "http://127.0.0.1:8085", false),
            ("http://10.0.0.7:8085", "http://0.0.0.0:8085", false),
            ("http://example.org:8085", "http://0.0.0.0:8085", false),
            ("http://localhost.org:8085", "http://127.0.0.1:8085", false),
        ] {
            let is_own = is_at(&server.parse().unwrap(), &own.parse().unwrap());
            assert_eq!(is_own, expected, "{server} and {own}");
        }
    }
}
