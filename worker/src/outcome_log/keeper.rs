//! Keeps the outcome log open for as long as the worker runs: opens and verifies it, has it follow the ledger
//! (`follow`), sets a damaged one aside (`aside`), and lets others read it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::configuration::Retention;
use stormhook_shared::domain::ids::{Revision, Sequence};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::ledger::Ledger;
use stormhook_shared::telemetry::Readiness;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::heads;
use super::peers::Peers;
use super::setback::{Setback, blocking, unwound};
use super::store::{Meta, Store, StoreError};
use super::verify::{Progress, Verification};
use crate::metrics::WorkerMetrics;

/// How long to wait before a disk that refused is tried again.
pub(super) const DISK_PAUSE: Duration = Duration::from_secs(2);
/// The part's name in `/readyz`.
pub(super) const PART: &str = "outcome log";
/// The part of `/readyz` that tells whether signed heads fit.
const SIGNED_PART: &str = "signed heads";
const CONTRADICTED: &str = "a signed head is recorded that is not of this worker's outcome log; compare the workers with \
    `stormhook audit head` and heads that were kept elsewhere, and have the wrong ones built anew with \
    `stormhook audit verify --worker … --rebuild`";
/// How long it may take until a log is used. It is verified until then, and a large one further while it is in use.
const USED_WITHIN: Duration = Duration::from_secs(3);
/// How many entries are verified while nothing is written.
const STEP: u64 = 4_096;

/// The outcome log as the rest of the worker sees it.
pub(crate) struct OutcomeLog {
    pub(super) path: PathBuf,
    store: RwLock<Option<Store>>,
    waiting: Mutex<HashMap<Sequence, Vec<oneshot::Sender<()>>>>,
    pub(super) is_level: watch::Sender<bool>,
    /// Up to where the ledger is in the log.
    applied: watch::Sender<Revision>,
    verified_at: Mutex<Option<Timestamp>>,
    pub(super) rebuild: Notify,
    pub(super) readiness: Arc<Readiness>,
    entries: Gauge,
    contradictions: Counter,
}

/// Why the log could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It is still being opened, verified or built.
    #[error("the history is being read or rebuilt on this worker; try again in a moment")]
    NotLevel,
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OutcomeLog {
    /// The log in the folder `path`. Nothing is opened before [`OutcomeLog::keep`] runs. It tells of itself in `metrics`.
    pub(crate) fn new(path: PathBuf, readiness: Arc<Readiness>, metrics: &WorkerMetrics) -> Self {
        Self {
            path,
            store: RwLock::new(None),
            waiting: Mutex::default(),
            is_level: watch::Sender::new(false),
            applied: watch::Sender::default(),
            verified_at: Mutex::default(),
            rebuild: Notify::new(),
            readiness,
            entries: metrics.outcome_log_entries.clone(),
            contradictions: metrics.outcome_log_contradictions.clone(),
        }
    }

    /// Keeps the log level with `ledger` until `stop`. What the ledger does not have any more comes from `peers`.
    pub(crate) async fn keep(
        self: Arc<Self>,
        ledger: Arc<dyn Ledger>,
        mut peers: Peers,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            match self.open_and_follow(&*ledger, &mut peers, &stop).await {
                Ok(()) => break,
                Err(Setback::Damaged(reason)) => self.set_aside(&reason).await,
                Err(Setback::Disk(reason)) => {
                    tracing::error!(reason, "the outcome log stands still");
                    self.readiness.report(PART, Err(reason));
                    self.close().await;
                    tokio::select! {
                        () = tokio::time::sleep(DISK_PAUSE) => {}
                        () = stop.cancelled() => {}
                    }
                }
            }
        }
        self.close().await;
    }

    /// Does `something` with the log, on a thread where it may block.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        something: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Unreadable> {
        let log = Arc::clone(self);
        let read = move || {
            let store = log.store.read().unwrap_or_else(PoisonError::into_inner);
            let store = store.as_ref().ok_or(Unreadable::NotLevel)?;
            Ok(unwound(|| something(store))?)
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or(Err(Unreadable::NotLevel))
    }

    /// Returns once the log has caught up with the ledger for the first time, or `timeout` has passed.
    pub(crate) async fn level(&self, timeout: Duration) -> Result<(), Unreadable> {
        let mut is_level = self.is_level.subscribe();
        let caught_up = is_level.wait_for(|is_level| *is_level);
        match tokio::time::timeout(timeout, caught_up).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Unreadable::NotLevel),
        }
    }

    /// Notes that all of the log was verified just now.
    fn verified(&self) {
        *self
            .verified_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Timestamp::now());
    }

    /// When all of the log was last verified.
    pub(crate) fn verified_at(&self) -> Option<Timestamp> {
        *self
            .verified_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the log has everything up to `through` of the ledger. After `timeout` it is behind, and what it has is
    /// told all the same.
    pub(crate) async fn reached(&self, through: Revision, timeout: Duration) {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= through);
        if tokio::time::timeout(timeout, reached).await.is_err() {
            tracing::warn!(%through, "the outcome log is behind the ledger, and history with it");
        }
    }

    /// Whether the trigger at `sequence` has its outcome in the log within `timeout`.
    pub(crate) async fn settled(self: &Arc<Self>, sequence: Sequence, timeout: Duration) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.waiting().entry(sequence).or_default().push(sender);
        let is_there =
            |settled: Result<Option<LogEntry>, Unreadable>| matches!(settled, Ok(Some(_)));
        if is_there(self.read(move |store| store.settled(sequence)).await) {
            return true;
        }
        let is_settled = matches!(tokio::time::timeout(timeout, receiver).await, Ok(Ok(())));
        let mut waiting = self.waiting();
        if let Some(senders) = waiting.get_mut(&sequence) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&sequence);
            }
        }
        is_settled
    }

    /// Drops old entries up to the last signed head that `retention` lets go. Returns up to which entry, if any was dropped.
    pub(crate) async fn drop_old(
        self: &Arc<Self>,
        retention: Retention,
        now: Timestamp,
    ) -> Result<Option<u64>, Unreadable> {
        let droppable = self.maintain(move |store| {
            store.remove_dropped()?; // What a disk refused that was full, as it may be.
            store.droppable(&retention, now)
        });
        let Some(head) = droppable.await? else {
            return Ok(None);
        };
        let mut dropped = None;
        while let Some(base) = self.drop_some(head.number).await? {
            dropped = Some(base);
        }
        Ok(dropped)
    }

    async fn drop_some(self: &Arc<Self>, through: u64) -> Result<Option<u64>, Unreadable> {
        let dropped = self.maintain(move |store| {
            let is_dropped = store.drop_oldest(through)?;
            Ok(is_dropped.then(|| store.meta().base.number))
        });
        dropped.await
    }

    /// Does `something` to the log while it is in use, on a thread where it may block.
    async fn maintain<T: Send + 'static>(
        self: &Arc<Self>,
        something: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Unreadable> {
        let log = Arc::clone(self);
        let maintain = move || {
            let mut store = log.store.write().unwrap_or_else(PoisonError::into_inner);
            let store = store.as_mut().ok_or(Unreadable::NotLevel)?;
            Ok(unwound(|| something(store))?)
        };
        tokio::task::spawn_blocking(maintain)
            .await
            .unwrap_or(Err(Unreadable::NotLevel))
    }

    /// Has the log set aside and built anew.
    pub(crate) fn rebuild(&self) {
        self.rebuild.notify_one();
    }

    /// Verifies the log further, for at most `time`. The log may be appended to meanwhile.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        mut verification: Verification,
        time: Duration,
    ) -> (Verification, Result<Progress, Unreadable>) {
        let began = Instant::now();
        loop {
            let (back, result) = self.verify_step(verification).await;
            verification = back;
            let is_over = result.as_ref().is_ok_and(|progress| progress.is_done);
            if is_over {
                self.verified();
            }
            if result.is_err() || is_over || began.elapsed() >= time {
                return (verification, result);
            }
        }
    }

    /// Opens the log, and verifies it for a while. What is left to verify is returned.
    pub(super) async fn open(self: &Arc<Self>) -> Result<(Meta, Verification), Setback> {
        let log = Arc::clone(self);
        blocking(move || {
            let (opened, verification) = unwound(|| {
                let began = Instant::now();
                let store = Store::open(&log.path)?;
                let mut verification = Verification::of(&store)?;
                while !verification.step(&store, STEP)?.is_done && began.elapsed() < USED_WITHIN {}
                Ok((store, verification))
            })?;
            if verification.is_done() {
                log.verified();
            }
            let meta = opened.meta();
            tracing::info!(entries = meta.entries, head = %meta.head, "outcome log opened");
            log.tell(&opened);
            log.readiness.report(SIGNED_PART, Ok(()));
            *log.store.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
            Ok((meta, verification))
        })
        .await
    }

    /// Verifies what is left while the log is in use. Returns only if something is wrong.
    pub(super) async fn verify_rest(self: &Arc<Self>, verification: Verification) -> Setback {
        if verification.is_done() {
            return std::future::pending().await;
        }
        match self.verify(verification.gently(), Duration::MAX).await.1 {
            Err(Unreadable::Store(error)) => error.into(),
            Ok(_) | Err(Unreadable::NotLevel) => std::future::pending().await,
        }
    }

    async fn verify_step(
        self: &Arc<Self>,
        verification: Verification,
    ) -> (Verification, Result<Progress, Unreadable>) {
        let log = Arc::clone(self);
        let step = move || {
            let mut verification = verification;
            let store = log.store.read().unwrap_or_else(PoisonError::into_inner);
            let result = match store.as_ref() {
                Some(store) => unwound(|| verification.step(store, STEP)).map_err(Unreadable::from),
                None => Err(Unreadable::NotLevel),
            };
            (verification, result)
        };
        match tokio::task::spawn_blocking(step).await {
            Ok(stepped) => stepped,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Appends what comes of the ledger's records up to `through`.
    pub(super) async fn append(
        self: &Arc<Self>,
        through: Revision,
        entries: Vec<LogEntry>,
    ) -> Result<(), Setback> {
        let appended = self.change(move |store| {
            store.append(through, &entries)?;
            let contradiction = heads::contradiction(store, &entries)?;
            Ok((entries, contradiction))
        });
        let (entries, contradiction) = appended.await?;
        if let Some(reason) = contradiction {
            self.contradicted(&reason);
        }
        self.wake(&entries);
        Ok(())
    }

    /// Tells that a signed head is recorded which is not of this log: this one, or that of the worker that signed, is not
    /// what was written.
    fn contradicted(&self, reason: &str) {
        tracing::error!(reason, "{CONTRADICTED}");
        self.contradictions.inc();
        let told = format!("{CONTRADICTED}: {reason}");
        self.readiness.report(SIGNED_PART, Err(told));
    }

    /// Does `something` to the log, on a thread where it may block.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        something: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Setback> {
        let log = Arc::clone(self);
        blocking(move || {
            let mut store = log.store.write().unwrap_or_else(PoisonError::into_inner);
            let store = store
                .as_mut()
                .ok_or_else(|| StoreError::Damaged("it was closed".to_owned()))?;
            let done = unwound(|| something(store))?;
            log.tell(store);
            Ok(done)
        })
        .await
    }

    fn tell(&self, store: &Store) {
        let entries = i64::try_from(store.meta().entries).unwrap_or(i64::MAX);
        self.entries.set(entries);
        self.applied.send_replace(store.meta().applied);
    }

    fn wake(&self, entries: &[LogEntry]) {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            return;
        }
        for entry in entries {
            if let LogEntry::Settled { outcome, .. } = entry {
                for sender in waiting
                    .remove(&outcome.trigger.sequence)
                    .unwrap_or_default()
                {
                    let _ = sender.send(()); // Nobody waits any more.
                }
            }
        }
    }

    pub(super) async fn close(self: &Arc<Self>) {
        let log = Arc::clone(self);
        let close = move || {
            let store = log
                .store
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            let Some(store) = store else { return };
            let meta = store.meta();
            match unwound(|| store.flush()) {
                Ok(()) => {
                    tracing::info!(entries = meta.entries, head = %meta.head, "outcome log closed");
                }
                Err(error) => {
                    tracing::warn!(%error, "the outcome log was not flushed; it will catch up or be rebuilt");
                }
            }
        };
        let _ = tokio::task::spawn_blocking(close).await;
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<Sequence, Vec<oneshot::Sender<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
