//! The database file: opened, checked, read from, and opened again when its disk had failed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{DatabaseError, ReadTransaction, ReadableDatabase, StorageError};

use super::tables::{self, NUMBERS};
use super::{NAME, OpenError};
use crate::domain::group::Partitions;
use crate::ports::Unavailable;

/// The format that this version writes.
const FORMAT: u64 = 1;
/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// The database file.
pub(super) struct Database {
    path: PathBuf,
    open: RwLock<Option<Arc<redb::Database>>>,
}

impl Database {
    /// Opens the file at `path`, or creates it with `partitions`.
    pub(super) fn open(path: &Path, partitions: Partitions) -> Result<Self, OpenError> {
        let unusable = |error: redb::Error| OpenError::Unusable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let open = open(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
            error => unusable(error.into()),
        })?;
        let (format, found) = prepare(&open, partitions).map_err(unusable)?;
        if format > FORMAT {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found: format,
            });
        }
        if found != u64::from(partitions.0.get()) {
            return Err(OpenError::OtherPartitions {
                path: path.to_owned(),
                found,
                wanted: partitions.0.get(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            open: RwLock::new(Some(Arc::new(open))),
        })
    }

    /// The open database.
    pub(super) fn get(&self) -> Result<Arc<redb::Database>, Unavailable> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.clone().ok_or_else(|| down("it is closed"))
    }

    /// Reads with `read` on a thread where it may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let database = self.get()?;
        let blocking = move || {
            let transaction = database.begin_read()?;
            read(&transaction)
        };
        match tokio::task::spawn_blocking(blocking).await {
            Ok(result) => result.map_err(down),
            Err(error) => Err(down(error)),
        }
    }

    /// Opens the file again after an error of its disk, which redb does not recover from by itself.
    pub(super) fn reopen(&self) -> Result<(), Unavailable> {
        self.close();
        let opened = open(&self.path).map_err(down)?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opened));
        Ok(())
    }

    /// Closes the file once the reads that run have ended.
    pub(super) fn close(&self) {
        self.open
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// The backbone cannot be used, because of `reason`.
pub(super) fn down(reason: impl std::fmt::Display) -> Unavailable {
    Unavailable::Down {
        what: NAME,
        reason: reason.to_string(),
    }
}

/// Whether `error` leaves the database unusable until it is opened again.
pub(super) fn needs_reopening(error: &redb::Error) -> bool {
    matches!(
        error,
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed
    )
}

fn open(path: &Path) -> Result<redb::Database, DatabaseError> {
    redb::Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
}

/// Makes the tables where they are missing, and returns format and number of partitions.
fn prepare(database: &redb::Database, partitions: Partitions) -> Result<(u64, u64), redb::Error> {
    if let Some(known) = known(database)? {
        return Ok(known);
    }
    let transaction = database.begin_write()?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert(tables::FORMAT, FORMAT)?;
        numbers.insert(tables::PARTITIONS, u64::from(partitions.0.get()))?;
        transaction.open_table(tables::TRIGGERS)?;
        transaction.open_table(tables::TRIGGER_IDS)?;
        transaction.open_table(tables::LEDGER)?;
        transaction.open_table(tables::LEDGER_LAST)?;
        transaction.open_table(tables::RECEIVERS)?;
        transaction.open_table(tables::RECEIVER_NAMES)?;
        transaction.open_table(tables::CURSORS)?;
    }
    transaction.commit()?;
    Ok((FORMAT, u64::from(partitions.0.get())))
}

fn known(database: &redb::Database) -> Result<Option<(u64, u64)>, redb::Error> {
    let numbers = match database.begin_read()?.open_table(NUMBERS) {
        Ok(numbers) => numbers,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let number = |name| -> Result<u64, StorageError> {
        Ok(numbers.get(name)?.map_or(0, |number| number.value()))
    };
    Ok(Some((number(tables::FORMAT)?, number(tables::PARTITIONS)?)))
}
