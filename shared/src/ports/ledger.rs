//! The append-only sequence of plans and outcomes, ordered per group, with compare-and-swap: the fence that
//! keeps two workers from planning for one group.

use async_trait::async_trait;

use super::Unavailable;
use crate::domain::group::GroupKey;
use crate::domain::ids::Revision;
use crate::domain::ledger::Record;

/// Where plans and outcomes are kept. The truth of which all outcome logs are copies.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Appends `record` and returns its place once it is durable, provided that the last record of its group
    /// stands at `expected` (0 for none).
    async fn append(&self, record: Record, expected: Revision) -> Result<Revision, LedgerError>;

    /// The last record of `group` that can be read, and the place of the last one there is.
    async fn last(&self, group: &GroupKey) -> Result<Option<(Revision, Record)>, LedgerError>;

    /// Whether the record at `revision` is the last of `group` for certain. What [`Ledger::last`] tells may be what was last
    /// a while ago, where the ledger has servers that may be behind.
    async fn is_last(&self, group: &GroupKey, revision: Revision) -> Result<bool, LedgerError> {
        let last = self.last(group).await?;
        Ok(last.is_some_and(|(last, _)| last == revision))
    }

    /// What stands at the next `limit` places after `after` at most, of all groups, in order.
    async fn read(&self, after: Revision, limit: usize) -> Result<Vec<Place>, LedgerError>;

    /// Which part of the ledger is kept: the place before the oldest record, and that of the newest.
    async fn reach(&self) -> Result<Reach, Unavailable>;

    /// Returns when there is a record after `after`, at once if there is one already.
    async fn wait_beyond(&self, after: Revision) -> Result<(), Unavailable>;
}

/// What stands at one place of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Where.
    pub revision: Revision,
    /// The record, or why it cannot be read.
    pub record: Result<Record, String>,
}

impl Place {
    /// What `bytes` say that stand at `revision`.
    pub fn decode(revision: Revision, bytes: &[u8]) -> Self {
        Self {
            revision,
            record: serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        }
    }
}

/// Which part of the ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Everything after this is there.
    pub after: Revision,
    /// The newest record's place; the same as `after` if there is none.
    pub through: Revision,
}

/// Why the ledger could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Somebody else has appended to the group.
    #[error("append to {group}: revision {expected} expected, {found} found")]
    Conflict {
        /// Whose record it was.
        group: GroupKey,
        /// What the caller had seen last.
        expected: Revision,
        /// What is there.
        found: Revision,
    },
    /// It may be tried again.
    #[error("use the ledger: {0}")]
    Unavailable(#[from] Unavailable),
}
