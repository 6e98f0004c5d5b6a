//! The leases: bucket `STORMHOOK_LEASES`, with a key a partition that the server removes when nobody renews it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::bucket::Bucket;
use super::stream::PublishError;
use crate::domain::group::Partition;
use crate::ports::Unavailable;
use crate::ports::leases::{Lease, Leases};

pub(super) struct NatsLeases {
    bucket: Bucket,
    holder: String,
    ttl: Duration,
    /// The leases that this process holds, with their revisions.
    held: Mutex<HashMap<Partition, u64>>,
}

impl NatsLeases {
    pub(super) fn new(bucket: Bucket, holder: String, ttl: Duration) -> Self {
        Self {
            bucket,
            holder,
            ttl,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Partition, u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The revision over which `partition` can be taken or renewed; `None` while somebody else holds it.
    async fn revision_to_replace(&self, partition: Partition) -> Result<Option<u64>, Unavailable> {
        if let Some(revision) = self.held().get(&partition).copied() {
            return Ok(Some(revision));
        }
        let there = self.bucket.get(&key(partition)).await?;
        let is_own = there.bytes.as_deref() == Some(self.holder.as_bytes());
        Ok((there.bytes.is_none() || is_own).then_some(there.revision))
    }
}

#[async_trait]
impl Leases for NatsLeases {
    async fn acquire(&self, partition: Partition) -> Result<Option<Lease>, Unavailable> {
        let Some(expected) = self.revision_to_replace(partition).await? else {
            return Ok(None);
        };
        // Counted from before the request: the server counts from when it has it.
        let sent_at = Instant::now();
        let holder = self.holder.clone().into_bytes();
        let key = key(partition);
        let stored = self
            .bucket
            .put(&key, holder, Some(expected), Some(self.ttl));
        match stored.await {
            Ok(revision) => {
                self.held().insert(partition, revision);
                Ok(Some(Lease {
                    partition,
                    until: Some(sent_at + self.ttl),
                }))
            }
            Err(PublishError::WrongLastSequence) => {
                self.held().remove(&partition);
                Ok(None)
            }
            Err(PublishError::Unavailable(error)) => Err(error),
        }
    }

    async fn release(&self, lease: Lease) -> Result<(), Unavailable> {
        let held = self.held().remove(&lease.partition);
        let Some(revision) = held else {
            return Ok(());
        };
        match self.bucket.delete(&key(lease.partition), revision).await {
            // Somebody else has it by now.
            Ok(_) | Err(PublishError::WrongLastSequence) => Ok(()),
            Err(PublishError::Unavailable(error)) => Err(error),
        }
    }
}

fn key(partition: Partition) -> String {
    format!("partition.{partition}")
}
