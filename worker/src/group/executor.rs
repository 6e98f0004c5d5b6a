//! Decides and acts for one group, one batch after the other: plan, act, outcome, each step durable before the
//! next begins. Whatever goes wrong with the ledger, it forgets what it knew and starts again from there.

use std::sync::Arc;
use std::time::Duration;

use backoff::backoff::Backoff;
use stormhook_shared::decide::{Batch, Seen, Waiting, fold};
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{Revision, Sequence};
use stormhook_shared::domain::ledger::{Entry, Group, OpenPlan, Performance, Plan, Record};
use stormhook_shared::domain::outcome::{Code, Verdict};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::leases::Lease;
use stormhook_shared::ports::ledger::LedgerError;
use stormhook_shared::ports::platform::{Need, Platform, PlatformError};
use stormhook_shared::ports::trigger_log;
use tokio_util::sync::CancellationToken;

use super::budget::Hold;
use super::part::{Part, readable};
use super::performance::{End, Interrupted, Performer, pause, pause_before, pauses};
use super::queue::{GroupQueue, Taken};
use crate::context::Context;
use crate::metrics::Sample;
use crate::platforms::recording;

/// How many triggers are decided at once. Their record stays below a mebibyte, the largest message that
/// nats-server takes by default.
const LARGEST_BATCH: usize = 1_000;
/// How long to wait for the copy of the registry that a trigger was accepted under.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(10);

/// Works for one group.
pub(crate) struct Executor {
    context: Arc<Context>,
    key: GroupKey,
    queue: Arc<GroupQueue>,
    lease: Lease,
    stop: CancellationToken,
    group: Option<Group>,
    /// What was called for the batch since its last record.
    calls: Calls,
    /// What kept the last plan of the batch from being performed.
    hindrance: Option<String>,
    /// The room in memory that the batch takes.
    held: Vec<Hold>,
}

/// How a batch went on.
enum Advance {
    /// Some have their verdicts.
    Settled,
    /// Nothing is settled: what was planned was not performed.
    Anew,
    /// Its first trigger waits until then.
    NotBefore(Timestamp),
}

/// Why a batch did not come to its end.
enum Setback {
    /// The ledger is not as expected or not there: start again from what it says.
    Reload,
    /// The process stops, or lost its lease.
    Interrupted,
}

impl From<Interrupted> for Setback {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.context.progress.forget(&self.key);
    }
}

impl Executor {
    /// An executor for the group whose triggers come through `queue`.
    pub(crate) fn new(
        context: Arc<Context>,
        key: GroupKey,
        queue: Arc<GroupQueue>,
        lease: Lease,
        stop: CancellationToken,
    ) -> Self {
        Self {
            context,
            key,
            queue,
            lease,
            stop,
            group: None,
            calls: Calls::default(),
            hindrance: None,
            held: Vec::new(),
        }
    }

    /// Settles what waits. Returns when nothing waits any more, or when it is told to stop.
    pub(crate) async fn settle_all(&mut self) {
        let mut pauses = pauses();
        while !self.stop.is_cancelled() {
            self.held.clear();
            let mut batch = match self.take(LARGEST_BATCH).await {
                Ok(Some(batch)) => batch,
                Ok(None) | Err(Interrupted) => return,
            };
            let mut since = Timestamp::now();
            self.calls = Calls::default();
            self.hindrance = None;
            while !batch.is_empty() {
                let advanced = match self.advance(&mut batch, since).await {
                    Ok(Advance::Settled) => {
                        pauses.reset();
                        // Whoever waited for others has all of his time from now on.
                        since = Timestamp::now();
                        Ok(())
                    }
                    Ok(Advance::Anew) => pause(&mut pauses, None, &self.stop).await,
                    Ok(Advance::NotBefore(time)) => {
                        let waited = self.wait(time, &mut batch).await;
                        since = Timestamp::now();
                        waited
                    }
                    Err(Setback::Interrupted) => Err(Interrupted),
                    Err(Setback::Reload) => {
                        self.group = None;
                        pause(&mut pauses, None, &self.stop).await
                    }
                };
                if advanced.is_err() {
                    return;
                }
            }
        }
    }

    /// Waits until `time` or until more triggers come, which are added to `batch`.
    async fn wait(&mut self, time: Timestamp, batch: &mut Vec<Waiting>) -> Result<(), Interrupted> {
        let rest = time.since(Timestamp::now());
        let told = format!("further pushes, which may come until {time}");
        self.context.progress.tell(&self.key, told);
        let room = LARGEST_BATCH.saturating_sub(batch.len());
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Interrupted),
            () = tokio::time::sleep(rest) => {}
            () = self.queue.pushed(), if room > 0 => {}
        }
        if room > 0
            && let Some(more) = self.take(room).await?
        {
            batch.extend(more);
        }
        Ok(())
    }

    /// The next triggers, from memory or from the log.
    async fn take(&mut self, most: usize) -> Result<Option<Vec<Waiting>>, Interrupted> {
        loop {
            let batch = match self.queue.take(most) {
                Taken::Nothing => return Ok(None),
                Taken::Triggers(triggers, hold) => {
                    self.held.push(hold);
                    triggers
                }
                Taken::Places(places, hold) => {
                    self.held.push(hold);
                    self.read(&Part::Places(places)).await?
                }
                Taken::ReadAfter(after, count, hold) => {
                    self.held.push(hold);
                    self.read(&Part::After(after, count)).await?
                }
            };
            if !batch.is_empty() {
                let wait = |logged| Waiting::new(logged, None);
                return Ok(Some(batch.into_iter().map(wait).collect()));
            }
        }
    }

    /// Reads from the log until that succeeds. The partition's reader records what cannot be read. What is read may come
    /// from a server that is behind.
    async fn read(&self, part: &Part) -> Result<Vec<Logged>, Interrupted> {
        let log = &*self.context.backbone.triggers;
        let mut pauses = pauses();
        loop {
            match part.read(log, &self.key).await {
                Ok(entries) => {
                    match part {
                        Part::Places(places) => {
                            if let Some(first) = places.first()
                                && !part.is_all_in(&entries)
                            {
                                self.queue.read_again(*first);
                                return Ok(Vec::new());
                            }
                        }
                        Part::After(after, count) => {
                            let last = entries.last();
                            let through = last.map_or(*after, trigger_log::Entry::sequence);
                            self.queue.read_from_log(through, entries.len() < *count);
                            if last.is_none() {
                                pause(&mut pauses, None, &self.stop).await?;
                            }
                        }
                    }
                    return Ok(entries.into_iter().filter_map(readable).collect());
                }
                Err(error) => {
                    tracing::warn!(group = %self.key, %error, "cannot read the group's triggers, trying again");
                    pause(&mut pauses, None, &self.stop).await?;
                }
            }
        }
    }

    /// Brings the group one step further: finishes an open plan, or decides what waits and was taken up at `since`.
    async fn advance(
        &mut self,
        batch: &mut Vec<Waiting>,
        since: Timestamp,
    ) -> Result<Advance, Setback> {
        let group = self.load().await?;
        let settled = group.state.settled;
        if let Some(open) = group.open_plan.clone() {
            self.check_open(&open).await?;
            tracing::info!(group = %self.key, plan = %open.revision, "finishing an open plan");
            let hindrance = self.perform(&open, false).await?;
            return Ok(hindrance.map_or(Advance::Settled, |_| Advance::Anew));
        }
        self.pass_over(batch, settled);
        if batch.is_empty() {
            return Ok(Advance::Settled);
        }
        self.look_up_receivers(batch).await?;
        let advance = self.decide(batch, since).await?;
        let now_settled = self
            .group
            .as_ref()
            .map_or(settled, |group| group.state.settled);
        self.pass_over(batch, now_settled);
        Ok(match advance {
            Advance::Settled if now_settled == settled => Advance::Anew,
            advance => advance,
        })
    }

    /// An open plan is acted upon without a compare-and-swap before, so it must be the group's last record for certain: a
    /// server that is behind may tell of one that another worker has performed.
    async fn check_open(&self, open: &OpenPlan) -> Result<(), Setback> {
        let ledger = &self.context.backbone.ledger;
        match ledger.is_last(&self.key, open.revision).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!(group = %self.key, plan = %open.revision, "an open plan was read that is not the last record any more");
                Err(Setback::Reload)
            }
            Err(error) => {
                tracing::warn!(group = %self.key, %error, "cannot see whether an open plan is the last record, trying again");
                Err(Setback::Reload)
            }
        }
    }

    fn pass_over(&self, batch: &mut Vec<Waiting>, settled: Sequence) {
        batch.retain(|waiting| waiting.sequence() > settled);
        self.queue.settle(settled);
    }

    async fn load(&mut self) -> Result<&Group, Setback> {
        if self.group.is_none() {
            let last = self.context.backbone.ledger.last(&self.key).await;
            let last = last.map_err(|error| {
                tracing::warn!(group = %self.key, %error, "cannot load the group, trying again");
                Setback::Reload
            })?;
            self.group = Some(last.map_or_else(Group::default, |(revision, record)| {
                Group::from_last(revision, record)
            }));
        }
        self.group.as_ref().ok_or(Setback::Reload)
    }

    async fn look_up_receivers(&self, batch: &mut [Waiting]) -> Result<(), Setback> {
        let needed = batch
            .iter()
            .map(Waiting::registry_revision)
            .max()
            .unwrap_or_default();
        if !self
            .context
            .directory
            .reached(needed, REGISTRY_PATIENCE)
            .await
        {
            tracing::warn!(group = %self.key, %needed, "the copy of the registry is behind, waiting");
            let told = "the worker's copy of the receivers, which is behind";
            self.context.progress.tell(&self.key, told);
            return Err(Setback::Reload);
        }
        for waiting in batch {
            waiting.decide_under(self.context.directory.get(waiting.receiver_id()));
        }
        Ok(())
    }

    async fn decide(
        &mut self,
        batch: &mut [Waiting],
        since: Timestamp,
    ) -> Result<Advance, Setback> {
        let now = Timestamp::now();
        let (Some(first), Some(group)) = (batch.first(), &self.group) else {
            return Err(Setback::Reload);
        };
        let deadline = first.deadline(since);
        let unaided = fold(&group.state, None, batch, now);
        match unaided.wait_until {
            Some(time) if unaided.drafts.is_empty() => return Ok(Advance::NotBefore(time)),
            None if unaided.drafts.len() < batch.len() => {}
            _ => return self.settle(unaided, now).await,
        }
        let Some(platform) = self.context.platform(&self.key) else {
            let message = format!(
                "project {} has no platform connection here",
                self.key.project()
            );
            let seen = Seen::Unreadable(Verdict::new(Code::PlatformRefused, message));
            return self.settle_as(&seen, batch).await;
        };
        let observing = self.observe(&*platform, need(batch), deadline);
        let (observed, calls) = recording::record(observing).await;
        self.calls.extend(calls);
        let observed = observed?;
        // The platform may have been waited for, and receivers may have changed meanwhile.
        self.look_up_receivers(batch).await?;
        match observed {
            Ok(seen) => self.act(&seen, batch, since).await,
            Err(PlatformError::Refused { message }) => {
                let seen = Seen::Unreadable(Verdict::new(Code::PlatformRefused, message));
                self.settle_as(&seen, batch).await
            }
            Err(PlatformError::Transient { message, .. }) => {
                self.give_up(&message, batch, since).await
            }
            // Looking needs neither a lease nor a deadline.
            Err(PlatformError::LeaseEnds | PlatformError::DeadlineOver) => {
                Err(Setback::Interrupted)
            }
        }
    }

    /// What the platform reports; its last transient error once the deadline has passed.
    async fn observe(
        &self,
        platform: &dyn Platform,
        need: Need,
        deadline: Timestamp,
    ) -> Result<Result<Seen, PlatformError>, Setback> {
        let mut pauses = pauses();
        loop {
            let error = match platform.observe(&self.key, need).await {
                Err(error @ PlatformError::Transient { .. }) => error,
                result => return Ok(result),
            };
            let PlatformError::Transient { retry_after, .. } = &error else {
                return Ok(Err(error));
            };
            tracing::debug!(group = %self.key, %error, "the platform cannot be read, trying again");
            let told = format!("the platform, which cannot be read and is tried again: {error}");
            self.context.progress.tell(&self.key, told);
            pause_before(deadline, &mut pauses, *retry_after, &self.stop).await?;
            if Timestamp::now() >= deadline {
                return Ok(Err(error));
            }
        }
    }

    /// Decides from what was seen, and performs what that needs.
    async fn act(
        &mut self,
        seen: &Seen,
        batch: &[Waiting],
        since: Timestamp,
    ) -> Result<Advance, Setback> {
        let now = Timestamp::now();
        let (Some(first), Some(group)) = (batch.first(), &self.group) else {
            return Err(Setback::Reload);
        };
        let mut decided = fold(&group.state, Some(seen), batch, now);
        let Some(action) = decided.action.take() else {
            return self.settle(decided, now).await;
        };
        let deadline = first.deadline(since);
        let concerned = batch.get(..decided.drafts.len()).unwrap_or(batch);
        if now >= deadline {
            let told = self.hindrance.take();
            let told = told
                .as_deref()
                .unwrap_or("the platform could be read only after it");
            return self.give_up(told, concerned, since).await;
        }
        let plan = Plan {
            action,
            drafts: decided.drafts,
            decided_at: now,
            deadline,
            drift: decided.drift,
            calls: std::mem::take(&mut self.calls),
        };
        let revision = self.append(Entry::Planned(plan.clone())).await?;
        let open = OpenPlan { revision, plan };
        let hindrance = self.perform(&open, true).await?;
        let is_left = self
            .group
            .as_ref()
            .is_some_and(|group| group.state.settled < first.sequence());
        if is_left && Timestamp::now() >= deadline {
            let reason = hindrance.unwrap_or_else(|| "it could not be performed".to_owned());
            return self.give_up(&reason, concerned, since).await;
        }
        self.hindrance = hindrance;
        Ok(Advance::Settled)
    }

    /// Performs a plan and records how it ended. What kept it from being performed, if it is to be decided anew.
    async fn perform(&mut self, open: &OpenPlan, is_own: bool) -> Result<Option<String>, Setback> {
        let platform = self.context.platform(&self.key);
        let (end, calls) = match &platform {
            None => {
                let end = End::Otherwise {
                    code: Code::Uncertain,
                    message: format!(
                        "{}, but its project has no platform connection any more",
                        open.plan.action
                    ),
                    attempts: 0,
                };
                (end, Calls::default())
            }
            Some(platform) => {
                let performer = Performer {
                    context: &self.context,
                    platform: &**platform,
                    group: &self.key,
                    lease: &self.lease,
                    stop: &self.stop,
                };
                let (end, calls) = recording::record(performer.perform(&open.plan, is_own)).await;
                (end?, calls)
            }
        };
        let at = Timestamp::now();
        let plan = open.revision;
        let mut hindrance = None;
        let entry = match end {
            End::Done { attempts } => Entry::Performed {
                plan,
                performance: Performance::done(attempts, at).with_calls(calls),
            },
            End::Otherwise {
                code,
                message,
                attempts,
            } => Entry::Performed {
                plan,
                performance: Performance::failed(code, message, attempts, at).with_calls(calls),
            },
            End::NotPerformed { reason } => {
                tracing::info!(group = %self.key, reason, "the plan was not performed");
                self.calls.extend(calls);
                hindrance = Some(reason.clone());
                Entry::Abandoned { plan, reason }
            }
        };
        self.append(entry).await.map(|_| hindrance)
    }

    /// Fails the triggers at the head of `batch` whose deadline has passed; the others are decided anew.
    async fn give_up(
        &mut self,
        message: &str,
        batch: &[Waiting],
        since: Timestamp,
    ) -> Result<Advance, Setback> {
        let now = Timestamp::now();
        let expired = batch
            .iter()
            .take_while(|waiting| waiting.deadline(since) <= now)
            .count();
        let message = format!("tried until the deadline: {message}");
        let seen = Seen::Unreadable(Verdict::new(Code::DeadlineExceeded, message));
        self.settle_as(&seen, batch.get(..expired).unwrap_or(batch))
            .await
    }

    async fn settle_as(&mut self, seen: &Seen, batch: &[Waiting]) -> Result<Advance, Setback> {
        let now = Timestamp::now();
        let Some(group) = &self.group else {
            return Err(Setback::Reload);
        };
        let decided = fold(&group.state, Some(seen), batch, now);
        self.settle(decided, now).await
    }

    async fn settle(&mut self, decided: Batch, at: Timestamp) -> Result<Advance, Setback> {
        if decided.drafts.is_empty() {
            return Ok(Advance::Settled);
        }
        let outcomes = decided.drafts;
        let calls = std::mem::take(&mut self.calls);
        let entry = Entry::Settled {
            outcomes,
            at,
            calls,
        };
        self.append(entry).await.map(|_| Advance::Settled)
    }

    /// Appends to the ledger, provided that nobody else did.
    async fn append(&mut self, entry: Entry) -> Result<Revision, Setback> {
        let Some(group) = self.group.take() else {
            return Err(Setback::Reload);
        };
        self.context.progress.forget(&self.key);
        let open_plan = match &entry {
            Entry::Planned(plan) => Some(plan.clone()),
            _ => None,
        };
        let sample = Sample::of(&entry, group.open_plan.as_ref());
        let record = Record {
            group: self.key.clone(),
            state: group.state_after(&entry),
            entry,
        };
        let state = record.state.clone();
        match self
            .context
            .backbone
            .ledger
            .append(record, group.revision)
            .await
        {
            Ok(revision) => {
                self.context.metrics.count(sample);
                self.group = Some(Group {
                    revision,
                    state,
                    open_plan: open_plan.map(|plan| OpenPlan { revision, plan }),
                });
                Ok(revision)
            }
            Err(error) => {
                if matches!(error, LedgerError::Conflict { .. }) {
                    self.context.metrics.ledger_conflicts.inc();
                }
                tracing::warn!(group = %self.key, %error, "starting again from the ledger");
                Err(Setback::Reload)
            }
        }
    }
}

/// What has to be known of a service to decide on `batch`: parts of upgrades concern what it runs.
fn need(batch: &[Waiting]) -> Need {
    let is_part = |waiting: &Waiting| waiting.trigger().parent_id.is_some();
    match (batch.iter().any(is_part), batch.iter().all(is_part)) {
        (false, _) => Need::Scale,
        (true, true) => Need::Containers,
        (true, false) => Need::Everything,
    }
}
