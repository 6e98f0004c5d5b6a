//! A worker in this process, on a platform that costs nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use stormhook_shared::configuration::Retention;
use stormhook_shared::decide::{Seen, ServiceSeen};
use stormhook_shared::directory::Directory;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::platform::{
    Forwarded, Need, Notes, Platform, PlatformError, Step, Target, TargetKind, Unusable,
};
use stormhook_shared::telemetry::Readiness;
use stormhook_worker::{ReceiverResources, Worker, WorkerMetrics, WorkerOptions};

/// A worker with what it measures.
pub struct SoloWorker {
    worker: Worker,
    directory: Arc<Directory>,
    registry: Registry,
}

impl SoloWorker {
    /// Starts one on `backbone`, with its outcome log in the folder `outcome_log`.
    pub async fn start(backbone: Backbone, outcome_log: &Path) -> Self {
        let readiness = Arc::new(Readiness::starting());
        let directory = Directory::follow(Arc::clone(&backbone.registry), Arc::clone(&readiness));
        let mut registry = Registry::default();
        let platform: Arc<dyn Platform> = Arc::new(Stub::default());
        let worker = Worker::start(WorkerOptions {
            backbone,
            directory: Arc::clone(&directory),
            platforms: BTreeMap::from([("1a5".parse().unwrap(), platform)]),
            names: BTreeMap::new(),
            outcome_log: outcome_log.to_owned(),
            readiness,
            metrics: WorkerMetrics::register(&mut registry),
            receiver_resources: ReceiverResources::default(),
            signing_key: None,
            retention: Retention::default(),
        });
        Self {
            worker: worker.await,
            directory,
            registry,
        }
    }

    /// Whether the metric with this name, summed over its labels, is at least `count`.
    pub fn at_least(&self, metric: &str, count: usize) -> Result<(), String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let values = text
            .lines()
            .filter(|line| line.starts_with(metric))
            .filter_map(|line| line.split_whitespace().last()?.parse::<usize>().ok());
        let sum = values.sum::<usize>();
        if sum >= count {
            Ok(())
        } else {
            Err(format!("{metric} {sum} of {count}"))
        }
    }

    /// Stops it.
    pub async fn stop(self) {
        self.worker.stop(Duration::from_secs(10)).await;
        self.directory.stop().await;
    }
}

/// A platform in memory.
#[derive(Default)]
struct Stub {
    scales: Mutex<HashMap<String, u32>>,
}

#[async_trait]
impl Platform for Stub {
    async fn probe(&self) -> Result<String, PlatformError> {
        Ok("a stub".to_owned())
    }

    async fn observe(&self, group: &GroupKey, _need: Need) -> Result<Seen, PlatformError> {
        let id = group.as_str().rsplit('/').next().unwrap_or_default();
        let scales = self.scales.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Seen::Service(ServiceSeen {
            id: id.to_owned(),
            name: id.to_owned(),
            scale: scales.get(id).copied().unwrap_or(1),
            version: None,
            unscalable: None,
            autoscaled: None,
            containers: Vec::new(),
        }))
    }

    async fn scale_service(
        &self,
        service_id: &str,
        to: u32,
        _version: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        notes.permit(self.call_timeout())?;
        let mut scales = self.scales.lock().unwrap_or_else(PoisonError::into_inner);
        scales.insert(service_id.to_owned(), to);
        Ok(())
    }

    async fn pursue(&self, _action: &Action, _notes: &mut Notes) -> Result<Step, PlatformError> {
        Ok(Step::Done)
    }

    async fn forward(
        &self,
        _request: &Forwarded<'_>,
        _notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        Ok(())
    }

    async fn check(&self, kind: &Kind) -> Result<Result<Kind, Unusable>, PlatformError> {
        Ok(Ok(kind.clone()))
    }

    async fn targets(&self, _of: TargetKind) -> Result<Vec<Target>, PlatformError> {
        Ok(Vec::new())
    }

    fn call_timeout(&self) -> Duration {
        Duration::from_secs(1)
    }
}
