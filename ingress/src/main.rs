//! `stormhook-ingress`: takes triggers and management calls in, for deployments of several processes on NATS.

mod settings;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use prometheus_client::registry::Registry;
use stormhook_ingress::{Ingress, IngressMetrics, IngressOptions};
use stormhook_shared::directory::Directory;
use stormhook_shared::hook_key::HookKeys;
use stormhook_shared::nats::Nats;
use stormhook_shared::program::listener::listen;
use stormhook_shared::program::probes::{ProbeServer, Probes};
use stormhook_shared::program::reach::reach;
use stormhook_shared::program::stop::stop_signal;
use stormhook_shared::session_key::SessionKeys;
use stormhook_shared::telemetry::Readiness;

use settings::{Arguments, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stormhook-ingress: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    arguments.fleet.log.start()?;
    let grace = arguments.fleet.grace();
    let stop = stop_signal()?;
    let settings = Settings::load(arguments)?;
    let listener = listen(settings.listen)?;
    println!("stormhook-ingress at http://{}", listener.local_addr()?);
    let mut registry = Registry::default();
    let metrics = IngressMetrics::register(&mut registry);
    let probes = Probes {
        readiness: Arc::new(Readiness::starting()),
        registry: Arc::new(registry),
    };
    let until_there = ProbeServer::start(listener.try_clone()?, &probes)?;
    let Some(nats) = reach(&settings.nats, &probes.readiness, &stop).await? else {
        return Ok(());
    };
    let backbone = nats.backbone();
    let readiness = Arc::clone(&probes.readiness);
    let directory = Directory::follow(Arc::clone(&backbone.registry), Arc::clone(&readiness));
    let ingress = stormhook_ingress::start(IngressOptions {
        listener,
        public_url: settings.public_url,
        hook_keys: HookKeys::new(&settings.secret),
        session_keys: SessionKeys::new(&settings.secret),
        api_keys: settings.api_keys,
        threads: std::thread::available_parallelism().map_or(2, usize::from),
        backbone,
        directory: Arc::clone(&directory),
        probes,
        metrics,
        database: None,
        grace,
    })?;
    until_there.stop().await;
    readiness.started();
    stop.cancelled().await;
    end(ingress, &directory, nats).await;
    Ok(())
}

/// Stops in the order in which nothing new comes.
async fn end(ingress: Ingress, directory: &Directory, nats: Nats) {
    ingress.stop().await;
    directory.stop().await;
    nats.close().await;
}
