//! The data folder of `up` or of a worker: taken by one process at a time, of one format. A worker has its outcome log
//! there; `up` also the deployment's secret, the operator's key, the backbone's database and the practice platform's
//! state.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::hook_key::{DeploymentSecret, SecretError};

/// The format that this version writes.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const SECRET_BYTES: usize = 32;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// There is no default.
    #[error(
        "neither HOME nor XDG_DATA_HOME is set, so there is no default data folder; give --data-dir"
    )]
    NoDefault,
    /// Something in it cannot be read or written.
    #[error("{attempt} {path}: {source}")]
    Unusable {
        /// What was attempted.
        attempt: &'static str,
        /// With what.
        path: PathBuf,
        /// What came of it.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error(
        "the data folder {0} is in use by another process; stop that, or choose another with --data-dir"
    )]
    InUse(PathBuf),
    /// A newer version wrote it.
    #[error(
        "the data folder {path} was written by a newer version (format {found}, this one knows {FORMAT}); \
         use that version, or choose another folder with --data-dir"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It says no format.
    #[error("{file} does not say a format: is {path} a data folder of Stormhook?")]
    NoFormat {
        /// Where the format would stand.
        file: PathBuf,
        /// The folder.
        path: PathBuf,
    },
    /// Its secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Its secret is gone, but not what was made under it.
    #[error(
        "the data folder {folder} has a database but no secret, and under a new one no trigger URL that was given out would \
         be valid: put {secret} back from a backup, or name the secret's file with --secret-file; to end all these URLs, \
         make a new one: head -c 32 /dev/urandom >{secret}"
    )]
    LostSecret {
        /// Which folder.
        folder: PathBuf,
        /// Where the secret was.
        secret: PathBuf,
    },
    /// There is no randomness.
    #[error("make the deployment's secret: {0}")]
    NoRandomness(getrandom::Error),
}

/// Adds what was attempted, and with what, to an error.
fn at<'a>(
    attempt: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> DataFolderError + 'a {
    move |source| DataFolderError::Unusable {
        attempt,
        path: path.to_owned(),
        source,
    }
}

/// A data folder that this process has taken.
pub struct DataFolder {
    path: PathBuf,
    /// Freed by the operating system when the process ends, however it ends.
    _lock: File,
}

/// The folder `name` in the user's data folder.
pub fn default_path(name: &str) -> Result<PathBuf, DataFolderError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .map(|folder| folder.join(name))
        .ok_or(DataFolderError::NoDefault)
}

impl DataFolder {
    /// The file with the deployment's secret.
    pub const SECRET: &str = "secret";
    /// The file with the operator's key, which the other commands read.
    pub const CREDENTIALS: &str = "credentials.json";

    /// Takes the folder at `path` for this process, and makes it where it is not there.
    pub fn take(path: &Path) -> Result<Self, DataFolderError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(at("create the data folder", path))?;
        let lock_file = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_file)
            .map_err(at("open", &lock_file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataFolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(at("lock", &lock_file)(error)),
        }
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        folder.check_format()?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The backbone's database.
    pub fn backbone(&self) -> PathBuf {
        self.path.join("backbone.redb")
    }

    /// The folder of the outcome log.
    pub fn outcome_log(&self) -> PathBuf {
        self.path.join("outcomes")
    }

    /// The folder of the practice platform.
    pub fn sandbox(&self) -> PathBuf {
        self.path.join("sandbox")
    }

    /// The deployment's secret, made at the first start. One that was lost is not replaced: the database comes after the
    /// secret, also where a first start is killed, so that trigger URLs under it may have been given out.
    pub fn secret(&self) -> Result<DeploymentSecret, DataFolderError> {
        let path = self.path.join(Self::SECRET);
        if !fs::exists(&path).map_err(at("look for", &path))? {
            if fs::metadata(self.backbone()).is_ok_and(|database| database.len() > 0) {
                return Err(DataFolderError::LostSecret {
                    folder: self.path.clone(),
                    secret: path,
                });
            }
            let mut bytes = [0; SECRET_BYTES];
            getrandom::fill(&mut bytes).map_err(DataFolderError::NoRandomness)?;
            self.write(Self::SECRET, &bytes)?;
        }
        Ok(DeploymentSecret::read(&path)?)
    }

    /// Makes the folder at `path`, one of those in here, for its owner alone, unless it is there.
    pub fn make(&self, path: &Path) -> Result<(), DataFolderError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(at("create the folder", path))
    }

    /// Writes a file that only the owner can read: all of it or, if the process dies meanwhile, nothing.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataFolderError> {
        let path = self.path.join(name);
        let draft = self.path.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(at("write", &path))
    }

    fn check_format(&self) -> Result<(), DataFolderError> {
        let path = self.path.join(FORMAT_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.write(FORMAT_FILE, format!("{FORMAT}\n").as_bytes());
            }
            Err(error) => return Err(at("read", &path)(error)),
        };
        match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(found) if found > FORMAT => Err(DataFolderError::Newer {
                path: self.path.clone(),
                found,
            }),
            _ => Err(DataFolderError::NoFormat {
                file: path,
                path: self.path.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_a_lost_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let taken = DataFolder::take(folder.path()).unwrap();
        taken.secret().unwrap();
        let secret = folder.path().join(DataFolder::SECRET);
        let first = fs::read(&secret).unwrap();
        taken.secret().unwrap();
        assert_eq!(fs::read(&secret).unwrap(), first);

        // A first start that was killed: what it left is no database yet.
        fs::remove_file(&secret).unwrap();
        fs::write(taken.backbone(), "").unwrap();
        taken.secret().unwrap();

        fs::remove_file(&secret).unwrap();
        fs::write(taken.backbone(), "triggers").unwrap();
        let error = taken.secret().unwrap_err();
        assert!(matches!(error, DataFolderError::LostSecret { .. }));
        assert!(!secret.exists());
        fs::write(&secret, &first).unwrap();
        taken.secret().unwrap();
    }

    #[test]
    fn a_folder_in_it_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let taken = DataFolder::take(folder.path()).unwrap();
        for _ in 0..2 {
            taken.make(&taken.sandbox()).unwrap();
            let mode = fs::metadata(taken.sandbox()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
