//! Credentials of registries, from a Docker client's `config.json`. It is read anew each time, as tokens change.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde_json::{Value, json};
use stormhook_shared::domain::push::registry_of;

/// Where credentials of registries are found.
pub(super) struct Registries {
    config_file: Option<PathBuf>,
}

impl Registries {
    pub(super) fn new(config_file: Option<PathBuf>) -> Self {
        Self { config_file }
    }

    /// Why the file cannot be used, if it cannot.
    pub(super) fn problem(&self) -> Option<(&Path, String)> {
        let path = self.config_file.as_deref()?;
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) => return Some((path, error.to_string())),
        };
        let config: Value = match serde_json::from_slice(&text) {
            Ok(config) => config,
            Err(error) => return Some((path, error.to_string())),
        };
        let has_helper = config["credsStore"].is_string() || config["credHelpers"].is_object();
        if has_helper && config["auths"].as_object().is_none_or(is_without_secrets) {
            let reason = "its credentials are kept by a helper program, which is not run here: \
                          log in with a configuration that has no credsStore";
            return Some((path, reason.to_owned()));
        }
        None
    }

    /// What the engine is told to pull `repository` with: the value of `X-Registry-Auth`.
    pub(super) async fn auth_for(&self, repository: &str) -> Option<String> {
        let path = self.config_file.as_ref()?;
        let text = match tokio::fs::read(path).await {
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read the registries' credentials");
                return None;
            }
        };
        let config: Value = serde_json::from_slice(&text).ok()?;
        auth(&config, &registry_of(repository))
    }
}

fn is_without_secrets(auths: &serde_json::Map<String, Value>) -> bool {
    auths
        .values()
        .all(|auth| auth["auth"].is_null() && auth["identitytoken"].is_null())
}

fn auth(config: &Value, registry: &str) -> Option<String> {
    let auths = config["auths"].as_object()?;
    let (address, entry) = auths
        .iter()
        .find(|(address, _)| registry_of(&format!("{}/x", host_of(address))) == registry)?;
    let told = if let Some(token) = entry["identitytoken"].as_str() {
        json!({"identitytoken": token, "serveraddress": address})
    } else {
        let both = BASE64_STANDARD.decode(entry["auth"].as_str()?).ok()?;
        let both = String::from_utf8(both).ok()?;
        let (username, password) = both.split_once(':')?;
        json!({"username": username, "password": password, "serveraddress": address})
    };
    Some(BASE64_URL_SAFE.encode(told.to_string()))
}

/// The host in an address like `https://index.docker.io/v1/` or `ghcr.io`.
fn host_of(address: &str) -> &str {
    let bare = address
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_gets_its_own_credentials() {
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": BASE64_STANDARD.encode("me:s3:cret")},
            "ghcr.io": {"identitytoken": "t0ken"},
            "r.example.org:5000": {},
        }});
        let told = |registry| {
            let text = auth(&config, registry)?;
            let json = BASE64_URL_SAFE.decode(text).unwrap();
            Some(serde_json::from_slice::<Value>(&json).unwrap())
        };
        let hub = told("docker.io").unwrap();
        assert_eq!(
            (&hub["username"], &hub["password"]),
            (&json!("me"), &json!("s3:cret"))
        );
        assert_eq!(told("ghcr.io").unwrap()["identitytoken"], "t0ken");
        assert_eq!(told("r.example.org:5000"), None);
        assert_eq!(told("quay.io"), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let problem = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Registries::new(Some(path.clone()))
                .problem()
                .map(|(_, reason)| reason)
        };
        assert!(problem("no json").is_some());
        let helper = problem(r#"{"auths": {"ghcr.io": {}}, "credsStore": "desktop"}"#);
        assert!(helper.unwrap().contains("credsStore"));
        assert_eq!(
            problem(r#"{"auths": {"ghcr.io": {"auth": "bWU6eA=="}}}"#),
            None
        );
        assert_eq!(Registries::new(None).problem(), None);
        assert!(Registries::new(Some("/nowhere".into())).problem().is_some());
    }
}
