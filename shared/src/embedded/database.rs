//! The database file: opened, checked, read from, and opened again when its disk had failed.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{DatabaseError, ReadTransaction, ReadableDatabase, StorageError};

use super::tables::{self, NUMBERS};
use super::{NAME, OpenError};
use crate::domain::group::Partitions;
use crate::ports::Unavailable;

/// The format that this version writes.
const FORMAT: u64 = 1;
/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Opens the file, or creates it.
pub(super) type Opener = Box<dyn Fn() -> Result<redb::Database, DatabaseError> + Send + Sync>;

/// The database file.
pub(super) struct Database {
    opener: Opener,
    state: RwLock<State>,
}

enum State {
    Open(Arc<redb::Database>),
    /// Its disk failed, with this error; redb does not recover from that before it is opened again.
    Failed(String),
    Closed,
}

impl Database {
    /// Opens the file at `path`, or creates it with `partitions`.
    pub(super) fn open(path: &Path, partitions: Partitions) -> Result<Self, OpenError> {
        let file = path.to_owned();
        Self::open_with(path, partitions, Box::new(move || open(&file)))
    }

    /// The same, where `opener` opens the file.
    pub(super) fn open_with(
        path: &Path,
        partitions: Partitions,
        opener: Opener,
    ) -> Result<Self, OpenError> {
        let unusable = |error: redb::Error| OpenError::Unusable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let open = opener().map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
            error => unusable(error.into()),
        })?;
        let (format, found) = prepare(&open, partitions).map_err(unusable)?;
        check(path.to_owned(), partitions, format, found)?;
        Ok(Self {
            opener,
            state: RwLock::new(State::Open(Arc::new(open))),
        })
    }

    /// The open database. One whose disk had failed is opened again first, which may block.
    pub(super) fn get(&self) -> Result<Arc<redb::Database>, Unavailable> {
        if let State::Open(database) = &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(database));
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(database) => Ok(Arc::clone(database)),
            State::Closed => Err(down("it is closed")),
            State::Failed(reason) => match (self.opener)() {
                Ok(database) => {
                    tracing::warn!(%reason, "the database was opened again after its disk had failed");
                    let database = Arc::new(database);
                    *state = State::Open(Arc::clone(&database));
                    Ok(database)
                }
                Err(error) => Err(down(format!(
                    "its disk failed ({reason}), and opening it again failed too: {error}"
                ))),
            },
        }
    }

    /// Reads with `read` on a thread where it may block.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let this = Arc::clone(self);
        let blocking = move || {
            let database = this.get()?;
            let result = database
                .begin_read()
                .map_err(redb::Error::from)
                .and_then(|transaction| read(&transaction));
            result.map_err(|error| this.failed(&database, &error))
        };
        match tokio::task::spawn_blocking(blocking).await {
            Ok(result) => result,
            Err(error) => Err(down(error)),
        }
    }

    /// Takes note of an `error` of `database`: where it does not recover by itself, it is opened again for the
    /// next use. Returns what the caller is told.
    pub(super) fn failed(
        &self,
        database: &Arc<redb::Database>,
        error: &redb::Error,
    ) -> Unavailable {
        if needs_reopening(error) {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            // It may have been opened again since this use of it began.
            if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, database)) {
                *state = State::Failed(error.to_string());
            }
        }
        down(error)
    }

    /// Closes the file once the reads that run have ended.
    pub(super) fn close(&self) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Closed;
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
fn needs_reopening(error: &redb::Error) -> bool {
    matches!(
        error,
        redb::Error::Io(_)
            | redb::Error::PreviousIo
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_)
    )
}

fn open(path: &Path) -> Result<redb::Database, DatabaseError> {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    if is_there(path)? {
        builder.open(path)
    } else {
        create(&builder, path)
    }
}

/// Whether there is a database at `path`. An empty file is none: nothing is lost with it.
fn is_there(path: &Path) -> std::io::Result<bool> {
    match fs::metadata(path) {
        Ok(file) => Ok(file.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a database under another name first: redb marks a file as its own only after the rest is on the disk, and refuses
/// what a process left that was killed before. The folder is this process's alone, and the file its owner's: others may be
/// let into a folder that was there before.
fn create(builder: &redb::Builder, path: &Path) -> Result<redb::Database, DatabaseError> {
    let draft = draft_of(path);
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error.into());
    }
    let file = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&draft)?;
    let database = builder.create_with_backend(FileBackend::new(file)?)?;
    fs::rename(&draft, path)?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(database)
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn check(path: PathBuf, partitions: Partitions, format: u64, found: u64) -> Result<(), OpenError> {
    if format > FORMAT {
        return Err(OpenError::Newer {
            path,
            found: format,
        });
    }
    let wanted = partitions.0.get();
    if found != u64::from(wanted) {
        return Err(OpenError::OtherPartitions {
            path,
            found,
            wanted,
        });
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_database_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        Database::open(&path, Partitions::DEFAULT).unwrap().close();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_a_kill_left_of_the_first_start_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        fs::write(&path, "").unwrap();
        fs::write(draft_of(&path), [0_u8; 8_192]).unwrap();
        for _ in 0..2 {
            let database = Database::open(&path, Partitions::DEFAULT).unwrap();
            database.close();
            assert!(!draft_of(&path).exists());
        }
    }

    #[test]
    fn what_is_no_database_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        fs::write(&path, [0_u8; 8_192]).unwrap();
        let refused = Database::open(&path, Partitions::DEFAULT);
        assert!(matches!(refused, Err(OpenError::Unusable { .. })));
        assert_eq!(fs::read(&path).unwrap(), [0_u8; 8_192]);
    }
}
