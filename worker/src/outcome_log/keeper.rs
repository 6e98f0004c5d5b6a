//! Keeps the outcome log level with the ledger: opens and verifies it, sets a damaged one aside, and tails the
//! ledger into it for as long as the worker runs.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::configuration::Retention;
use stormhook_shared::domain::ids::{Revision, Sequence};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::ledger::{Ledger, LedgerError};
use stormhook_shared::telemetry::Readiness;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::store::{Store, StoreError};
use super::tail::Tail;
use super::verify::{Progress, Verification};

/// How long to wait before a disk that refused is tried again.
const DISK_PAUSE: Duration = Duration::from_secs(2);
/// How many damaged logs are kept for inspection.
const MOST_SET_ASIDE: usize = 3;
/// The part's name in `/readyz`.
const PART: &str = "outcome log";
/// How long a log is verified before it is used; a large one is verified further while it is in use.
const VERIFIED_BEFORE_USE: Duration = Duration::from_secs(3);
/// How many entries are verified while nothing is written.
const STEP: u64 = 4_096;

/// The outcome log as the rest of the worker sees it.
pub(crate) struct OutcomeLog {
    path: PathBuf,
    store: RwLock<Option<Store>>,
    waiting: Mutex<HashMap<Sequence, Vec<oneshot::Sender<()>>>>,
    is_level: watch::Sender<bool>,
    /// Up to where the ledger is in the log.
    applied: watch::Sender<Revision>,
    verified_at: Mutex<Option<Timestamp>>,
    rebuild: Notify,
    readiness: Arc<Readiness>,
    entries: Gauge,
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
    /// The log in the folder `path`. Nothing is opened before [`OutcomeLog::keep`] runs. `entries` tells how many it has.
    pub(crate) fn new(path: PathBuf, readiness: Arc<Readiness>, entries: Gauge) -> Self {
        Self {
            path,
            store: RwLock::new(None),
            waiting: Mutex::default(),
            is_level: watch::Sender::new(false),
            applied: watch::Sender::default(),
            verified_at: Mutex::default(),
            rebuild: Notify::new(),
            readiness,
            entries,
        }
    }

    /// Keeps the log level with `ledger` until `stop`.
    pub(crate) async fn keep(self: Arc<Self>, ledger: Arc<dyn Ledger>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.open_and_follow(&*ledger, &stop).await {
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

    /// When the chain was last verified.
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
        let droppable = self.read(move |store| store.droppable(&retention, now));
        let Some(head) = droppable.await? else {
            return Ok(None);
        };
        let mut dropped = None;
        while let Some(base) = self.drop_block(head.number).await? {
            dropped = Some(base);
        }
        Ok(dropped)
    }

    async fn drop_block(self: &Arc<Self>, through: u64) -> Result<Option<u64>, Unreadable> {
        let log = Arc::clone(self);
        let drop_one = move || {
            let mut store = log.store.write().unwrap_or_else(PoisonError::into_inner);
            let store = store.as_mut().ok_or(Unreadable::NotLevel)?;
            let is_dropped = unwound(|| store.drop_oldest(through))?;
            Ok(is_dropped.then(|| store.meta().base.number))
        };
        tokio::task::spawn_blocking(drop_one)
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
            if result.is_err() || is_over || began.elapsed() >= time {
                return (verification, result);
            }
        }
    }

    async fn open_and_follow(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        stop: &CancellationToken,
    ) -> Result<(), Setback> {
        let (applied, verification) = self.open().await?;
        self.readiness.report(PART, Ok(()));
        tokio::select! {
            followed = self.follow(ledger, applied, stop) => followed,
            damage = self.verify_rest(verification) => Err(damage),
            () = self.rebuild.notified() => Err(Setback::Damaged("an operator asked for it".to_owned())),
        }
    }

    async fn follow(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        mut applied: Revision,
        stop: &CancellationToken,
    ) -> Result<(), Setback> {
        let mut tail = Tail::new(ledger);
        if !tail
            .goes_on_after(applied)
            .await
            .map_err(|error| Setback::of_ledger(&error))?
        {
            let message =
                format!("it is at {applied} of the ledger, which does not go on from there");
            return Err(Setback::Damaged(message));
        }
        loop {
            let read = tokio::select! {
                read = tail.read_after(applied) => read,
                () = stop.cancelled() => return Ok(()),
            };
            let (through, entries) = match read {
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!(%error, "cannot tail the ledger, trying again");
                    tokio::select! {
                        () = tokio::time::sleep(DISK_PAUSE) => continue,
                        () = stop.cancelled() => return Ok(()),
                    }
                }
            };
            if through > applied {
                self.append(through, entries).await?;
                applied = through;
                continue;
            }
            self.is_level.send_replace(true);
            tokio::select! {
                waited = ledger.wait_beyond(applied) => if let Err(error) = waited {
                    tracing::warn!(%error, "cannot wait for the ledger, trying again");
                    tokio::time::sleep(DISK_PAUSE).await;
                },
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Opens the log, and verifies it for a while. What is left to verify is returned.
    async fn open(self: &Arc<Self>) -> Result<(Revision, Verification), Setback> {
        let log = Arc::clone(self);
        blocking(move || {
            let (opened, verification) = unwound(|| {
                let store = Store::open(&log.path)?;
                let mut verification = Verification::of(&store)?;
                let began = Instant::now();
                while !verification.step(&store, STEP)?.is_done
                    && began.elapsed() < VERIFIED_BEFORE_USE
                {}
                Ok((store, verification))
            })?;
            *log.verified_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(Timestamp::now());
            let meta = opened.meta();
            tracing::info!(entries = meta.entries, head = %meta.head, "outcome log opened");
            log.tell(&opened);
            *log.store.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
            Ok((meta.applied, verification))
        })
        .await
    }

    /// Verifies what is left while the log is in use. Returns only if something is wrong.
    async fn verify_rest(self: &Arc<Self>, verification: Verification) -> Setback {
        match self.verify(verification, Duration::MAX).await.1 {
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

    async fn append(
        self: &Arc<Self>,
        through: Revision,
        entries: Vec<LogEntry>,
    ) -> Result<(), Setback> {
        let log = Arc::clone(self);
        blocking(move || {
            {
                let mut store = log.store.write().unwrap_or_else(PoisonError::into_inner);
                let store = store
                    .as_mut()
                    .ok_or_else(|| StoreError::Damaged("it was closed".to_owned()))?;
                unwound(|| store.append(through, &entries))?;
                log.tell(store);
            }
            log.wake(&entries);
            Ok(())
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

    async fn set_aside(self: &Arc<Self>, reason: &str) {
        self.is_level.send_replace(false);
        self.close().await;
        let aside = self
            .path
            .with_extension(format!("damaged-{}", Timestamp::now().as_millis()));
        tracing::error!(reason, aside = %aside.display(), "the outcome log is set aside and rebuilt from the ledger");
        if let Err(error) = tokio::fs::rename(&self.path, &aside).await {
            let reason = format!(
                "cannot set the outcome log at {} aside: {error}",
                self.path.display()
            );
            tracing::error!(reason);
            self.readiness.report(PART, Err(reason));
            tokio::time::sleep(DISK_PAUSE).await;
        }
        drop_oldest(&self.path).await;
    }

    async fn close(self: &Arc<Self>) {
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

/// Why the log has to be opened again.
enum Setback {
    Damaged(String),
    Disk(String),
}

impl Setback {
    fn of_ledger(error: &LedgerError) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Disk(error) => Self::Disk(error.to_string()),
            StoreError::Damaged(reason) => Self::Damaged(reason),
            StoreError::Entry(fault) => Self::Damaged(fault.to_string()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Setback> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Setback::Damaged(error.to_string())),
    }
}

/// sled 0.34 panics on some damage instead of saying so.
fn unwound<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StoreError::Damaged("sled panicked on it".to_owned())))
}

/// Keeps only the newest logs that were set aside.
async fn drop_oldest(path: &Path) {
    let (Some(folder), Some(name)) = (
        path.parent(),
        path.file_stem().and_then(|name| name.to_str()),
    ) else {
        return;
    };
    let prefix = format!("{name}.damaged-");
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else {
        return;
    };
    let mut aside = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            aside.push(entry.path());
        }
    }
    aside.sort();
    for old in aside.iter().rev().skip(MOST_SET_ASIDE) {
        if let Err(error) = tokio::fs::remove_dir_all(old).await {
            tracing::warn!(path = %old.display(), %error, "cannot remove an old damaged outcome log");
        }
    }
}
