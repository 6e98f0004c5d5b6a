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

    /// The last record of `group` and its place.
    async fn last(&self, group: &GroupKey) -> Result<Option<(Revision, Record)>, LedgerError>;

    /// At most `limit` records after `after`, of all groups, in order.
    async fn read(
        &self,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Record)>, LedgerError>;

    /// Returns when there is a record after `after`, at once if there is one already.
    async fn wait_beyond(&self, after: Revision) -> Result<(), Unavailable>;
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
    /// A stored record cannot be read by this version.
    #[error("the ledger's record {revision} cannot be read: {reason}")]
    Undecodable {
        /// Its place.
        revision: Revision,
        /// What is wrong with it.
        reason: String,
    },
}
