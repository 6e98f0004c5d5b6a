//! The ports over one redb database in one process. All writes go through one thread, which lets those that
//! wait together share one durable transaction; reads run beside it on snapshots.

mod cursors;
mod database;
mod leases;
mod ledger;
mod questions;
mod registry;
mod snapshot;
mod tables;
mod trigger_log;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::group::Partitions;
use crate::ports::Backbone;
use crate::ports::trigger_log::DUPLICATE_WINDOW;

use database::Database;
use leases::EmbeddedLeases;
use questions::EmbeddedQuestions;
pub use snapshot::Snapshots;
use writer::Writer;

/// What the backbone is called in errors.
const NAME: &str = "the embedded backbone";

/// A backbone in this process.
pub struct Embedded {
    shared: Arc<Shared>,
    questions: Arc<EmbeddedQuestions>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the ports have in common.
struct Shared {
    database: Arc<Database>,
    writer: Writer,
    options: EmbeddedOptions,
}

/// How the backbone behaves.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Over how many partitions the trigger log is spread. Fixed once the database exists.
    pub partitions: Partitions,
    /// How long a write waits for its commit.
    pub append_timeout: Duration,
    /// How many writes wait for their commit before more are refused.
    pub queue: usize,
    /// How long idempotency keys are remembered.
    pub duplicate_window: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            partitions: Partitions::DEFAULT,
            append_timeout: Duration::from_secs(5),
            queue: 8_192,
            duplicate_window: DUPLICATE_WINDOW,
        }
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the database {0} is in use by another process; stop that, or choose another data folder"
    )]
    InUse(PathBuf),
    /// A newer version wrote it.
    #[error(
        "the database {path} was written by a newer version (format {found}); use that version, or another data folder"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It is spread over another number of partitions.
    #[error(
        "the database {path} has {found} partitions, not {wanted}; their number is fixed when it is created"
    )]
    OtherPartitions {
        /// Which.
        path: PathBuf,
        /// Its number.
        found: u64,
        /// The configured number.
        wanted: u16,
    },
    /// It cannot be read.
    #[error(
        "the database {path} cannot be opened: {reason}; restore it from a backup, or move it away to begin anew"
    )]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Embedded {
    /// Opens the database file at `path`, or creates it.
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<Self, OpenError> {
        Self::over(Database::open(path, options.partitions)?, path, options)
    }

    /// A backbone over an open database, whose file is at `path`.
    fn over(database: Database, path: &Path, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let database = Arc::new(database);
        let (writer, thread) = Writer::start(Arc::clone(&database), &options).map_err(|error| {
            OpenError::Unusable {
                path: path.to_owned(),
                reason: error.to_string(),
            }
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                database,
                writer,
                options,
            }),
            questions: Arc::default(),
            thread: Some(thread),
        })
    }

    /// All ports over this database.
    pub fn backbone(&self) -> Backbone {
        Backbone {
            triggers: Arc::new(trigger_log::EmbeddedTriggerLog(Arc::clone(&self.shared))),
            ledger: Arc::new(ledger::EmbeddedLedger(Arc::clone(&self.shared))),
            registry: Arc::new(registry::EmbeddedRegistry(Arc::clone(&self.shared))),
            leases: Arc::new(EmbeddedLeases),
            cursors: Arc::new(cursors::EmbeddedCursors(Arc::clone(&self.shared))),
            questions: Arc::clone(&self.questions) as _,
        }
    }

    /// Copies the database while it is in use.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots(Arc::clone(&self.shared))
    }

    /// Commits what waits, and closes the database.
    pub async fn close(mut self) {
        self.shared.writer.close();
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer of the embedded backbone ended in a panic");
            }
        }
        self.shared.database.close();
    }
}
