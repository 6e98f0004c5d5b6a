//! A practice platform that speaks Rancher's v2-beta API over HTTP, so that hooks can be tried, demonstrated and
//! tested without a cluster. Its state is on disk before a call is answered, and every changing call is recorded.
//!
//! ```text
//! curl http://127.0.0.1:8086/v2-beta/services/1s5
//! curl -X PUT -H 'Content-Type: application/json' -d '{"scale": 3}' http://127.0.0.1:8086/v2-beta/services/1s5
//! curl http://127.0.0.1:8086/sandbox/calls
//! curl -X PUT -d '{"latencyMs": 5, "errorRate": 0.05}' http://127.0.0.1:8086/sandbox/knobs
//! curl -X PUT -d '{"fault": {"times": 3, "status": 429, "retryAfter": "2"}}' http://127.0.0.1:8086/sandbox/knobs
//! curl -X PUT -d '{"evacuationsEnd": "inactive", "slowServices": {"api": 9000}}' http://127.0.0.1:8086/sandbox/knobs
//! curl -X POST -d '{"name": "rack-8", "labels": {"role": "web"}}' http://127.0.0.1:8086/sandbox/hosts
//! curl -X PUT -d '{"state": "disconnected"}' http://127.0.0.1:8086/sandbox/hosts/1h2
//! curl -X PUT -d '{"demand": 3.2}' http://127.0.0.1:8086/sandbox/services/1s5
//! curl http://127.0.0.1:8086/metrics
//! ```

mod admin;
mod cattle;
mod collection;
mod error;
mod events;
mod fault;
mod knobs;
mod metrics;
mod mutation;
mod page;
mod process;
mod proxy;
mod resource;
mod seed;
mod store;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::middleware::NormalizePath;
use actix_web::{App, HttpServer, web};
use tokio::task::JoinHandle;

use store::Store;
pub use store::StoreError;
use world::World;

/// How many threads answer.
const THREADS: usize = 1;
const DATABASE: &str = "sandbox.redb";

/// What a sandbox needs.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// The folder of its state.
    pub data_dir: PathBuf,
    /// The access key that its API asks for; `None`: it asks for none.
    pub access_key: Option<String>,
    /// The secret key that its API asks for.
    pub secret_key: Option<String>,
}

/// Why a sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Its address cannot be had.
    #[error(
        "the practice platform cannot listen on {address}: {source}; stop what listens there, or choose another address with --sandbox-listen (for `stormhook sandbox`: --listen)"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Its state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running sandbox.
pub struct Sandbox {
    address: SocketAddr,
    server: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

/// Starts a sandbox with the state in its folder; a new folder gets a small environment.
pub async fn start(options: SandboxOptions) -> Result<Sandbox, SandboxError> {
    let folder = options.data_dir.clone();
    std::fs::create_dir_all(&folder).map_err(|source| StoreError::Folder {
        path: folder.clone(),
        source,
    })?;
    let store = Store::open(&folder.join(DATABASE))?;
    let credentials = options.access_key.zip(options.secret_key);
    let world = web::Data::from(Arc::new(
        World::load(store, credentials).map_err(StoreError::from)?,
    ));
    let listen = options.listen;
    let unusable = |source| SandboxError::Listen {
        address: listen,
        source,
    };
    let server = HttpServer::new(move || {
        App::new()
            .app_data(world.clone())
            .app_data(web::PayloadConfig::new(16 * 1024 * 1024))
            .wrap(NormalizePath::trim())
            .configure(admin::configure)
            .service(
                web::scope(cattle::PREFIX)
                    .configure(proxy::configure)
                    .configure(cattle::configure),
            )
            .configure(proxy::configure)
            .configure(cattle::configure)
    })
    .workers(THREADS)
    .disable_signals()
    .bind(listen)
    .map_err(unusable)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    let server = server.run();
    Ok(Sandbox {
        address,
        server: server.handle(),
        task: tokio::spawn(server),
    })
}

impl Sandbox {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of its Cattle API.
    pub fn url(&self) -> String {
        format!("http://{}/v2-beta", self.address)
    }

    /// Stops it. Everything that was answered is on disk already.
    pub async fn stop(self) {
        self.server.stop(false).await;
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(%error, "the practice platform ended with an error");
        }
    }
}
