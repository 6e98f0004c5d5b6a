//! The durable, ordered log of accepted triggers, split into partitions.

use std::time::Duration;

use async_trait::async_trait;

use super::Unavailable;
use crate::domain::group::{GroupKey, Partition, Partitions};
use crate::domain::ids::Sequence;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Logged, Trigger};

/// Where accepted triggers are kept, in order, for weeks. Reading never deletes.
#[async_trait]
pub trait TriggerLog: Send + Sync {
    /// Appends `trigger` and returns once it is durable. A trigger whose idempotency key was used on the same
    /// receiver within the window is not appended again: the first one's place is returned.
    async fn append(&self, trigger: Trigger) -> Result<Appended, AppendError>;

    /// At most `limit` entries of `partition` after `after`, in order.
    async fn read(
        &self,
        partition: Partition,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable>;

    /// At most `limit` entries after `after` and before `before`, of all partitions, the newest first.
    async fn read_newest(
        &self,
        after: Sequence,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable>;

    /// At most `limit` entries of `group` after `after`, in order.
    async fn read_group(
        &self,
        group: &GroupKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable>;

    /// At most `limit` entries after `after`, of all partitions, in order.
    async fn read_all(&self, after: Sequence, limit: usize) -> Result<Vec<Entry>, Unavailable>;

    /// The place of the newest entry of all partitions; 0 if there never was one.
    async fn newest(&self) -> Result<Sequence, Unavailable>;

    /// Returns when any partition has an entry after `after`, at once if one has it already.
    async fn wait_beyond_all(&self, after: Sequence) -> Result<(), Unavailable>;

    /// Returns when `partition` has an entry after `after`, at once if it has one already.
    async fn wait_beyond(&self, partition: Partition, after: Sequence) -> Result<(), Unavailable>;

    /// The trigger at `sequence`, if the log reaches back that far and what stands there is a trigger.
    async fn get(&self, sequence: Sequence) -> Result<Option<Logged>, Unavailable>;

    /// The next entries of `partition` after `after`, at most `limit` of them, once there are some.
    async fn next(
        &self,
        partition: Partition,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        self.wait_beyond(partition, after).await?;
        self.read(partition, after, limit).await
    }

    /// Over how many partitions the log is spread.
    fn partitions(&self) -> Partitions;
}

/// How long an idempotency key is remembered: ten minutes.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(600);

/// Where an appended trigger stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its place.
    pub sequence: Sequence,
    /// It stood there already, as the same key had been used before.
    pub is_duplicate: bool,
}

/// Why a trigger was not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// It may be tried again.
    #[error("append the trigger: {0}")]
    Unavailable(#[from] Unavailable),
    /// It can never be appended.
    #[error("the trigger cannot be stored: {0}")]
    Unstorable(String),
}

/// What stands at one place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are triggers")]
pub enum Entry {
    /// A trigger.
    Trigger(Logged),
    /// Bytes that this version cannot read.
    Undecodable {
        /// Their place.
        sequence: Sequence,
        /// When they were found.
        found_at: Timestamp,
        /// What is wrong with them.
        reason: String,
    },
}

impl Entry {
    /// When it was accepted, where that can be read.
    pub fn accepted_at(&self) -> Option<Timestamp> {
        match self {
            Self::Trigger(logged) => Some(logged.trigger.accepted_at),
            Self::Undecodable { .. } => None,
        }
    }

    /// Its place.
    pub fn sequence(&self) -> Sequence {
        match self {
            Self::Trigger(logged) => logged.sequence,
            Self::Undecodable { sequence, .. } => *sequence,
        }
    }
}
