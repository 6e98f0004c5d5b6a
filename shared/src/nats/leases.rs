//! The leases: bucket `STORMHOOK_LEASES`, with a key a partition, a key a worker and a key an ingress, which the server
//! removes when nobody renews them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::bucket::{self, Bucket};
use super::stream::{PublishError, unavailable};
use crate::domain::group::Partition;
use crate::ports::Unavailable;
use crate::ports::leases::{Census, LeaseEnd, Leases, Role};

/// What the keys of processes begin with.
const INGRESS: &str = "ingress";
const WORKER: &str = "worker";
/// More processes and partitions than there are.
const MOST_KEYS: usize = 100_000;

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
    async fn announce(&self, role: Role) -> Result<(), Unavailable> {
        let key = process_key(role, &self.holder);
        let stored = self.bucket.put(&key, Vec::new(), None, Some(self.ttl));
        stored.await.map(|_| ()).map_err(unavailable)
    }

    async fn withdraw(&self, role: Role) -> Result<(), Unavailable> {
        let key = process_key(role, &self.holder);
        let there = self.bucket.get(&key).await?;
        let deleted = self.bucket.delete(&key, there.revision);
        deleted.await.map(|_| ()).map_err(unavailable)
    }

    async fn census(&self) -> Result<Census, Unavailable> {
        let filter = self.bucket.subject("*.*");
        let entries = self.bucket.stream.read(&filter, 0, MOST_KEYS).await?;
        let mut census = Census {
            me: self.holder.clone(),
            ..Census::default()
        };
        for entry in entries.iter().filter(|entry| !bucket::is_deleted(entry)) {
            let subject = entry.headers.get_last("Nats-Subject");
            let mut tokens = subject.map_or("", |subject| subject.as_str()).rsplit('.');
            match (tokens.next(), tokens.next()) {
                (Some(id), Some(WORKER)) => {
                    census.workers.insert(id.to_owned());
                }
                (Some(id), Some(INGRESS)) => {
                    census.ingresses.insert(id.to_owned());
                }
                (Some(number), Some("partition")) => {
                    if let Ok(number) = number.parse() {
                        let holder = String::from_utf8_lossy(&entry.payload).into_owned();
                        census.holders.insert(Partition(number), holder);
                    }
                }
                _ => {}
            }
        }
        Ok(census)
    }

    async fn acquire(&self, partition: Partition) -> Result<Option<LeaseEnd>, Unavailable> {
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
                Ok(Some(Some(sent_at + self.ttl)))
            }
            Err(PublishError::WrongLastSequence) => {
                self.held().remove(&partition);
                Ok(None)
            }
            Err(PublishError::Unavailable(error)) => Err(error),
        }
    }

    async fn release(&self, partition: Partition) -> Result<(), Unavailable> {
        let held = self.held().remove(&partition);
        let Some(revision) = held else {
            return Ok(());
        };
        match self.bucket.delete(&key(partition), revision).await {
            // Somebody else has it by now.
            Ok(_) | Err(PublishError::WrongLastSequence) => Ok(()),
            Err(PublishError::Unavailable(error)) => Err(error),
        }
    }

    fn ttl(&self) -> Option<Duration> {
        Some(self.ttl)
    }
}

fn key(partition: Partition) -> String {
    format!("partition.{partition}")
}

fn process_key(role: Role, id: &str) -> String {
    let role = match role {
        Role::Ingress => INGRESS,
        Role::Worker => WORKER,
    };
    format!("{role}.{id}")
}
