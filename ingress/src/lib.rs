//! The ingress: checks keys, appends triggers to the log, answers; manages receivers; passes questions of history
//! on to workers. It holds no platform credentials and no history.
//!
//! The main path is `endpoint`; the management calls are `receivers`, `triggers` and `targets`; `feed` tells live what
//! happens; the files of the web page, which is made of these calls, stand in `../web`.

mod access;
mod app;
mod audit;
mod backup;
mod body;
mod counts;
mod endpoint;
mod error;
mod events;
mod feed;
mod idempotency;
mod kept_headers;
mod marker;
mod metrics;
mod openapi;
mod page;
mod prefer;
mod presence;
mod protection;
mod receiver_actions;
mod receivers;
mod record;
mod redaction;
mod redelivery;
mod replay;
mod routes;
mod schemas;
mod session;
mod signature;
mod system;
mod targets;
mod trigger_json;
mod triggers;
mod what_if;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::{App as ActixApp, HttpServer, web};
use stormhook_shared::configuration::ApiKey;
use stormhook_shared::directory::Directory;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::embedded::Snapshots;
use stormhook_shared::hook_key::HookKeys;
use stormhook_shared::management_record::ManagementRecord;
use stormhook_shared::ports::Backbone;
use stormhook_shared::program::head::answer_head;
use stormhook_shared::program::probes::Probes;
use stormhook_shared::session_key::SessionKeys;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use app::App;
use feed::Feed;
pub use metrics::IngressMetrics;

/// How long a caller may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may idle between requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What an ingress needs.
pub struct IngressOptions {
    /// Where callers come in.
    pub listener: TcpListener,
    /// What trigger URLs begin with; where absent, the address that a request came to.
    pub public_url: Option<Url>,
    /// Makes and checks the keys in trigger URLs.
    pub hook_keys: HookKeys,
    /// Makes and checks the tokens of the web page's sessions.
    pub session_keys: SessionKeys,
    /// Who may manage.
    pub api_keys: Vec<ApiKey>,
    /// How many threads answer.
    pub threads: usize,
    /// What carries triggers and receivers.
    pub backbone: Backbone,
    /// The receivers, as a copy that follows the registry.
    pub directory: Arc<Directory>,
    /// What it tells of itself.
    pub probes: Probes,
    /// What it measures.
    pub metrics: IngressMetrics,
    /// The embedded database, where there is one.
    pub database: Option<DatabaseCopies>,
    /// How long requests may take to be answered when it stops.
    pub grace: Duration,
}

/// The embedded database, to be copied for backups.
pub struct DatabaseCopies {
    /// Makes the copies.
    pub snapshots: Snapshots,
    /// Where they are until they are sent.
    pub folder: PathBuf,
    /// What the deployment's secret is known by: a backup without it, or with another one, has no valid trigger URL.
    pub secret_fingerprint: String,
}

/// A running ingress.
pub struct Ingress {
    address: SocketAddr,
    server: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
    feed: JoinHandle<()>,
    presence: JoinHandle<()>,
    stop: CancellationToken,
}

/// Starts to answer callers.
pub fn start(options: IngressOptions) -> std::io::Result<Ingress> {
    let IngressOptions {
        listener,
        probes,
        threads,
        grace,
        ..
    } = options;
    let address = listener.local_addr()?;
    let public_url = options
        .public_url
        .map(|url| url.as_str().trim_end_matches('/').to_owned());
    let stop = CancellationToken::new();
    let (feed, feed_task) = Feed::start(
        options.backbone.clone(),
        Arc::clone(&options.directory),
        public_url.clone().unwrap_or_default(),
        options.metrics.slow_viewers.clone(),
        stop.clone(),
    );
    let presence = presence::tell(Arc::clone(&options.backbone.leases), stop.clone());
    let record = ManagementRecord::new(Arc::clone(&options.backbone.ledger));
    let app = web::Data::new(App {
        backbone: options.backbone,
        directory: options.directory,
        hook_keys: options.hook_keys,
        session_keys: options.session_keys,
        api_keys: options.api_keys,
        feed,
        probes: probes.clone(),
        started_at: Timestamp::now(),
        metrics: options.metrics,
        record,
        turn_to_change: Semaphore::new(1),
        database: options.database,
        stop: stop.clone(),
        public_url,
    });
    let compressed = web::Data::new(page::Compressed::default());
    let server = HttpServer::new(move || {
        let probes = probes.clone();
        ActixApp::new()
            .app_data(app.clone())
            .app_data(compressed.clone())
            .wrap(from_fn(schemas::name_in_header))
            .wrap(from_fn(protection::protect))
            .wrap(NormalizePath::trim())
            .wrap(from_fn(answer_head))
            .configure(|routes| probes.configure(routes))
            .configure(routes::configure)
    })
    .workers(threads)
    .client_request_timeout(HEAD_TIMEOUT)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(grace.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(Ingress {
        address,
        server: server.handle(),
        task: tokio::spawn(server),
        feed: feed_task,
        presence: tokio::spawn(presence),
        stop,
    })
}

impl Ingress {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and ends those that are open once their requests are answered or the time for that is
    /// over. What waits or is viewed, which may go on for long, is answered or ended at once.
    pub async fn stop(self) {
        let stopped = self.server.stop(true); // It begins before it is awaited.
        self.stop.cancel();
        for task in [self.feed, self.presence] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the ingress ended in a panic");
            }
        }
        stopped.await;
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(%error, "the HTTP server ended with an error");
        }
    }
}
