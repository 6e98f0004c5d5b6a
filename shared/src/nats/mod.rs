//! The ports over NATS JetStream, for deployments of several processes and machines. Streams and buckets are made where
//! they are missing and checked where they are there; nothing that exists is ever changed.

mod bucket;
mod connection;
mod cursors;
mod definitions;
mod group_commit;
mod leases;
mod ledger;
mod notices;
mod pace;
mod questions;
mod registry;
mod stream;
mod trigger_log;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::domain::group::Partitions;
use crate::ports::Backbone;
use crate::telemetry::Readiness;

use bucket::Bucket;
use connection::Teller;
use cursors::NatsCursors;
use group_commit::GroupCommit;
use leases::NatsLeases;
use ledger::NatsLedger;
use notices::Notices;
use questions::NatsQuestions;
use registry::NatsRegistry;
use stream::Stream;
use trigger_log::NatsTriggerLog;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How the backbone is reached, and how it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsOptions {
    /// The servers: `nats://user:password@a:4222,b:4222`, or `tls://`.
    pub servers: String,
    /// A credentials file, as NATS tools write it.
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// The authority of the servers' certificates, where it is none of the system's.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate and its key, where the servers ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Over how many partitions the trigger log is spread; where absent, as many as it has, or 32.
    pub partitions: Option<Partitions>,
    /// How many servers keep each stream; where absent, as it is, or 1.
    pub replicas: Option<usize>,
    /// How long triggers are kept; where absent, as it is, or 30 days.
    pub trigger_age: Option<Duration>,
    /// How long the ledger is kept; where absent, as it is, or 90 days.
    pub ledger_age: Option<Duration>,
    /// How long a request waits for its answer.
    pub timeout: Duration,
    /// How many appends wait for their acknowledgement before more are refused.
    pub queue: usize,
    /// How long a lease lasts that is not renewed. Whole seconds.
    pub lease_ttl: Duration,
}

impl NatsOptions {
    /// The servers with everything else as usual.
    pub fn at(servers: &str) -> Self {
        Self {
            servers: servers.to_owned(),
            credentials_file: None,
            nkey_file: None,
            ca_file: None,
            certificate: None,
            partitions: None,
            replicas: None,
            trigger_age: None,
            ledger_age: None,
            timeout: Duration::from_secs(5),
            queue: 8_192,
            lease_ttl: Duration::from_secs(3),
        }
    }
}

/// Why the backbone cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An option is wrong.
    #[error("{0}")]
    Options(String),
    /// No server answers.
    #[error("no NATS server answers at {servers}: {reason}")]
    Unreachable {
        /// Where, without passwords.
        servers: String,
        /// Why.
        reason: String,
    },
    /// The servers know no such user.
    #[error(
        "the NATS server at {servers} refuses the credentials: {reason}; check the user in `backbone`, or the credentials or nkey file"
    )]
    Unauthorized {
        /// Where, without passwords.
        servers: String,
        /// Why.
        reason: String,
    },
    /// The server is too old.
    #[error("the NATS server has version {found}, and 2.11 or newer is needed")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The server has no JetStream.
    #[error(
        "JetStream is not enabled on the NATS server, or not for this account: {0}; start nats-server with -js, or enable it in its configuration"
    )]
    NoJetStream(String),
    /// The servers have JetStream, which does not answer.
    #[error(
        "JetStream does not answer at {servers}: {reason}; a cluster answers once most of its servers run and have chosen a leader"
    )]
    Leaderless {
        /// Where, without passwords.
        servers: String,
        /// Why.
        reason: String,
    },
    /// A stream cannot be made.
    #[error("make stream {stream}: {reason}")]
    NotMade {
        /// Which.
        stream: &'static str,
        /// Why.
        reason: String,
    },
    /// A stream is there, and is not what the configuration says.
    #[error(
        "stream {stream} has {found}, and the configuration says {wanted}; change the configuration, or the stream with NATS tools"
    )]
    Contradiction {
        /// Which.
        stream: &'static str,
        /// What it has.
        found: String,
        /// What was configured.
        wanted: String,
    },
}

impl ConnectError {
    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Leaderless { .. } | Self::NotMade { .. }
        )
    }
}

/// A connection to NATS with everything on it.
pub struct Nats {
    client: Client,
    /// A second connection, for long reads.
    reader: Client,
    backbone: Backbone,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Nats {
    /// Connects, and makes or checks streams and buckets. Tells `readiness` whether there is a connection.
    pub async fn connect(
        options: &NatsOptions,
        readiness: &Arc<Readiness>,
    ) -> Result<Self, ConnectError> {
        let teller = Teller::new("stormhook", Arc::clone(readiness));
        let client = connection::connect(options, &teller).await?;
        let found = definitions::make_or_check(&client, options).await?;
        // A server answers the requests of a connection one after the other, and long reads are not to hold up leases.
        // Nothing but the log is told of the second one: what is read over it fails, and is tried again.
        let silent = Teller::new("stormhook reading", Arc::clone(readiness));
        let reader = connection::connect(options, &silent).await?;
        teller.begin(&client);
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let slots = usize::from(found.partitions.0.get());
        let stream = |name, notices: &str, slots| Stream {
            client: client.clone(),
            name,
            timeout: options.timeout,
            notices: Notices::new(notices, slots, tasks.clone(), stop.clone()),
        };
        let triggers = stream(definitions::TRIGGERS, definitions::TRIGGER_NOTICES, slots);
        let reading = Stream {
            client: reader.clone(),
            ..triggers.clone()
        };
        let ledger = stream(definitions::LEDGER, definitions::LEDGER_NOTICES, 1);
        let bucket = |name, prefix, notices: &str| Bucket {
            stream: stream(name, notices, 1),
            prefix,
        };
        let receivers = bucket(
            definitions::RECEIVERS,
            definitions::RECEIVERS_PREFIX,
            definitions::RECEIVER_NOTICES,
        );
        let leases = bucket(definitions::LEASES, definitions::LEASES_PREFIX, "");
        let cursors = bucket(definitions::CURSORS, definitions::CURSORS_PREFIX, "");
        let group_commit = GroupCommit::start(
            triggers.clone(),
            options.queue,
            found.is_atomic,
            &tasks,
            stop.clone(),
        );
        let holder = Uuid::now_v7().to_string();
        let backbone = Backbone {
            questions: Arc::new(NatsQuestions {
                stream: triggers.clone(),
                worker: holder.clone(),
                tasks: tasks.clone(),
            }),
            triggers: Arc::new(NatsTriggerLog {
                stream: triggers,
                reading,
                group_commit,
                keyed: Semaphore::new(options.queue),
                partitions: found.partitions,
            }),
            ledger: Arc::new(NatsLedger {
                stream: ledger,
                partitions: found.partitions,
            }),
            registry: Arc::new(NatsRegistry(receivers)),
            leases: Arc::new(NatsLeases::new(leases, holder, options.lease_ttl)),
            cursors: Arc::new(NatsCursors(cursors)),
        };
        Ok(Self {
            client,
            reader,
            backbone,
            tasks,
            stop,
        })
    }

    /// All ports over this connection.
    pub fn backbone(&self) -> Backbone {
        self.backbone.clone()
    }

    /// Sends what waits, and closes the connection. The ports must not be used any more.
    pub async fn close(self) {
        let Self {
            client,
            reader,
            backbone,
            tasks,
            stop,
        } = self;
        drop(backbone);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        for client in [client, reader] {
            if let Err(error) = client.drain().await {
                tracing::warn!(%error, "the connection to NATS was not closed in order");
            }
        }
    }
}
