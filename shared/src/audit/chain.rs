//! The chain of hashes over the outcome log's entries: SHA-256 over number, previous hash and entry. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hash of an entry and, through it, of all entries before.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What stands before the first entry.
    pub const START: Self = Self([0; 32]);

    /// The hash of `entry`, the `number`th, behind `self`.
    #[must_use]
    pub fn extend(self, number: u64, entry: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(number.to_be_bytes())
            .chain_update(self.0)
            .chain_update(entry)
            .finalize();
        Self(digest.into())
    }

    /// The hash's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ChainHash> for String {
    fn from(hash: ChainHash) -> Self {
        hash.to_string()
    }
}

/// A text that is no hash of a chain.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a hash: 64 of 0-9 a-f")]
pub struct InvalidHash(String);

impl TryFrom<String> for ChainHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) if !text.contains(|c: char| c.is_ascii_uppercase()) => Ok(Self(bytes)),
            _ => Err(InvalidHash(text)),
        }
    }
}

impl FromStr for ChainHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        text.to_owned().try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_number_predecessor_and_entry() {
        let one = ChainHash::START.extend(1, b"a");
        assert_ne!(one, ChainHash::START.extend(2, b"a"));
        assert_ne!(one, ChainHash::START.extend(1, b"b"));
        assert_ne!(one.extend(2, b"b"), ChainHash::START.extend(2, b"b"));
        assert_eq!(one, ChainHash::START.extend(1, b"a"));
        assert_eq!(ChainHash::try_from(one.to_string()).unwrap(), one);
    }
}
