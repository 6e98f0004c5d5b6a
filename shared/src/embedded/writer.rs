//! Group commit: one thread takes all writes that wait, applies them to one transaction, commits it durably, and
//! only then tells each of them its own fate. Comparisons are made inside the transaction, so that writes of one
//! batch see each other.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use redb::{ReadableDatabase, Table, WriteTransaction};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::database::{Database, down};
use super::tables::{self, NUMBERS};
use super::{EmbeddedOptions, NAME};
use crate::domain::group::Partition;
use crate::domain::ids::{Revision, Sequence};
use crate::ports::Unavailable;
use crate::ports::registry::Change;

/// How many writes share a transaction at most.
const LARGEST_BATCH: usize = 4_096;
/// How many changes of receivers a slow watcher may be behind.
const WATCH_BUFFER: usize = 1_024;

/// Takes writes for the writer's thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Write>>>,
    /// The last sequence of each partition.
    pub(super) sequences: Vec<watch::Receiver<Sequence>>,
    /// The last sequence of all partitions.
    pub(super) newest: watch::Receiver<Sequence>,
    /// The last revision of the ledger.
    pub(super) revision: watch::Receiver<Revision>,
    /// Changes of receivers, after their commit.
    pub(super) changes: broadcast::Sender<Change>,
}

/// A write: applied inside a transaction, told its fate after the commit.
pub(super) type Write = Box<dyn FnOnce(&mut Batch<'_>) -> Result<Option<Fate>, redb::Error> + Send>;

/// Tells a caller what became of its write: what the transaction decided, if it was committed.
pub(super) type Fate = Box<dyn FnOnce(Result<(), Unavailable>) + Send>;

/// The tables of the transaction that a write is applied to.
pub(super) struct Batch<'txn> {
    pub(super) triggers: Table<'txn, (u16, u64), &'static [u8]>,
    pub(super) trigger_ids: Table<'txn, u128, (u16, u64)>,
    pub(super) ledger: Table<'txn, u64, &'static [u8]>,
    pub(super) ledger_last: Table<'txn, &'static str, u64>,
    pub(super) receivers: Table<'txn, &'static [u8], &'static [u8]>,
    pub(super) receiver_names: Table<'txn, (&'static str, &'static str), &'static [u8]>,
    pub(super) cursors: Table<'txn, u16, &'static [u8]>,
    pub(super) counters: Counters,
    /// The partitions that got triggers.
    pub(super) appended: Vec<(Partition, Sequence)>,
    /// What became of receivers.
    pub(super) changes: Vec<Change>,
}

/// The last number of each log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) sequence: u64,
    pub(super) revision: u64,
    pub(super) change: u64,
}

impl Writer {
    /// Starts the thread that writes to `database`.
    pub(super) fn start(
        database: Arc<Database>,
        options: &EmbeddedOptions,
    ) -> Result<(Self, JoinHandle<()>), redb::Error> {
        let open = database.get().map_err(|_| redb::Error::DatabaseClosed)?;
        let counters = Counters::read(&open)?;
        drop(open);
        let (queue, writes) = mpsc::channel(options.queue);
        let (sequence_senders, sequences) = options
            .partitions
            .iter()
            .map(|_| watch::channel(Sequence(0)))
            .unzip();
        let (newest_sender, newest) = watch::channel(Sequence(counters.sequence));
        let (revision_sender, revision) = watch::channel(Revision(counters.revision));
        let changes = broadcast::Sender::new(WATCH_BUFFER);
        let work = Work {
            database,
            counters: Some(counters),
            sequences: sequence_senders,
            newest: newest_sender,
            revision: revision_sender,
            changes: changes.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("backbone-writer".to_owned())
            .spawn(move || work.run(writes))
            .map_err(redb::Error::Io)?;
        let writer = Self {
            queue: Mutex::new(Some(queue)),
            sequences,
            newest,
            revision,
            changes,
        };
        Ok((writer, thread))
    }

    /// Has `apply` applied in the next transaction, and returns what it decided once that is durable.
    pub(super) async fn write<T, E>(
        &self,
        options: &EmbeddedOptions,
        apply: impl FnOnce(&mut Batch<'_>) -> Result<Result<T, E>, redb::Error> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let write: Write = Box::new(move |batch| {
            // Whoever has given up waiting was told that nothing was accepted.
            if reply.is_closed() {
                return Ok(None);
            }
            let decided = apply(batch)?;
            let fate: Fate = Box::new(move |committed| {
                let _ = reply.send(match committed {
                    Ok(()) => decided,
                    Err(error) => Err(error.into()),
                });
            });
            Ok(Some(fate))
        });
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let queue = queue.ok_or_else(|| down("it is closed"))?;
        queue.try_send(write).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Overloaded(NAME),
            mpsc::error::TrySendError::Closed(_) => down("it is closed"),
        })?;
        let after = options.append_timeout;
        match tokio::time::timeout(after, answer).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(_)) => Err(down("the write was given up").into()),
            Err(_) => Err(Unavailable::TimedOut { what: NAME, after }.into()),
        }
    }

    /// Takes no more writes; the thread ends when those that wait are done.
    pub(super) fn close(&self) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// What the thread works with.
struct Work {
    database: Arc<Database>,
    /// `None` after a commit that failed: its disk may have kept it all the same.
    counters: Option<Counters>,
    sequences: Vec<watch::Sender<Sequence>>,
    newest: watch::Sender<Sequence>,
    revision: watch::Sender<Revision>,
    changes: broadcast::Sender<Change>,
}

impl Work {
    fn run(mut self, mut writes: mpsc::Receiver<Write>) {
        while let Some(first) = writes.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < LARGEST_BATCH
                && let Ok(next) = writes.try_recv()
            {
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, writes: Vec<Write>) {
        let mut fates = Vec::with_capacity(writes.len());
        let committed = self.database.get().and_then(|database| {
            self.apply(&database, writes, &mut fates).map_err(|error| {
                tracing::error!(%error, "the embedded backbone could not commit");
                self.database.failed(&database, &error)
            })
        });
        for fate in fates {
            fate(committed.clone());
        }
    }

    fn apply(
        &mut self,
        database: &redb::Database,
        writes: Vec<Write>,
        fates: &mut Vec<Fate>,
    ) -> Result<(), redb::Error> {
        let before = match self.counters.take() {
            Some(counters) => counters,
            None => Counters::read(database)?,
        };
        let transaction = database.begin_write()?;
        let (counters, appended, changes) = {
            let mut batch = Batch::open(&transaction, before)?;
            for write in writes {
                fates.extend(write(&mut batch)?);
            }
            (batch.counters, batch.appended, batch.changes)
        };
        if counters != before {
            counters.write(&transaction)?;
        }
        transaction.commit()?;
        self.counters = Some(counters);
        for (partition, sequence) in appended {
            if let Some(sender) = self.sequences.get(usize::from(partition.0)) {
                sender.send_replace(sequence);
            }
        }
        if *self.newest.borrow() != Sequence(counters.sequence) {
            self.newest.send_replace(Sequence(counters.sequence));
        }
        if *self.revision.borrow() != Revision(counters.revision) {
            self.revision.send_replace(Revision(counters.revision));
        }
        for change in changes {
            let _ = self.changes.send(change); // Nobody watches just now.
        }
        Ok(())
    }
}

impl<'txn> Batch<'txn> {
    fn open(transaction: &'txn WriteTransaction, counters: Counters) -> Result<Self, redb::Error> {
        Ok(Self {
            triggers: transaction.open_table(tables::TRIGGERS)?,
            trigger_ids: transaction.open_table(tables::TRIGGER_IDS)?,
            ledger: transaction.open_table(tables::LEDGER)?,
            ledger_last: transaction.open_table(tables::LEDGER_LAST)?,
            receivers: transaction.open_table(tables::RECEIVERS)?,
            receiver_names: transaction.open_table(tables::RECEIVER_NAMES)?,
            cursors: transaction.open_table(tables::CURSORS)?,
            counters,
            appended: Vec::new(),
            changes: Vec::new(),
        })
    }
}

impl Counters {
    fn read(database: &redb::Database) -> Result<Self, redb::Error> {
        let numbers = database.begin_read()?.open_table(NUMBERS)?;
        let last = |name| -> Result<u64, redb::Error> {
            Ok(numbers.get(name)?.map_or(0, |number| number.value()))
        };
        Ok(Self {
            sequence: last(tables::LAST_SEQUENCE)?,
            revision: last(tables::LAST_REVISION)?,
            change: last(tables::LAST_CHANGE)?,
        })
    }

    fn write(self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert(tables::LAST_SEQUENCE, self.sequence)?;
        numbers.insert(tables::LAST_REVISION, self.revision)?;
        numbers.insert(tables::LAST_CHANGE, self.change)?;
        Ok(())
    }
}
