//! The trigger log's tables.

use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use redb::ReadableTable;

use super::database::down;
use super::tables::TRIGGERS;
use super::{NAME, Shared};
use crate::domain::group::{GroupHash, GroupKey, Partition, Partitions};
use crate::domain::ids::Sequence;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Logged, Trigger};
use crate::ports::Unavailable;
use crate::ports::trigger_log::{AppendError, Appended, Entry, TriggerLog};

/// What stands before the encoded trigger: its group's hash.
const HASH_BYTES: usize = 8;

pub(super) struct EmbeddedTriggerLog(pub(super) Arc<Shared>);

#[async_trait]
impl TriggerLog for EmbeddedTriggerLog {
    async fn append(&self, trigger: Trigger) -> Result<Appended, AppendError> {
        let group = trigger.group.hash();
        let partition = self.partitions().of(group);
        let mut value = group.0.to_be_bytes().to_vec();
        let encoded = trigger
            .encode()
            .map_err(|error| AppendError::Unstorable(error.to_string()))?;
        value.extend_from_slice(&encoded);
        let id = u128::from_be_bytes(*trigger.id.as_bytes());
        let window = self.0.options.duplicate_window;
        let is_keyed = trigger.idempotency_key.is_some();
        let accepted_at = trigger.accepted_at;
        self.0
            .writer
            .write(&self.0.options, move |batch| {
                if is_keyed {
                    let earlier = batch.trigger_ids.get(id)?.map(|place| place.value());
                    if let Some(place) = earlier
                        && let Some(first) = batch.triggers.get(place)?
                        && let Ok(first) = decode(first.value())
                        && accepted_at.since(first.accepted_at) < window
                    {
                        return Ok(Ok(Appended {
                            sequence: Sequence(place.1),
                            is_duplicate: true,
                        }));
                    }
                }
                batch.counters.sequence += 1;
                let sequence = batch.counters.sequence;
                let place = (partition.0, sequence);
                batch.triggers.insert(place, value.as_slice())?;
                batch.trigger_ids.insert(id, place)?;
                batch.appended.push((partition, Sequence(sequence)));
                Ok(Ok(Appended {
                    sequence: Sequence(sequence),
                    is_duplicate: false,
                }))
            })
            .await
    }

    async fn read(
        &self,
        partition: Partition,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        self.0
            .database
            .read(move |transaction| {
                let triggers = transaction.open_table(TRIGGERS)?;
                let range = (partition.0, after.0.saturating_add(1))..=(partition.0, u64::MAX);
                let mut entries = Vec::new();
                for item in triggers.range(range)?.take(limit) {
                    let (place, value) = item?;
                    entries.push(entry(place.value().1, value.value()));
                }
                Ok(entries)
            })
            .await
    }

    async fn read_newest(
        &self,
        after: Sequence,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let partitions = self.partitions();
        let first = after.0.saturating_add(1);
        if before.0 <= first {
            return Ok(Vec::new());
        }
        self.0
            .database
            .read(move |transaction| {
                let triggers = transaction.open_table(TRIGGERS)?;
                let mut entries = Vec::new();
                for partition in partitions.iter() {
                    let range = (partition.0, first)..(partition.0, before.0);
                    for item in triggers.range(range)?.rev().take(limit) {
                        let (place, value) = item?;
                        entries.push(entry(place.value().1, value.value()));
                    }
                }
                entries.sort_by_key(|entry| Reverse(entry.sequence()));
                entries.truncate(limit);
                Ok(entries)
            })
            .await
    }

    async fn read_group(
        &self,
        group: &GroupKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let hash = group.hash();
        let partition = self.partitions().of(hash);
        self.0
            .database
            .read(move |transaction| {
                let triggers = transaction.open_table(TRIGGERS)?;
                let range = (partition.0, after.0.saturating_add(1))..=(partition.0, u64::MAX);
                let mut entries = Vec::new();
                for item in triggers.range(range)? {
                    let (place, value) = item?;
                    if is_of(hash, value.value()) {
                        entries.push(entry(place.value().1, value.value()));
                        if entries.len() == limit {
                            break;
                        }
                    }
                }
                Ok(entries)
            })
            .await
    }

    async fn read_all(&self, after: Sequence, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        let partitions = self.partitions();
        self.0
            .database
            .read(move |transaction| {
                let triggers = transaction.open_table(TRIGGERS)?;
                let mut entries = Vec::new();
                for partition in partitions.iter() {
                    let range = (partition.0, after.0.saturating_add(1))..=(partition.0, u64::MAX);
                    for item in triggers.range(range)?.take(limit) {
                        let (place, value) = item?;
                        entries.push(entry(place.value().1, value.value()));
                    }
                }
                entries.sort_by_key(Entry::sequence);
                entries.truncate(limit);
                Ok(entries)
            })
            .await
    }

    async fn newest(&self) -> Result<Sequence, Unavailable> {
        Ok(*self.0.writer.newest.borrow())
    }

    async fn wait_beyond_all(&self, after: Sequence) -> Result<(), Unavailable> {
        let mut newest = self.0.writer.newest.clone();
        newest
            .wait_for(|last| *last > after)
            .await
            .map(|_| ())
            .map_err(|_| down("it is closed"))
    }

    async fn wait_beyond(&self, partition: Partition, after: Sequence) -> Result<(), Unavailable> {
        let sequences = self.0.writer.sequences.get(usize::from(partition.0));
        let mut sequence = sequences
            .ok_or_else(|| down(format!("it has no partition {partition}")))?
            .clone();
        // Nothing was appended since the start: what was there before is only found by looking.
        if *sequence.borrow() == Sequence(0) && !self.read(partition, after, 1).await?.is_empty() {
            return Ok(());
        }
        sequence
            .wait_for(|last| *last > after)
            .await
            .map(|_| ())
            .map_err(|_| down("it is closed"))
    }

    async fn get(&self, sequence: Sequence) -> Result<Option<Logged>, Unavailable> {
        let partitions = self.partitions();
        self.0
            .database
            .read(move |transaction| {
                let triggers = transaction.open_table(TRIGGERS)?;
                for partition in partitions.iter() {
                    if let Some(value) = triggers.get((partition.0, sequence.0))? {
                        return Ok(match entry(sequence.0, value.value()) {
                            Entry::Trigger(logged) => Some(logged),
                            Entry::Undecodable { .. } => None,
                        });
                    }
                }
                Ok(None)
            })
            .await
    }

    fn partitions(&self) -> Partitions {
        self.0.options.partitions
    }
}

fn is_of(group: GroupHash, value: &[u8]) -> bool {
    value.get(..HASH_BYTES) == Some(&group.0.to_be_bytes())
}

fn decode(value: &[u8]) -> Result<Trigger, String> {
    let encoded = value.get(HASH_BYTES..).ok_or("the entry is cut off")?;
    Trigger::decode(encoded).map_err(|error| error.to_string())
}

fn entry(sequence: u64, value: &[u8]) -> Entry {
    let sequence = Sequence(sequence);
    match decode(value) {
        Ok(trigger) => Entry::Trigger(Logged { sequence, trigger }),
        Err(reason) => Entry::Undecodable {
            sequence,
            found_at: Timestamp::now(),
            reason: format!("{NAME}: {reason}"),
        },
    }
}
