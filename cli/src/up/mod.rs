//! `stormhook up`: ingress and worker in one process, on the embedded backbone or on NATS, and a practice platform where
//! no real one is configured.

mod carrier;
mod demo;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stormhook_ingress::{DatabaseCopies, Ingress, IngressMetrics, IngressOptions};
use stormhook_sandbox::{Sandbox, SandboxOptions};
use stormhook_shared::directory::Directory;
use stormhook_shared::hook_key::HookKeys;
use stormhook_shared::program::listener::listen;
use stormhook_shared::program::probes::{ProbeServer, Probes};
use stormhook_shared::program::secret_fingerprint::fingerprint;
use stormhook_shared::program::stop::stop_signal;
use stormhook_shared::session_key::SessionKeys;
use stormhook_shared::telemetry::Readiness;
use stormhook_worker::platforms::PlatformHealth;
use stormhook_worker::{ReceiverResources, Worker, WorkerMetrics, WorkerOptions};
use tokio_util::sync::CancellationToken;

use crate::arguments::UpOptions;
use crate::commands::table::print;
use carrier::Carrier;
use settings::Settings;

/// How many threads answer HTTP requests.
const HTTP_THREADS: usize = 2;

/// Runs everything until it is told to stop.
pub async fn run(options: UpOptions) -> Result<()> {
    options.log.start()?;
    let grace = Duration::from_secs(options.grace_seconds);
    let stop = stop_signal()?;
    let settings = Settings::load(&options)?;
    if let Some(running) = Running::start(settings, grace, &stop).await? {
        stop.cancelled().await;
        running.stop(grace).await;
    }
    Ok(())
}

/// The parts, in the order in which they depend on each other.
struct Running {
    sandbox: Option<Sandbox>,
    carrier: Carrier,
    directory: Arc<Directory>,
    worker: Worker,
    ingress: Ingress,
    _settings: Settings,
}

impl Running {
    /// Starts everything; `None`: it was told to `stop` before it had reached NATS. `grace`: how long stopping may take.
    async fn start(
        mut settings: Settings,
        grace: Duration,
        stop: &CancellationToken,
    ) -> Result<Option<Self>> {
        let sandbox = match settings.sandbox.take() {
            Some(place) => Some(start_sandbox(&mut settings, place).await?),
            None => None,
        };
        let receiver_resources = ReceiverResources::new(
            &settings.projects,
            Some(&settings.secret),
            settings.public_url.as_ref(),
            settings.nats.as_ref().map(|nats| nats.lease_ttl),
        )?;
        let listener = listen(settings.listen)?;
        let mut registry = Registry::default();
        let ingress_metrics = IngressMetrics::register(&mut registry);
        let worker_metrics = WorkerMetrics::register(&mut registry);
        let readiness = Arc::new(Readiness::starting());
        let health = PlatformHealth::register(&mut registry, Arc::clone(&readiness));
        let probes = Probes {
            readiness,
            registry: Arc::new(registry),
        };
        let until_there = ProbeServer::start(listener.try_clone()?, &probes)?;
        let carrier = Carrier::open(&settings, &probes.readiness, stop).await?;
        let Some(carrier) = carrier else {
            return Ok(None);
        };
        let backbone = carrier.backbone();
        let readiness = Arc::clone(&probes.readiness);
        let directory = Directory::follow(Arc::clone(&backbone.registry), Arc::clone(&readiness));
        let worker = Worker::start(WorkerOptions {
            backbone: backbone.clone(),
            directory: Arc::clone(&directory),
            platforms: stormhook_worker::platforms::connect(
                &settings.projects,
                backbone.leases.ttl(),
                &health,
            )?,
            names: stormhook_worker::platforms::names(&settings.projects),
            outcome_log: settings.folder.outcome_log(),
            readiness: Arc::clone(&readiness),
            metrics: worker_metrics,
            signing_key: Some(settings.signing_key()?),
            retention: settings.retention.clone(),
            receiver_resources,
        })
        .await;
        let demo = if sandbox.is_some() {
            demo::receiver(&backbone, &directory).await?
        } else {
            None
        };
        let hook_keys = HookKeys::new(&settings.secret);
        let ingress = stormhook_ingress::start(IngressOptions {
            listener,
            public_url: settings.public_url.clone(),
            hook_keys: hook_keys.clone(),
            session_keys: SessionKeys::new(&settings.secret),
            api_keys: settings.api_keys.clone(),
            threads: HTTP_THREADS,
            backbone,
            directory: Arc::clone(&directory),
            probes,
            metrics: ingress_metrics,
            database: carrier.snapshots().map(|snapshots| DatabaseCopies {
                snapshots,
                folder: settings.folder.path().to_owned(),
                secret_fingerprint: fingerprint(&settings.secret),
            }),
            grace,
        })?;
        until_there.stop().await;
        readiness.started();
        let address = format!("http://{}", ingress.address());
        settings.leave_credentials(&address)?;
        let demo_url = demo.map(|receiver| {
            let base = settings
                .public_url
                .as_ref()
                .map_or(address.as_str(), |url| url.as_str());
            hook_keys.url(base, &receiver)
        });
        print(&settings.welcome(&address, sandbox.as_ref().map(Sandbox::url), demo_url))?;
        Ok(Some(Self {
            sandbox,
            carrier,
            directory,
            worker,
            ingress,
            _settings: settings,
        }))
    }

    /// Stops in the order in which nothing new comes: callers, then actions, then what they stand on. Actions have what
    /// callers leave of `grace`.
    async fn stop(self, grace: Duration) {
        let begun = Instant::now();
        self.ingress.stop().await;
        let left = grace.saturating_sub(begun.elapsed());
        self.worker.stop(left).await;
        self.directory.stop().await;
        self.carrier.close().await;
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

async fn start_sandbox(settings: &mut Settings, place: settings::SandboxPlace) -> Result<Sandbox> {
    let sandbox = stormhook_sandbox::start(SandboxOptions {
        listen: place.listen,
        data_dir: place.data_dir,
        access_key: None,
        secret_key: None,
    })
    .await?;
    let url = sandbox
        .url()
        .parse()
        .context("the practice platform's address")?;
    settings
        .projects
        .insert(demo::project()?, demo::connection(url));
    Ok(sandbox)
}
