//! The sandbox's state on disk: resources, the record of changing calls, and the knobs.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition,
};
use serde_json::Value;

const RESOURCES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("resources");
const CALLS: TableDefinition<u64, &[u8]> = TableDefinition::new("calls");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const KNOBS: TableDefinition<&str, &[u8]> = TableDefinition::new("knobs");
const FORMAT: u64 = 1;
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder cannot be made.
    #[error("create the practice platform's folder {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "the practice platform's state {0} is in use by another process; stop that, or choose another --data-dir"
    )]
    InUse(PathBuf),
    /// A newer version wrote it.
    #[error(
        "the practice platform's state {path} was written by a newer version (format {found}); use that version, or another --data-dir"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It cannot be read or written.
    #[error("the practice platform's state: {0}")]
    Database(#[from] redb::Error),
}

/// The state on disk.
pub(crate) struct Store {
    database: Database,
}

/// What a start finds.
pub(crate) struct Stored {
    /// Each with its kind.
    pub(crate) resources: Vec<(String, Value)>,
    pub(crate) knobs: Option<Value>,
    pub(crate) last_call: u64,
}

/// What is written together.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) resources: Vec<(&'static str, String, &'a Value)>,
    pub(crate) call: Option<(u64, &'a Value)>,
    pub(crate) knobs: Option<&'a Value>,
    pub(crate) forgets_calls: bool,
}

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let database = open(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            error => StoreError::Database(error.into()),
        })?;
        let found = prepare(&database)?;
        if found > FORMAT {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                found,
            });
        }
        Ok(Self { database })
    }

    /// Everything but the calls.
    pub(crate) fn load(&self) -> Result<Stored, redb::Error> {
        let transaction = self.database.begin_read()?;
        let mut resources = Vec::new();
        for item in transaction.open_table(RESOURCES)?.iter()? {
            let (key, bytes) = item?;
            resources.push((key.value().0.to_owned(), parse(bytes.value())?));
        }
        let knobs = transaction.open_table(KNOBS)?.get("knobs")?;
        let knobs = knobs.map(|bytes| parse(bytes.value())).transpose()?;
        let last = transaction
            .open_table(CALLS)?
            .last()?
            .map_or(0, |(number, _)| number.value());
        Ok(Stored {
            resources,
            knobs,
            last_call: last,
        })
    }

    /// Writes durably: all of it or nothing.
    pub(crate) fn write(&self, changes: &Changes<'_>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut resources = transaction.open_table(RESOURCES)?;
            for (kind, id, resource) in &changes.resources {
                resources.insert((*kind, id.as_str()), resource.to_string().as_bytes())?;
            }
            let mut calls = transaction.open_table(CALLS)?;
            if changes.forgets_calls {
                calls.retain(|_, _| false)?;
            }
            if let Some((number, call)) = changes.call {
                calls.insert(number, call.to_string().as_bytes())?;
            }
            if let Some(knobs) = changes.knobs {
                let mut table = transaction.open_table(KNOBS)?;
                table.insert("knobs", knobs.to_string().as_bytes())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The recorded calls after `after`, and how many there are in all.
    pub(crate) fn calls(&self, after: u64, limit: usize) -> Result<(Vec<Value>, u64), redb::Error> {
        let calls = self.database.begin_read()?.open_table(CALLS)?;
        let mut found = Vec::new();
        for item in calls.range(after.saturating_add(1)..)?.take(limit) {
            found.push(parse(item?.1.value())?);
        }
        Ok((found, calls.len()?))
    }
}

fn open(path: &Path) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
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
/// what a process left that was killed before.
fn create(builder: &Builder, path: &Path) -> Result<Database, DatabaseError> {
    let draft = draft_of(path);
    let database = match builder.create(&draft) {
        // Perhaps one was left there; nothing is in it.
        Err(error @ DatabaseError::Storage(_)) => {
            if fs::remove_file(&draft).is_err() {
                return Err(error);
            }
            builder.create(&draft)?
        }
        created => created?,
    };
    // Another process that starts just now came first.
    if is_there(path)? {
        return Err(DatabaseError::DatabaseAlreadyOpen);
    }
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

fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let found = {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let found = numbers.get("format")?.map(|format| format.value());
        if found.is_none() {
            numbers.insert("format", FORMAT)?;
        }
        transaction.open_table(RESOURCES)?;
        transaction.open_table(CALLS)?;
        transaction.open_table(KNOBS)?;
        found.unwrap_or(FORMAT)
    };
    transaction.commit()?;
    Ok(found)
}

fn parse(bytes: &[u8]) -> Result<Value, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kill_left_of_the_first_start_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        fs::write(draft_of(&path), [0_u8; 8_192]).unwrap();
        let store = Store::open(&path).unwrap();
        assert!(!draft_of(&path).exists());
        let another = Store::open(&path);
        assert!(matches!(another, Err(StoreError::InUse(_))));
        drop(store);
        Store::open(&path).unwrap();
    }
}
