//! Leases spread partitions over workers. They are not the fence (the ledger is): losing one costs time, not
//! correctness.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::Unavailable;
use crate::domain::group::Partition;

/// Who may work on which partition.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes `partition`, if nobody holds it, or renews it if this process does.
    async fn acquire(&self, partition: Partition) -> Result<Option<Lease>, Unavailable>;

    /// Gives it back.
    async fn release(&self, lease: Lease) -> Result<(), Unavailable>;
}

/// The right to work on a partition for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub partition: Partition,
    /// Until when, on this machine's monotonic clock; `None` if nobody else can take it.
    pub until: Option<Instant>,
}

impl Lease {
    /// Whether it lasts longer than a call that begins at `now` and may take `call`.
    pub fn outlasts(&self, call: Duration, now: Instant) -> bool {
        self.until.is_none_or(|until| now + call < until)
    }
}
