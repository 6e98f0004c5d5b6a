//! The entries of the outcome log and the chain of hashes over them: SHA-256 over sequence, previous hash and
//! entry. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::Revision;
use stormhook_shared::domain::outcome::Outcome;
use stormhook_shared::ports::questions::PlanSummary;

/// One entry of the outcome log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LogEntry {
    /// A trigger came to its end.
    #[serde(rename_all = "camelCase")]
    Settled {
        /// Its group.
        group: GroupKey,
        /// The plan that it was part of, by its place in the ledger.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<Revision>,
        /// The ledger's record that says so, where calls of the platform led to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<Revision>,
        /// The final word.
        outcome: Outcome,
    },
    /// An action was decided on.
    Planned {
        /// Its group.
        group: GroupKey,
        /// What it does.
        plan: PlanSummary,
    },
    /// What was called to settle the triggers of a record of the ledger.
    Called {
        /// Their group.
        group: GroupKey,
        /// The record's place in the ledger.
        record: Revision,
        /// What was called.
        calls: Calls,
    },
    /// A plan was not performed, and its triggers were decided anew.
    Abandoned {
        /// Its group.
        group: GroupKey,
        /// Its place in the ledger.
        plan: Revision,
        /// Why.
        reason: String,
    },
}

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

impl TryFrom<String> for ChainHash {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
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
