//! Leases spread partitions over workers. They are not the fence (the ledger is): losing one costs time, not
//! correctness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Unavailable;
use crate::domain::group::Partition;

/// Who may work on which partition.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Tells the others that this process is there as `role`, for as long as a lease lasts.
    async fn announce(&self, role: Role) -> Result<(), Unavailable>;

    /// Tells the others that it leaves.
    async fn withdraw(&self, role: Role) -> Result<(), Unavailable>;

    /// Who is there, and who holds what.
    async fn census(&self) -> Result<Census, Unavailable>;

    /// Takes `partition`, if nobody holds it, or renews it if this process does: until when, or `None` if somebody
    /// else holds it.
    async fn acquire(&self, partition: Partition) -> Result<Option<LeaseEnd>, Unavailable>;

    /// Gives it back.
    async fn release(&self, partition: Partition) -> Result<(), Unavailable>;

    /// How long a lease lasts that is not renewed; `None` if all leases are for good.
    fn ttl(&self) -> Option<Duration>;
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes triggers in.
    Ingress,
    /// It acts on them.
    Worker,
}

/// Names a worker process.
pub type WorkerId = String;
/// Names an ingress process.
pub type IngressId = String;

/// Who is there, and who holds what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// This process.
    pub me: WorkerId,
    /// The workers that announced themselves.
    pub workers: BTreeSet<WorkerId>,
    /// The ingresses that did.
    pub ingresses: BTreeSet<IngressId>,
    /// The partitions that are held, with their holders.
    pub holders: BTreeMap<Partition, WorkerId>,
}

/// When a lease ends, on this machine's monotonic clock; `None`: never, as nobody else can take it.
pub type LeaseEnd = Option<Instant>;

/// The right to work on a partition for a while. Copies of it are prolonged together.
#[derive(Debug, Clone)]
pub struct Lease {
    partition: Partition,
    end: Arc<watch::Sender<LeaseEnd>>,
}

impl Lease {
    /// A lease of `partition` that ends at `end`, unless it is prolonged.
    pub fn new(partition: Partition, end: LeaseEnd) -> Self {
        Self {
            partition,
            end: Arc::new(watch::Sender::new(end)),
        }
    }

    /// Of which partition it is.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Moves its end to `end`. One that has ended stays so: somebody else may have had the partition meanwhile, and what
    /// is begun under this lease would be stale.
    pub fn prolong(&self, end: LeaseEnd) {
        let now = Instant::now();
        self.end.send_if_modified(|old| {
            let lasts = old.is_none_or(|old| now < old);
            if lasts {
                *old = end;
            }
            lasts
        });
    }

    /// Whether it has ended at `now`.
    pub fn is_over(&self, now: Instant) -> bool {
        !self.outlasts(Duration::ZERO, now)
    }

    /// Whether it lasts longer than a call that begins at `now` and may take `call`.
    pub fn outlasts(&self, call: Duration, now: Instant) -> bool {
        self.end.borrow().is_none_or(|end| now + call < end)
    }

    /// Returns once it was prolonged.
    pub async fn prolonged(&self) {
        let mut end = self.end.subscribe();
        // The sender lives in this lease.
        let _ = end.changed().await;
    }
}
