//! A ledger that forgets its beginning, and workers that have nothing but an outcome log. The ledger and the logs are the real
//! ones; in between, workers are asked by a plain call.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use stormhook_shared::audit::export::Place as LogPlace;
use stormhook_shared::audit::head::SigningKey;
use stormhook_shared::configuration::Retention;
use stormhook_shared::domain::group::{GroupKey, Partition};
use stormhook_shared::domain::ids::Revision;
use stormhook_shared::domain::ledger::{Entry, Record};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::embedded::{Embedded, EmbeddedOptions};
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::leases::{Census, LeaseEnd, Leases, Role, WorkerId};
use stormhook_shared::ports::ledger::{Ledger, LedgerError, Place, Reach};
use stormhook_shared::ports::questions::{Answer, Answerer, Question, Questions, Serving};
use stormhook_shared::telemetry::Readiness;
use stormhook_tests::wait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::keeper::OutcomeLog;
use super::super::peers::Peers;
use super::super::store::Store;
use crate::audit::Audit;
use crate::metrics::WorkerMetrics;

/// The seed of the key that all workers sign with.
pub(super) const SEED: [u8; 32] = [5; 32];

/// The ledger and the workers.
pub(super) struct World {
    folder: tempfile::TempDir,
    embedded: Embedded,
    ledger: Arc<Forgetful>,
    desks: Arc<Desks>,
    /// How long a worker waits for one that has the older part.
    pub(super) patience: Duration,
}

/// One worker's outcome log, which is kept until it is stopped.
pub(super) struct Recorder {
    name: WorkerId,
    log: Arc<OutcomeLog>,
    audit: Arc<Audit>,
    pub(super) metrics: WorkerMetrics,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

/// What happens to a worker that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Answers,
    /// It dies after so many pages.
    DiesAfter(usize),
    /// It tells something else in the first entry of its first page.
    Lies,
    /// The same in the last entry of that page.
    LiesAtTheEnd,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database");
        let embedded = Embedded::open(&path, EmbeddedOptions::default()).unwrap();
        let ledger = Arc::new(Forgetful {
            ledger: embedded.backbone().ledger,
            gone: AtomicU64::new(0),
        });
        Self {
            folder,
            embedded,
            ledger,
            desks: Arc::default(),
            patience: Duration::from_millis(200),
        }
    }

    /// Appends `count` records, each an entry of about `bytes`.
    pub(super) async fn record(&self, count: usize, bytes: usize) {
        let project = "1a5".parse().unwrap();
        let group = GroupKey::management(&project);
        for number in 0..count {
            let last = self.ledger.last(&group).await.unwrap();
            let expected = last.map_or(Revision(0), |(revision, _)| revision);
            let entry = Entry::NotDone {
                project: project.clone(),
                call: expected,
                reason: format!("{number} {}", "x".repeat(bytes)),
                at: Timestamp::now(),
            };
            let record = Record::apart(group.clone(), entry);
            self.ledger.append(record, expected).await.unwrap();
        }
    }

    /// Appends an entry to the ledger's group of signed heads.
    pub(super) async fn record_head(&self, entry: Entry) {
        let group = GroupKey::signed_heads();
        let last = self.ledger.last(&group).await.unwrap();
        let expected = last.map_or(Revision(0), |(revision, _)| revision);
        let record = Record::apart(group, entry);
        self.ledger.append(record, expected).await.unwrap();
    }

    /// The ledger has nothing up to `revision` any more.
    pub(super) fn forget(&self, revision: u64) {
        self.ledger.gone.store(revision, Ordering::SeqCst);
    }

    /// The place of the ledger's last record.
    pub(super) async fn through(&self) -> Revision {
        self.ledger.reach().await.unwrap().through
    }

    /// Starts a worker with what it had when it was stopped. Others can ask it from now on.
    pub(super) fn start(&self, name: &str, fate: Fate) -> Recorder {
        let mut peers = Peers::new(
            Arc::new(Me(name.to_owned(), Arc::clone(&self.desks))),
            Arc::clone(&self.desks) as Arc<dyn Questions>,
        );
        peers.patience = self.patience;
        let metrics = WorkerMetrics::register(&mut Registry::default());
        let readiness = Arc::<Readiness>::default();
        let path = self.path(name);
        let log = Arc::new(OutcomeLog::new(path, Arc::clone(&readiness), &metrics));
        let ledger: Arc<dyn Ledger> = Arc::clone(&self.ledger) as _;
        let audit = Arc::new(Audit::new(
            name.to_owned(),
            Arc::clone(&log),
            Arc::clone(&ledger),
            SigningKey::from_seed(&SEED),
            Retention::default(),
        ));
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(Arc::clone(&log).keep(ledger, peers, stop.clone()));
        self.desks.open(name, Arc::clone(&audit), fate);
        Recorder {
            name: name.to_owned(),
            log,
            audit,
            metrics,
            readiness,
            stop,
            keeping,
        }
    }

    /// Stops a worker.
    pub(super) async fn stop(&self, recorder: Recorder) {
        self.desks.close(&recorder.name);
        recorder.stop.cancel();
        recorder.keeping.await.unwrap();
    }

    /// How many logs a worker has set aside.
    pub(super) fn set_aside(&self, name: &str) -> usize {
        let prefix = format!("{name}.damaged-");
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&prefix)).count()
    }

    /// Stops all that is left.
    pub(super) async fn end(self, recorders: Vec<Recorder>) {
        for recorder in recorders {
            self.stop(recorder).await;
        }
        self.embedded.close().await;
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

impl Recorder {
    /// Returns once everything up to `through` of the ledger is in the log, which must verify. Its last place.
    pub(super) async fn complete(&self, through: Revision) -> LogPlace {
        let last = wait::until("a complete log", || async {
            let meta = self.log.read(|store| Ok(store.meta())).await;
            match meta {
                Ok(meta) if meta.applied >= through => Ok(meta.last()),
                other => Err(format!("{other:?}; {:?}", self.readiness.parts())),
            }
        })
        .await;
        self.log.read(Store::verify).await.unwrap();
        last
    }

    /// Returns once a part of `/readyz` says `something`.
    pub(super) async fn tells(&self, part: &str, something: &str) {
        wait::until(something, || async {
            match self.readiness.parts().get(part) {
                Some(Err(reason)) if reason.contains(something) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.readiness.parts().values().all(Result::is_ok)
    }

    /// The text of the entry with this number.
    pub(super) async fn entry(&self, number: u64) -> String {
        let entry = self.log.read(move |store| store.entry(number));
        let entry = entry.await.unwrap();
        serde_json::to_string(&entry.unwrap()).unwrap()
    }

    /// The last entry's place.
    pub(super) async fn last(&self) -> LogPlace {
        self.log
            .read(|store| Ok(store.meta().last()))
            .await
            .unwrap()
    }

    /// Signs the head.
    pub(super) async fn sign(&self) {
        let signed = self.audit.answer(Question::Sign).await.unwrap();
        assert!(matches!(signed, Answer::Signed(_)), "{signed:?}");
    }
}

/// A ledger without its beginning.
struct Forgetful {
    ledger: Arc<dyn Ledger>,
    gone: AtomicU64,
}

#[async_trait]
impl Ledger for Forgetful {
    async fn append(&self, record: Record, expected: Revision) -> Result<Revision, LedgerError> {
        self.ledger.append(record, expected).await
    }

    async fn last(&self, group: &GroupKey) -> Result<Option<(Revision, Record)>, LedgerError> {
        self.ledger.last(group).await
    }

    async fn read(&self, after: Revision, limit: usize) -> Result<Vec<Place>, LedgerError> {
        let gone = self.gone.load(Ordering::SeqCst);
        self.ledger.read(after.max(Revision(gone)), limit).await
    }

    async fn reach(&self) -> Result<Reach, Unavailable> {
        let reach = self.ledger.reach().await?;
        let gone = Revision(self.gone.load(Ordering::SeqCst));
        Ok(Reach {
            after: gone.max(reach.after),
            ..reach
        })
    }

    async fn wait_beyond(&self, after: Revision) -> Result<(), Unavailable> {
        self.ledger.wait_beyond(after).await
    }
}

/// Where workers are asked.
#[derive(Default)]
struct Desks(Mutex<BTreeMap<WorkerId, (Arc<Audit>, Fate)>>);

impl Desks {
    fn open(&self, name: &str, audit: Arc<Audit>, fate: Fate) {
        self.0
            .lock()
            .unwrap()
            .insert(name.to_owned(), (audit, fate));
    }

    fn close(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    /// Who answers, and what happens to the answer: a page of entries counts.
    fn find(&self, name: &str, is_page: bool) -> Option<(Arc<Audit>, Fate)> {
        let mut desks = self.0.lock().unwrap();
        let (audit, fate) = desks.get_mut(name)?;
        let found = (Arc::clone(audit), *fate);
        match fate {
            Fate::DiesAfter(0) if is_page => {
                desks.remove(name);
                return None;
            }
            Fate::DiesAfter(pages) if is_page => *pages -= 1,
            Fate::Lies | Fate::LiesAtTheEnd if is_page => *fate = Fate::Answers,
            _ => {}
        }
        Some(found)
    }
}

#[async_trait]
impl Questions for Desks {
    async fn ask(&self, question: Question) -> Result<Answer, Unavailable> {
        let name = question.addressee().cloned().unwrap_or_default();
        let is_page = matches!(question, Question::Entries(_));
        let Some((audit, fate)) = self.find(&name, is_page) else {
            return Err(Unavailable::Down {
                what: "a worker",
                reason: "no worker is running".to_owned(),
            });
        };
        let mut answer = audit.answer(question).await.unwrap();
        if let Answer::Entries(page) = &mut answer {
            let entry = match fate {
                Fate::Lies => page.entries.first_mut(),
                Fate::LiesAtTheEnd => page.entries.last_mut(),
                Fate::Answers | Fate::DiesAfter(_) => None,
            };
            if let Some(entry) = entry {
                *entry = entry.replacen('x', "y", 1);
            }
        }
        Ok(answer)
    }

    async fn serve(&self, _: Answerer) -> Result<Serving, Unavailable> {
        Ok(Serving(Box::new(())))
    }
}

/// Who is there, as one worker sees it.
struct Me(WorkerId, Arc<Desks>);

#[async_trait]
impl Leases for Me {
    async fn announce(&self, _role: Role) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn withdraw(&self, _role: Role) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn census(&self) -> Result<Census, Unavailable> {
        Ok(Census {
            me: self.0.clone(),
            workers: self.1.0.lock().unwrap().keys().cloned().collect(),
            ..Census::default()
        })
    }

    async fn acquire(&self, _: Partition) -> Result<Option<LeaseEnd>, Unavailable> {
        Ok(None)
    }

    async fn release(&self, _: Partition) -> Result<(), Unavailable> {
        Ok(())
    }

    fn ttl(&self) -> Option<Duration> {
        None
    }
}
