//! Pages of what waits, while triggers come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use stormhook_shared::domain::group::{GroupKey, Partition, Partitions};
use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::trigger::{Logged, Trigger};
use stormhook_shared::embedded::{Embedded, EmbeddedOptions};
use stormhook_shared::ports::questions::{HistoryQuery, Order};
use stormhook_shared::ports::trigger_log::{AppendError, Appended, Entry, TriggerLog};
use stormhook_shared::ports::{Backbone, Unavailable};
use stormhook_tests::contract::trigger_log::append;
use tokio::sync::Notify;

use super::super::history::maybe_waiting;

/// A log to which two triggers are appended as soon as one partition was read to its end: one to that partition, the later
/// one to another, which is read afterwards.
struct Growing {
    backbone: Backbone,
    has_grown: AtomicBool,
    grown: Notify,
}

impl Growing {
    async fn read_before_others(
        &self,
        partition: Partition,
        read: impl Future<Output = Result<Vec<Entry>, Unavailable>>,
    ) -> Result<Vec<Entry>, Unavailable> {
        if partition != self.partition_of("a") {
            let grown = self.grown.notified();
            if !self.has_grown.load(Ordering::SeqCst) {
                grown.await;
            }
            return read.await;
        }
        let read = read.await?;
        if read.is_empty() && !self.has_grown.load(Ordering::SeqCst) {
            append(&self.backbone, "a", None).await;
            append(&self.backbone, "c", None).await;
            self.has_grown.store(true, Ordering::SeqCst);
            self.grown.notify_waiters();
        }
        Ok(read)
    }

    fn partition_of(&self, group: &str) -> Partition {
        self.partitions().of(GroupKey::named(group).hash())
    }
}

#[async_trait]
impl TriggerLog for Growing {
    async fn append(&self, trigger: Trigger) -> Result<Appended, AppendError> {
        self.backbone.triggers.append(trigger).await
    }

    async fn read(
        &self,
        partition: Partition,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let read = self.backbone.triggers.read(partition, after, limit);
        self.read_before_others(partition, read).await
    }

    async fn read_newest(
        &self,
        partition: Partition,
        after: Sequence,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        let log = &self.backbone.triggers;
        let read = log.read_newest(partition, after, before, limit);
        self.read_before_others(partition, read).await
    }

    async fn read_group(
        &self,
        group: &GroupKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        self.backbone.triggers.read_group(group, after, limit).await
    }

    async fn read_all(&self, after: Sequence, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        self.backbone.triggers.read_all(after, limit).await
    }

    async fn newest(&self) -> Result<Sequence, Unavailable> {
        self.backbone.triggers.newest().await
    }

    async fn wait_beyond_all(&self, after: Sequence) -> Result<(), Unavailable> {
        self.backbone.triggers.wait_beyond_all(after).await
    }

    async fn wait_beyond(&self, partition: Partition, after: Sequence) -> Result<(), Unavailable> {
        self.backbone.triggers.wait_beyond(partition, after).await
    }

    async fn get(&self, sequence: Sequence) -> Result<Option<Logged>, Unavailable> {
        self.backbone.triggers.get(sequence).await
    }

    fn partitions(&self) -> Partitions {
        self.backbone.triggers.partitions()
    }
}

#[tokio::test]
async fn a_page_has_no_gap_where_triggers_come_in_while_it_is_read() {
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database");
        let embedded = Embedded::open(&path, EmbeddedOptions::default()).unwrap();
        let backbone = embedded.backbone();
        for group in ["a", "c"] {
            append(&backbone, group, None).await;
        }
        let growing = Arc::new(Growing {
            backbone: backbone.clone(),
            has_grown: AtomicBool::new(false),
            grown: Notify::new(),
        });
        assert_ne!(growing.partition_of("a"), growing.partition_of("c"));
        let growing = Backbone {
            triggers: growing,
            ..backbone
        };
        let page = async |beyond| {
            let query = HistoryQuery {
                order,
                beyond,
                ..everything()
            };
            let newest = growing.triggers.newest().await.unwrap();
            let is_settled = |_| async { Vec::new() }.boxed();
            let waiting = maybe_waiting(&growing, &query, newest, &is_settled).await;
            let waiting = waiting.unwrap().into_iter();
            waiting
                .map(|item| item.trigger.sequence.0)
                .collect::<Vec<_>>()
        };
        let (first, rest) = match order {
            Order::OldestFirst => (vec![1, 2], vec![3, 4]),
            Order::NewestFirst => (vec![2, 1], vec![]),
        };
        assert_eq!(page(None).await, first);
        let last = first.last().copied().map(Sequence);
        assert_eq!(page(last).await, rest);
        drop(growing);
        embedded.close().await;
    }
}

fn everything() -> HistoryQuery {
    HistoryQuery {
        project: "1a5".parse().unwrap(),
        receiver: None,
        group: None,
        status: None,
        since: None,
        until: None,
        code: None,
        key: None,
        replay_of: None,
        order: Order::OldestFirst,
        beyond: None,
        limit: 100,
    }
}
