//! What identifies a project, a receiver, a trigger, and a place in a log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::time::Timestamp;

/// A text that is no valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {expected}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    expected: &'static str,
}

/// Names a tenant: one platform connection and the receivers that act through it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectId(String);

impl ProjectId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
            return Err(InvalidId {
                what: "project id",
                text: text.chars().take(80).collect(),
                expected: "1 to 64 of A-Z a-z 0-9 _ . -",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ProjectId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ProjectId> for String {
    fn from(id: ProjectId) -> Self {
        id.0
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a receiver, for good: six bytes of creation time and six of randomness, 24 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReceiverId([u8; Self::BYTES]);

impl ReceiverId {
    /// Length in bytes.
    pub const BYTES: usize = 12;

    /// A new id, created at `now`, from the operating system's randomness.
    pub fn random(now: Timestamp) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::BYTES];
        bytes[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
        getrandom::fill(&mut bytes[6..])?;
        Ok(Self(bytes))
    }

    /// The id of the receiver that is made for the custom resource with this UID: always the same, so that whoever makes it
    /// again after a crash finds it.
    pub fn of_resource(project: &ProjectId, uid: &str) -> Self {
        let digest = Sha256::new()
            .chain_update("stormhook receiver resource 1\0")
            .chain_update(project.as_str())
            .chain_update("\0")
            .chain_update(uid)
            .finalize();
        let mut bytes = [0; Self::BYTES];
        bytes.copy_from_slice(&digest[..Self::BYTES]);
        Self(bytes)
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl FromStr for ReceiverId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId {
            what: "receiver id",
            text: text.chars().take(80).collect(),
            expected: "24 hex digits",
        })?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ReceiverId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ReceiverId> for String {
    fn from(id: ReceiverId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ReceiverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ReceiverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a trigger. Derived from receiver and idempotency key where the caller gave one, so that the same
/// request has the same id on every ingress; else time-ordered and random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TriggerId(Uuid);

impl TriggerId {
    /// A new id that sorts by time.
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of the trigger that `key` names on `receiver`.
    pub fn derived(receiver: ReceiverId, key: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(b"stormhook trigger id\0")
            .chain_update(receiver.as_bytes())
            .chain_update(key.as_bytes())
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Uuid::new_v8(bytes))
    }

    /// The id of the part that the service with this id has in the trigger `parent` of `receiver`.
    pub fn child(receiver: ReceiverId, parent: Self, service_id: &str) -> Self {
        Self::derived(receiver, &Self::child_key(parent, service_id))
    }

    /// The idempotency key of that part.
    pub fn child_key(parent: Self, service_id: &str) -> String {
        format!("child of {parent} for {service_id}")
    }

    /// The id under which an entry that cannot be read is recorded.
    pub fn of_undecodable(sequence: Sequence) -> Self {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&sequence.0.to_be_bytes());
        Self(Uuid::new_v8(bytes))
    }

    /// The id's 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for TriggerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidId {
            what: "trigger id",
            text: text.chars().take(80).collect(),
            expected: "a UUID",
        })
    }
}

impl fmt::Display for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A position in the trigger log: 1 is the first trigger, 0 is before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A position in the ledger or in the registry's changes: 1 is the first entry, 0 is before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_on_the_same_receiver_names_the_same_trigger() {
        let one = ReceiverId::from_bytes([1; 12]);
        let two = ReceiverId::from_bytes([2; 12]);
        assert_eq!(TriggerId::derived(one, "a"), TriggerId::derived(one, "a"));
        assert_ne!(TriggerId::derived(one, "a"), TriggerId::derived(one, "b"));
        assert_ne!(TriggerId::derived(one, "a"), TriggerId::derived(two, "a"));
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let receiver = ReceiverId::random(Timestamp::from_millis(1_700_000_000_000)).unwrap();
        assert_eq!(
            receiver.to_string().parse::<ReceiverId>().unwrap(),
            receiver
        );
        let trigger = TriggerId::random();
        assert_eq!(trigger.to_string().parse::<TriggerId>().unwrap(), trigger);
        assert!("1a5".parse::<ProjectId>().is_ok());
        for wrong in ["", "a/b", "a b", &"x".repeat(65)] {
            assert!(wrong.parse::<ProjectId>().is_err(), "{wrong}");
        }
    }
}
