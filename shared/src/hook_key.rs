//! Trigger URLs' keys: receiver id ‖ version ‖ MAC, so that garbage is refused without a look-up.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::ids::{ProjectId, ReceiverId};
use crate::domain::receiver::Receiver;

/// How much of the HMAC a key carries: 160 bits.
const MAC_BYTES: usize = 20;
const HEAD_BYTES: usize = ReceiverId::BYTES + 4;
const LABEL: &[u8] = b"stormhook hook key 1\0";

/// What all keys of a deployment are made under.
#[derive(Clone)]
pub struct DeploymentSecret(Vec<u8>);

/// Why there is no secret in a file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("read the deployment's secret from {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too short to be one.
    #[error(
        "a deployment's secret needs {} random bytes or more, but the one in {path} has {found}; make one with: \
         head -c 32 /dev/urandom",
        DeploymentSecret::LEAST_BYTES
    )]
    TooShort {
        /// Where it stands.
        path: PathBuf,
        /// Its length in bytes.
        found: usize,
    },
}

impl DeploymentSecret {
    /// The least length in bytes.
    pub const LEAST_BYTES: usize = 32;

    /// The secret that the file at `path` holds.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let bytes = std::fs::read(path).map_err(|source| SecretError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let found = bytes.len();
        Self::new(bytes).ok_or_else(|| SecretError::TooShort {
            path: path.to_owned(),
            found,
        })
    }

    /// The secret that these bytes are; `None` if they are too few.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= Self::LEAST_BYTES).then_some(Self(bytes))
    }

    /// A MAC under this secret. Whoever uses it begins with a label of its own.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("HMAC takes keys of any length")
    }
}

impl fmt::Debug for DeploymentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeploymentSecret(…)")
    }
}

/// Makes and checks keys.
#[derive(Clone)]
pub struct HookKeys {
    mac: Hmac<Sha256>,
}

impl HookKeys {
    /// Keys under `secret`.
    pub fn new(secret: &DeploymentSecret) -> Self {
        Self { mac: secret.mac() }
    }

    /// The key of `version` of a receiver's URL: 48 URL-safe characters.
    pub fn key(&self, project: &ProjectId, receiver: ReceiverId, version: NonZeroU32) -> String {
        let mut bytes = [0; HEAD_BYTES + MAC_BYTES];
        bytes[..ReceiverId::BYTES].copy_from_slice(receiver.as_bytes());
        bytes[ReceiverId::BYTES..HEAD_BYTES].copy_from_slice(&version.get().to_be_bytes());
        let (head, mac) = bytes.split_at_mut(HEAD_BYTES);
        mac.copy_from_slice(&self.sign(project, head).finalize().into_bytes()[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The present trigger URL of `receiver`, beginning with `base`.
    pub fn url(&self, base: &str, receiver: &Receiver) -> String {
        let Receiver { project, id, .. } = receiver;
        let key = self.key(project, *id, receiver.keys.current);
        let base = base.trim_end_matches('/');
        format!("{base}/v1-webhooks/endpoint?key={key}&projectId={project}")
    }

    /// What `key` names, if it was made here for `project`. Takes the same time whichever part of the MAC is wrong.
    pub fn verify(&self, project: &ProjectId, key: &str) -> Option<(ReceiverId, NonZeroU32)> {
        let mut bytes = [0; HEAD_BYTES + MAC_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(key, &mut bytes).ok()?;
        let bytes = bytes.get(..length)?;
        let (head, mac) = bytes.split_at_checked(HEAD_BYTES)?;
        if mac.len() != MAC_BYTES {
            return None;
        }
        self.sign(project, head).verify_truncated_left(mac).ok()?;
        let (receiver, version) = head.split_first_chunk()?;
        let version = u32::from_be_bytes(version.try_into().ok()?);
        Some((ReceiverId::from_bytes(*receiver), NonZeroU32::new(version)?))
    }

    fn sign(&self, project: &ProjectId, head: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(LABEL);
        mac.update(head);
        mac.update(project.as_str().as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(secret: u8) -> HookKeys {
        HookKeys::new(&DeploymentSecret::new(vec![secret; 32]).unwrap())
    }

    proptest! {
        #[test]
        fn only_the_unchanged_key_of_the_same_project_and_secret_is_valid(
            id in any::<[u8; 12]>(), version in 1_u32.., at in 0_usize..48, other in "[A-Za-z0-9_-]",
        ) {
            let receiver = ReceiverId::from_bytes(id);
            let version = NonZeroU32::new(version).unwrap();
            let project: ProjectId = "1a5".parse().unwrap();
            let key = keys(1).key(&project, receiver, version);
            prop_assert_eq!(key.len(), 48);
            prop_assert_eq!(keys(1).verify(&project, &key), Some((receiver, version)));
            prop_assert_eq!(keys(2).verify(&project, &key), None);
            prop_assert_eq!(keys(1).verify(&"1a6".parse().unwrap(), &key), None);
            prop_assert_eq!(keys(1).verify(&project, &key[..47]), None);
            let mut changed = key.clone();
            changed.replace_range(at..=at, &other);
            prop_assert_eq!(keys(1).verify(&project, &changed).is_some(), changed == key);
        }

        #[test]
        fn garbage_is_no_key(text in ".{0,80}") {
            prop_assert_eq!(keys(1).verify(&"1a5".parse().unwrap(), &text), None);
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, [1; 31]).unwrap();
        let error = DeploymentSecret::read(&path).unwrap_err().to_string();
        assert!(error.contains("31"), "{error}");
        std::fs::write(&path, [1; 32]).unwrap();
        DeploymentSecret::read(&path).unwrap();
    }
}
