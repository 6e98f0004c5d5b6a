//! The trigger log: stream `STORMHOOK_TRIGGERS`, a subject a group.

use async_nats::HeaderMap;
use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::group_commit::GroupCommit;
use super::stream::{ALL, NAME, Stored, Stream, unavailable};
use crate::domain::group::{GroupKey, Partition, Partitions};
use crate::domain::ids::Sequence;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Logged, Trigger};
use crate::ports::Unavailable;
use crate::ports::trigger_log::{AppendError, Appended, DUPLICATE_WINDOW, Entry, TriggerLog};

/// What a message's headers take, beside its payload.
const HEADER_BYTES: usize = 512;
/// How many entries are read at once in search of the newest.
const PAGE: usize = 1_000;

pub(super) struct NatsTriggerLog {
    pub(super) stream: Stream,
    /// The same, over a connection that reads alone.
    pub(super) reading: Stream,
    pub(super) group_commit: GroupCommit,
    pub(super) keyed: Semaphore,
    pub(super) partitions: Partitions,
}

#[async_trait]
impl TriggerLog for NatsTriggerLog {
    async fn append(&self, trigger: Trigger) -> Result<Appended, AppendError> {
        let payload = trigger
            .encode()
            .map_err(|error| AppendError::Unstorable(error.to_string()))?;
        let most = self.stream.client.max_payload();
        if payload.len() + HEADER_BYTES > most {
            return Err(AppendError::Unstorable(format!(
                "with its head it has {} bytes, and the NATS server takes {most} (its max_payload)",
                payload.len()
            )));
        }
        let subject = self.subject(&trigger.group);
        if trigger.idempotency_key.is_some() {
            return self.append_keyed(&trigger, subject, payload.into()).await;
        }
        let sequence = self.group_commit.publish(subject, payload.into()).await?;
        Ok(Appended {
            sequence: Sequence(sequence),
            is_duplicate: false,
        })
    }

    async fn read(
        &self,
        partition: Partition,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let filter = filter(partition);
        let messages = self.reading.read(&filter, after.0, limit).await?;
        Ok(messages.iter().map(entry).collect())
    }

    async fn read_newest(
        &self,
        after: Sequence,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let mut last = match before {
            Sequence(u64::MAX) => self.reading.range().await?.last,
            Sequence(before) => before.saturating_sub(1),
        };
        let mut newest = Vec::new();
        // Nothing is missing in between, unless it was deleted by hand or is gone for its age.
        let mut window = limit as u64;
        while last > after.0 && newest.len() < limit {
            let from = last.saturating_sub(window).max(after.0);
            let found = self.read_window(from, last).await?;
            newest.extend(found.into_iter().rev());
            last = from;
            window = window.saturating_mul(4);
        }
        newest.truncate(limit);
        Ok(newest)
    }

    async fn read_group(
        &self,
        group: &GroupKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let subject = self.subject(group);
        let messages = self.reading.read(&subject, after.0, limit).await?;
        Ok(messages.iter().map(entry).collect())
    }

    async fn read_all(&self, after: Sequence, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        let messages = self.reading.read(ALL, after.0, limit).await?;
        Ok(messages.iter().map(entry).collect())
    }

    async fn newest(&self) -> Result<Sequence, Unavailable> {
        Ok(Sequence(self.reading.range().await?.last))
    }

    async fn wait_beyond_all(&self, after: Sequence) -> Result<(), Unavailable> {
        let any = usize::from(self.partitions.0.get());
        self.reading.next(ALL, any, after.0, 1).await.map(|_| ())
    }

    async fn wait_beyond(&self, partition: Partition, after: Sequence) -> Result<(), Unavailable> {
        self.next(partition, after, 1).await.map(|_| ())
    }

    async fn next(
        &self,
        partition: Partition,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let slot = usize::from(partition.0);
        let filter = filter(partition);
        let messages = self.reading.next(&filter, slot, after.0, limit).await?;
        Ok(messages.iter().map(entry).collect())
    }

    async fn get(&self, sequence: Sequence) -> Result<Option<Logged>, Unavailable> {
        let message = self.reading.get(sequence.0).await?;
        Ok(message.as_ref().map(entry).and_then(|entry| match entry {
            Entry::Trigger(logged) => Some(logged),
            Entry::Undecodable { .. } => None,
        }))
    }

    fn partitions(&self) -> Partitions {
        self.partitions
    }
}

impl NatsTriggerLog {
    fn subject(&self, group: &GroupKey) -> String {
        let hash = group.hash();
        let partition = self.partitions.of(hash);
        format!("stormhook.triggers.{partition}.{:016x}", hash.0)
    }

    /// Appends a trigger with an idempotency key by itself: one duplicate would make a whole batch fail.
    async fn append_keyed(
        &self,
        trigger: &Trigger,
        subject: String,
        payload: bytes::Bytes,
    ) -> Result<Appended, AppendError> {
        let _permit = self
            .keyed
            .try_acquire()
            .map_err(|_| Unavailable::Overloaded(NAME))?;
        let mut message_id = trigger.id.to_string();
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", message_id.as_str());
            let published = self
                .stream
                .publish(subject.clone(), headers, payload.clone());
            let ack = published.await.map_err(unavailable)?;
            let sequence = Sequence(ack.sequence);
            if !ack.is_duplicate {
                return Ok(Appended {
                    sequence,
                    is_duplicate: false,
                });
            }
            // The server's window may be longer than ours: what is older than ours is no duplicate.
            let is_too_old = self.get(sequence).await?.is_some_and(|first| {
                let age = trigger.accepted_at.since(first.trigger.accepted_at);
                age >= DUPLICATE_WINDOW
            });
            if !is_too_old {
                return Ok(Appended {
                    sequence,
                    is_duplicate: true,
                });
            }
            message_id = format!("{} after {sequence}", trigger.id);
        }
    }

    /// The entries after `after` up to `through`, of all partitions.
    async fn read_window(&self, mut after: u64, through: u64) -> Result<Vec<Entry>, Unavailable> {
        let mut entries = Vec::new();
        while after < through {
            let limit = usize::try_from(through - after).unwrap_or(PAGE).min(PAGE);
            let messages = self.reading.read(ALL, after, limit).await?;
            let Some(last) = messages.last() else { break };
            after = last.sequence;
            let within = messages
                .iter()
                .filter(|message| message.sequence <= through);
            entries.extend(within.map(entry));
        }
        Ok(entries)
    }
}

fn filter(partition: Partition) -> String {
    format!("stormhook.triggers.{partition}.*")
}

fn entry(message: &Stored) -> Entry {
    let sequence = Sequence(message.sequence);
    match Trigger::decode(&message.payload) {
        Ok(trigger) => Entry::Trigger(Logged { sequence, trigger }),
        Err(error) => Entry::Undecodable {
            sequence,
            found_at: Timestamp::now(),
            reason: format!("{NAME}: {error}"),
        },
    }
}
