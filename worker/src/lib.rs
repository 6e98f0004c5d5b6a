//! The worker: owns partitions of the trigger log, decides, acts on platforms, records outcomes, and answers
//! what ingresses ask. It alone holds platform credentials.
//!
//! A trigger's path through it: `partition` reads it from the log and hands it to its group; the group's
//! executor (`group`) decides a batch, plans, performs and settles; `outcome_log` copies the ledger for
//! history; `answers` serves it.

mod answers;
mod assignment;
mod audit;
mod context;
mod fleet;
mod group;
mod metrics;
mod outcome_log;
mod partition;
pub mod platforms;
mod receiver_resources;
#[cfg(test)]
mod simulation;
mod system;
mod trigger_detail;
mod unsettled;
mod what_if;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::audit::head::SigningKey;
use stormhook_shared::configuration::Retention;
use stormhook_shared::directory::Directory;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::platform::Platform;
use stormhook_shared::ports::questions::Serving;
use stormhook_shared::ports::{Backbone, Unavailable};
use stormhook_shared::telemetry::Readiness;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use answers::Answers;
use audit::Audit;
use context::Context;
use fleet::Fleet;
use group::{Budget, Progress};
pub use metrics::WorkerMetrics;
pub use outcome_log::{Import, ImportError};
use outcome_log::{OutcomeLog, Peers};
pub use receiver_resources::{ReceiverResources, ReceiverResourcesError};

/// How long to wait before a backbone that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many bytes of triggers are in memory before more are left in the log.
const WAITING_BYTES: usize = 96 * 1024 * 1024;

/// What a worker needs.
pub struct WorkerOptions {
    /// What carries triggers, ledger and receivers.
    pub backbone: Backbone,
    /// The receivers, as a copy that follows the registry.
    pub directory: Arc<Directory>,
    /// The platform of each project.
    pub platforms: BTreeMap<ProjectId, Arc<dyn Platform>>,
    /// The names of projects that have one.
    pub names: BTreeMap<ProjectId, String>,
    /// The folder of the outcome log.
    pub outcome_log: PathBuf,
    /// Where the worker tells whether it is ready.
    pub readiness: Arc<Readiness>,
    /// What it measures.
    pub metrics: WorkerMetrics,
    /// What heads of the outcome log are signed with; without it, other workers sign.
    pub signing_key: Option<SigningKey>,
    /// How much of the outcome log is kept.
    pub retention: Retention,
    /// The projects whose receivers are made of custom resources.
    pub receiver_resources: ReceiverResources,
}

/// A running worker.
pub struct Worker {
    stop_working: CancellationToken,
    stop_recording: CancellationToken,
    working: TaskTracker,
    recording: TaskTracker,
    _serving: Serving,
}

impl Worker {
    /// Starts to work on every partition that this process gets. While the backbone does not answer, it is tried again.
    pub async fn start(options: WorkerOptions) -> Self {
        let readiness = options.readiness;
        let log = Arc::new(OutcomeLog::new(
            options.outcome_log,
            Arc::clone(&readiness),
            &options.metrics,
        ));
        let context = Arc::new(Context {
            backbone: options.backbone,
            directory: options.directory,
            platforms: options.platforms,
            names: options.names,
            log: Arc::clone(&log),
            progress: Progress::default(),
            budget: Arc::new(Budget::new(WAITING_BYTES)),
            metrics: options.metrics,
            receiver_resources: options.receiver_resources,
        });
        let stop_working = CancellationToken::new();
        let stop_recording = CancellationToken::new();
        let recording = TaskTracker::new();
        let peers = Peers::new(
            Arc::clone(&context.backbone.leases),
            Arc::clone(&context.backbone.questions),
        );
        let ledger = Arc::clone(&context.backbone.ledger);
        recording.spawn(Arc::clone(&log).keep(ledger, peers, stop_recording.clone()));
        let working = TaskTracker::new();
        let fleet = Fleet::new(Arc::clone(&context), stop_working.clone());
        working.spawn(fleet.run());
        platforms::watch(&context.platforms, &readiness, &working, &stop_working);
        let census = until_done(async || context.backbone.leases.census().await).await;
        let audit = Arc::new(Audit::new(
            census.me,
            Arc::clone(&log),
            Arc::clone(&context.backbone.ledger),
            options.signing_key,
            options.retention,
        ));
        working.spawn(Arc::clone(&audit).look_after(stop_working.clone()));
        let answers = Answers::new(Arc::clone(&context), audit);
        let answerer = answers.answerer();
        let questions = &context.backbone.questions;
        let serving = until_done(async || questions.serve(Arc::clone(&answerer)).await).await;
        Self {
            stop_working,
            stop_recording,
            working,
            recording,
            _serving: serving,
        }
    }

    /// Stops: no new work, what runs may finish within `grace`, then the outcome log is closed. What is left
    /// open stands in the ledger and is finished by whoever owns the group next.
    pub async fn stop(self, grace: Duration) {
        self.stop_working.cancel();
        self.working.close();
        if tokio::time::timeout(grace, self.working.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                ?grace,
                "some actions did not finish in time; they will be finished at the next start"
            );
        }
        self.stop_recording.cancel();
        self.recording.close();
        self.recording.wait().await;
    }
}

/// What `call` brings, which is made again until it succeeds.
async fn until_done<T>(call: impl AsyncFn() -> Result<T, Unavailable>) -> T {
    loop {
        match call().await {
            Ok(found) => return found,
            Err(error) => {
                tracing::warn!(%error, "cannot start to work, trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
