//! One partition: reads its part of the trigger log in order, hands each trigger to its group, and keeps the
//! cursor that says where to go on after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::group::{GroupKey, Partition};
use stormhook_shared::domain::ids::{Sequence, TriggerId};
use stormhook_shared::domain::ledger::{Draft, Entry, Group, Record};
use stormhook_shared::domain::outcome::{Code, TriggerFacts, Verdict};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Source;
use stormhook_shared::ports::cursors::Cursor;
use stormhook_shared::ports::leases::Lease;
use stormhook_shared::ports::ledger::LedgerError;
use stormhook_shared::ports::trigger_log;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::group::{Executor, GroupQueue, Interrupted, pause, pauses};

/// How many entries are read from the log at once.
const PAGE: usize = 1_000;
/// How often the cursor is stored.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a group without triggers stays in memory.
const IDLE: Duration = Duration::from_secs(30);
/// How many groups a cursor names as lagging. With more of them, the cursor itself stays behind.
const MOST_LAGGING: usize = 64;

/// Works on one partition until it is told to stop.
pub(crate) struct PartitionWorker {
    context: Arc<Context>,
    partition: Partition,
    lease: Lease,
    stop: CancellationToken,
    groups: Arc<Groups>,
    executors: TaskTracker,
}

type Groups = Mutex<HashMap<GroupKey, Arc<GroupQueue>>>;

impl PartitionWorker {
    /// A worker for the partition that `lease` gives the right to.
    pub(crate) fn new(context: Arc<Context>, lease: Lease, stop: CancellationToken) -> Self {
        Self {
            context,
            partition: lease.partition(),
            lease,
            stop,
            groups: Arc::default(),
            executors: TaskTracker::new(),
        }
    }

    /// Reads and hands out triggers until `stop`; then waits for the executors and stores the cursor.
    pub(crate) async fn run(self) {
        let Ok(cursor) = self.load_cursor().await else {
            return;
        };
        let mut stored = cursor.clone();
        let mut position = cursor.position;
        for (group, settled) in cursor.lagging {
            self.with_queue(&group, settled, |queue| queue.overflow_up_to(position));
        }
        let mut checkpoints = tokio::time::interval(CHECKPOINT_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                _ = checkpoints.tick() => self.checkpoint(position, &mut stored).await,
                result = self.read_on(position) => match result {
                    Ok(through) => position = through,
                    Err(Interrupted) => break,
                },
            }
        }
        self.executors.close();
        self.executors.wait().await;
        self.checkpoint(position, &mut stored).await;
    }

    async fn load_cursor(&self) -> Result<Cursor, Interrupted> {
        let mut pauses = pauses();
        loop {
            match self.context.backbone.cursors.load(self.partition).await {
                Ok(cursor) => return Ok(cursor),
                Err(error) => {
                    tracing::warn!(partition = %self.partition, %error, "cannot load the cursor, trying again");
                    pause(&mut pauses, None, &self.stop).await?;
                }
            }
        }
    }

    /// Waits for entries after `position`, hands them out and returns the last one's place.
    async fn read_on(&self, position: Sequence) -> Result<Sequence, Interrupted> {
        let mut pauses = pauses();
        loop {
            let log = &self.context.backbone.triggers;
            match log.next(self.partition, position, PAGE).await {
                Ok(entries) => {
                    let through = entries
                        .last()
                        .map_or(position, trigger_log::Entry::sequence);
                    for entry in entries {
                        self.context.budget.room().await;
                        self.hand_out(entry).await?;
                    }
                    return Ok(through);
                }
                Err(error) => {
                    tracing::warn!(partition = %self.partition, %error, "cannot read triggers, trying again");
                    pause(&mut pauses, None, &self.stop).await?;
                }
            }
        }
    }

    async fn hand_out(&self, entry: trigger_log::Entry) -> Result<(), Interrupted> {
        match entry {
            trigger_log::Entry::Trigger(logged) => {
                let group = logged.trigger.group.clone();
                // Whatever of an unknown group was settled before is found in its ledger.
                let before = Sequence(logged.sequence.0.saturating_sub(1));
                self.with_queue(&group, before, |queue| queue.push(logged));
                Ok(())
            }
            trigger_log::Entry::Undecodable {
                sequence,
                found_at,
                reason,
            } => {
                tracing::error!(partition = %self.partition, %sequence, reason, "undecodable trigger");
                self.record_undecodable(sequence, found_at, &reason).await
            }
        }
    }

    /// Does `something` with the queue of `group`, behind which an executor works. The lock on the groups is kept
    /// meanwhile, so that no idle executor leaves just then.
    fn with_queue(&self, group: &GroupKey, settled: Sequence, something: impl FnOnce(&GroupQueue)) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = groups.get(group) {
            return something(queue);
        }
        let queue = Arc::new(GroupQueue::new(settled, Arc::clone(&self.context.budget)));
        something(&queue);
        groups.insert(group.clone(), Arc::clone(&queue));
        let executor = Executor::new(
            Arc::clone(&self.context),
            group.clone(),
            Arc::clone(&queue),
            self.lease.clone(),
            self.stop.clone(),
        );
        self.executors.spawn(work_for_group(
            executor,
            queue,
            Arc::clone(&self.groups),
            group.clone(),
            self.stop.clone(),
        ));
    }

    /// Gives what cannot be read an outcome of its own, in a group of its own.
    async fn record_undecodable(
        &self,
        sequence: Sequence,
        found_at: Timestamp,
        reason: &str,
    ) -> Result<(), Interrupted> {
        let key = GroupKey::undecodable(self.partition);
        let ledger = &self.context.backbone.ledger;
        let mut pauses = pauses();
        loop {
            let appended = match ledger.last(&key).await {
                Ok(last) => {
                    let group = last.map_or_else(Group::default, |(revision, record)| {
                        Group::from_last(revision, record)
                    });
                    if group.state.settled >= sequence {
                        return Ok(());
                    }
                    let entry = undecodable(sequence, found_at, reason);
                    let record = Record {
                        group: key.clone(),
                        state: group.state_after(&entry),
                        entry,
                    };
                    ledger.append(record, group.revision).await
                }
                Err(error) => Err(error),
            };
            match appended {
                Ok(_) => {
                    self.context.metrics.undecodable.inc();
                    return Ok(());
                }
                Err(LedgerError::Conflict { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot record an undecodable trigger, trying again");
                    pause(&mut pauses, None, &self.stop).await?;
                }
            }
        }
    }

    async fn checkpoint(&self, position: Sequence, stored: &mut Cursor) {
        let lagging: BTreeMap<_, _> = {
            let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups
                .iter()
                .filter_map(|(group, queue)| Some((group.clone(), queue.lag()?)))
                .collect()
        };
        let mut cursor = Cursor { position, lagging };
        if cursor.lagging.len() > MOST_LAGGING {
            cursor = Cursor {
                position: cursor.all_settled(),
                lagging: BTreeMap::new(),
            };
        }
        if cursor == *stored {
            return;
        }
        let cursors = &self.context.backbone.cursors;
        match cursors.store(self.partition, cursor.clone()).await {
            Ok(()) => *stored = cursor,
            Err(error) => {
                tracing::warn!(partition = %self.partition, %error, "cannot store the cursor");
            }
        }
    }
}

/// Settles what comes through `queue`, and takes the group out of `groups` when nothing came for a while.
async fn work_for_group(
    mut executor: Executor,
    queue: Arc<GroupQueue>,
    groups: Arc<Groups>,
    key: GroupKey,
    stop: CancellationToken,
) {
    loop {
        executor.settle_all().await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = queue.pushed() => {}
            () = tokio::time::sleep(IDLE) => {
                let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
                if queue.lag().is_none() {
                    groups.remove(&key);
                    return;
                }
            }
        }
    }
}

fn undecodable(sequence: Sequence, at: Timestamp, reason: &str) -> Entry {
    let trigger = TriggerFacts {
        id: TriggerId::of_undecodable(sequence),
        sequence,
        receiver: None,
        accepted_at: at,
        source: Source {
            address: None,
            user_agent: None,
        },
        idempotency_key: None,
        replay_of: None,
        parent_id: None,
        parent_sequence: None,
        body_sha256: String::new(),
        body_bytes: 0,
    };
    let verdict = Verdict::new(Code::Undecodable, reason);
    Entry::Settled {
        outcomes: vec![Draft {
            trigger,
            receiver_revision: None,
            verdict,
            supposes_action: false,
        }],
        at,
        calls: Calls::default(),
    }
}
