//! `stormhook-worker`: decides and acts, for deployments of several processes on NATS.

mod settings;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use prometheus_client::registry::Registry;
use stormhook_shared::directory::Directory;
use stormhook_shared::program::listener::listen;
use stormhook_shared::program::probes::{ProbeServer, Probes};
use stormhook_shared::program::reach::reach;
use stormhook_shared::program::stop::stop_signal;
use stormhook_shared::telemetry::Readiness;
use stormhook_worker::platforms::PlatformHealth;
use stormhook_worker::{ReceiverResources, Worker, WorkerMetrics, WorkerOptions, platforms};

use settings::{Arguments, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stormhook-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    arguments.fleet.log.start()?;
    let grace = arguments.fleet.grace();
    let stop = stop_signal()?;
    let settings = Settings::load(arguments)?;
    let receiver_resources = ReceiverResources::new(
        &settings.projects,
        settings.secret.as_ref(),
        settings.public_url.as_ref(),
        Some(settings.nats.lease_ttl),
    )?;
    let listener = listen(settings.probe_listen)?;
    println!(
        "stormhook-worker answers probes at http://{}",
        listener.local_addr()?
    );
    let mut registry = Registry::default();
    let metrics = WorkerMetrics::register(&mut registry);
    let readiness = Arc::new(Readiness::starting());
    let health = PlatformHealth::register(&mut registry, Arc::clone(&readiness));
    let probes = Probes {
        readiness,
        registry: Arc::new(registry),
    };
    let server = ProbeServer::start(listener, &probes)?;
    let Some(nats) = reach(&settings.nats, &probes.readiness, &stop).await? else {
        return Ok(());
    };
    let backbone = nats.backbone();
    let readiness = Arc::clone(&probes.readiness);
    let directory = Directory::follow(Arc::clone(&backbone.registry), Arc::clone(&readiness));
    let starting = Worker::start(WorkerOptions {
        platforms: platforms::connect(&settings.projects, backbone.leases.ttl(), &health)?,
        names: platforms::names(&settings.projects),
        backbone,
        directory: Arc::clone(&directory),
        outcome_log: settings.folder.outcome_log(),
        readiness: Arc::clone(&readiness),
        metrics,
        signing_key: settings.signing_key,
        retention: settings.retention,
        receiver_resources,
    });
    let worker = tokio::select! {
        worker = starting => worker,
        () = stop.cancelled() => return Ok(()),
    };
    readiness.started();
    stop.cancelled().await;
    worker.stop(grace).await;
    directory.stop().await;
    nats.close().await;
    server.stop().await;
    Ok(())
}
