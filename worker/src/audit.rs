//! What is asked of the outcome log as a record: its head, a verification, its entries, a signature.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stormhook_shared::audit::export::Place;
use stormhook_shared::audit::head::{SignedHead, SigningKey};
use stormhook_shared::configuration::Retention;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, Revision};
use stormhook_shared::domain::ledger::{Entry, Record};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::leases::WorkerId;
use stormhook_shared::ports::ledger::{Ledger, LedgerError};
use stormhook_shared::ports::questions::{Answer, Question};
use stormhook_shared::ports::record::{EntriesQuery, LogHead, Problem, Verified};
use tokio_util::sync::CancellationToken;

use crate::outcome_log::{OutcomeLog, StoreError, Unreadable, Verification};

/// How often the head is signed.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often it is looked whether that is due, and whether something is to be dropped: clocks are set, machines sleep.
const LOOK: Duration = Duration::from_secs(5);
/// For how long a verification goes on before it tells how far it has come.
const VERIFIED_AT_ONCE: Duration = Duration::from_millis(500);
/// How many verifications are remembered between two questions.
const MOST_JOBS: usize = 8;
/// How often a signed head is appended again that another one came before.
const TRIES: usize = 5;

/// The worker's outcome log as a record.
pub(crate) struct Audit {
    worker: WorkerId,
    log: Arc<OutcomeLog>,
    ledger: Arc<dyn Ledger>,
    key: Option<SigningKey>,
    retention: Retention,
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    last: u64,
    waiting: BTreeMap<u64, Verification>,
}

/// Why there is no answer now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error(transparent)]
    Log(#[from] Unreadable),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Backbone(#[from] Unavailable),
    #[error(
        "this worker has no signing key: add signing_key_file or secret_file to its configuration"
    )]
    NoKey,
}

impl Audit {
    pub(crate) fn new(
        worker: WorkerId,
        log: Arc<OutcomeLog>,
        ledger: Arc<dyn Ledger>,
        key: Option<SigningKey>,
        retention: Retention,
    ) -> Self {
        Self {
            worker,
            log,
            ledger,
            key,
            retention,
            jobs: Mutex::default(),
        }
    }

    /// Answers `question` if it is one of the record.
    pub(crate) async fn answer(&self, question: Question) -> Option<Answer> {
        let answered = match question {
            Question::Head { at, .. } => self.head(at).await,
            Question::Verify { job, .. } => self.verify(job).await,
            Question::Entries(query) => self.entries(query).await,
            Question::Droppable { at } => self.droppable(at).await,
            Question::ManagementCalls {
                project,
                before,
                limit,
            } => self.calls(project, before, limit).await,
            Question::Sign => self.sign().await.map(Answer::Signed),
            Question::Rebuild { .. } => {
                self.log.rebuild();
                Ok(Answer::Done)
            }
            _ => return None,
        };
        Some(answered.unwrap_or_else(|error| Answer::Unavailable(error.to_string())))
    }

    /// Signs the head each hour in which something happened, and drops what is not to be kept, until `stop`.
    pub(crate) async fn look_after(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.is_due().await {
                Ok(false) => {}
                Ok(true) => {
                    if let Err(error) = self.sign().await {
                        tracing::warn!(%error, "the hourly head was not signed, trying again");
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "whether a head is due to be signed is not known yet");
                }
            }
            match self
                .log
                .drop_old(self.retention.clone(), Timestamp::now())
                .await
            {
                Ok(None) => {}
                Ok(Some(through)) => {
                    tracing::info!(through, "old entries of the outcome log were dropped");
                }
                Err(Unreadable::NotLevel) => {}
                Err(error) => tracing::warn!(%error, "old entries are not dropped, trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn is_due(&self) -> Result<bool, Unanswered> {
        let head = self.log.read(|store| Ok(store.meta().last())).await?;
        if self.key.is_none() {
            return Ok(false);
        }
        let last = self.last_signed().await?.1;
        Ok(match last {
            // The entry that records the last head is nothing new.
            Some(last) => {
                head.number > last.number + 1 && Timestamp::now().since(last.at) >= INTERVAL
            }
            None => head.number > 0,
        })
    }

    async fn sign(&self) -> Result<SignedHead, Unanswered> {
        // A log that is still being built ends far before where the head would be recorded.
        self.log.level(Duration::ZERO).await?;
        let Place { number, hash } = self.log.read(|store| Ok(store.meta().last())).await?;
        let key = self.key.as_ref().ok_or(Unanswered::NoKey)?;
        let head = key.sign(number, hash, Timestamp::now());
        let mut tries = 0;
        loop {
            let (expected, _) = self.last_signed().await?;
            let record = Record::apart(GroupKey::signed_heads(), Entry::Signed(head.clone()));
            tries += 1;
            match self.ledger.append(record, expected).await {
                Ok(_) => return Ok(head),
                Err(LedgerError::Conflict { .. }) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn last_signed(&self) -> Result<(Revision, Option<SignedHead>), Unanswered> {
        let last = self.ledger.last(&GroupKey::signed_heads()).await?;
        Ok(match last {
            Some((revision, record)) => match record.entry {
                Entry::Signed(head) => (revision, Some(head)),
                _ => (revision, None),
            },
            None => (Revision(0), None),
        })
    }

    async fn head(&self, at: Option<u64>) -> Result<Answer, Unanswered> {
        let worker = self.worker.clone();
        let read = self.log.read(move |store| {
            let meta = store.meta();
            let at = at.map(|number| store.place(number)).transpose()?;
            Ok((meta.base, meta.last(), at))
        });
        let (base, head, at) = read.await?;
        if let Some(None) = at {
            let (first, last) = (base.number, head.number);
            let message = format!("this log has entries {} to {last}", first + 1);
            return Ok(Answer::NoSuchEntry(message));
        }
        Ok(Answer::Head(LogHead {
            worker,
            base,
            head,
            at: at.flatten(),
        }))
    }

    async fn droppable(&self, at: Timestamp) -> Result<Answer, Unanswered> {
        let retention = self.retention.clone();
        let read = self.log.read(move |store| {
            let head = store.droppable(&retention, at)?;
            Ok((store.meta().base, head))
        });
        let (base, head) = read.await?;
        Ok(Answer::Droppable { base, head })
    }

    async fn entries(&self, query: EntriesQuery) -> Result<Answer, Unanswered> {
        let read = self.log.read(move |store| {
            let page = store.page(&query)?;
            Ok((page, store.meta().base.number, store.meta().entries))
        });
        let (page, base, last) = read.await?;
        Ok(page.map_or_else(
            || Answer::NoSuchEntry(format!("this log has entries {} to {last}", base + 1)),
            Answer::Entries,
        ))
    }

    async fn calls(
        &self,
        project: ProjectId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Answer, Unanswered> {
        let read = self
            .log
            .read(move |store| store.management_calls(&project, before, limit));
        let (calls, has_more) = read.await?;
        Ok(Answer::ManagementCalls(calls, has_more))
    }

    async fn verify(&self, job: Option<u64>) -> Result<Answer, Unanswered> {
        let (job, verification) = match job {
            Some(job) => match self.jobs().waiting.remove(&job) {
                Some(verification) => (job, verification),
                None => {
                    let message = "this verification is not known here any more: begin it anew";
                    return Ok(Answer::NoSuchEntry(message.to_owned()));
                }
            },
            None => {
                let began = self.log.read(Verification::of).await?;
                let mut jobs = self.jobs();
                jobs.last += 1;
                (jobs.last, began)
            }
        };
        let (verification, result) = self.log.verify(verification, VERIFIED_AT_ONCE).await;
        let mut verified = Verified {
            worker: self.worker.clone(),
            job,
            base: verification.base(),
            at: verification.at(),
            entries: 0,
            is_done: false,
            problem: None,
        };
        match result {
            Ok(progress) => {
                verified.entries = progress.entries;
                verified.is_done = progress.is_done;
                if !progress.is_done {
                    self.jobs().keep(job, verification);
                }
            }
            Err(Unreadable::Store(error)) => verified.problem = Some(problem(error)),
            Err(error) => return Err(error.into()),
        }
        Ok(Answer::Verified(verified))
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    fn keep(&mut self, job: u64, verification: Verification) {
        self.waiting.insert(job, verification);
        while self.waiting.len() > MOST_JOBS {
            self.waiting.pop_first();
        }
    }
}

fn problem(error: StoreError) -> Problem {
    match error {
        StoreError::Entry(fault) => Problem {
            entry: Some(fault.number),
            message: fault.what,
        },
        StoreError::Damaged(message) => Problem {
            entry: None,
            message,
        },
        StoreError::Disk(error) => Problem {
            entry: None,
            message: format!("its disk cannot be read: {error}"),
        },
    }
}
