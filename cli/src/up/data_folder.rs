//! The data folder of `up`: taken by one process at a time, of one format, holding the deployment's secret, the
//! operator's key, the backbone's database, the outcome log and the practice platform's state.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use stormhook_shared::hook_key::DeploymentSecret;

/// The format that this version writes.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const SECRET_FILE: &str = "secret";
const SECRET_BYTES: usize = 32;

/// A data folder that this process has taken.
pub struct DataFolder {
    path: PathBuf,
    /// Freed by the operating system when the process ends, however it ends.
    _lock: File,
}

/// The folder `name` in the user's data folder.
pub fn default_path(name: &str) -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .map(|folder| folder.join(name))
        .context("neither HOME nor XDG_DATA_HOME is set, so there is no default data folder; give --data-dir")
}

impl DataFolder {
    /// The file with the operator's key, which the other commands read.
    pub const CREDENTIALS: &str = "credentials.json";

    /// Takes the folder at `path` for this process, and makes it where it is not there.
    pub fn take(path: &Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("create the data folder {}", path.display()))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .with_context(|| {
                format!("open {} in the data folder", path.join(LOCK_FILE).display())
            })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "the data folder {} is in use by another process; stop that, or choose another with --data-dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error)
                    .with_context(|| format!("lock the data folder {}", path.display()));
            }
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

    /// The deployment's secret, made at the first start.
    pub fn secret(&self) -> Result<DeploymentSecret> {
        let path = self.path.join(SECRET_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut bytes = vec![0; SECRET_BYTES];
                getrandom::fill(&mut bytes).context("make the deployment's secret")?;
                self.write(SECRET_FILE, &bytes)?;
                bytes
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        DeploymentSecret::new(bytes).with_context(|| format!("the secret in {}", path.display()))
    }

    /// Writes a file that only the owner can read: all of it or, if the process dies meanwhile, nothing.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
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
        write().with_context(|| format!("write {}", path.display()))
    }

    fn check_format(&self) -> Result<()> {
        let path = self.path.join(FORMAT_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.write(FORMAT_FILE, format!("{FORMAT}\n").as_bytes());
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(newer) if newer > FORMAT => bail!(
                "the data folder {} was written by a newer version (format {newer}, this one knows {FORMAT}); \
                 use that version, or choose another folder with --data-dir",
                self.path.display()
            ),
            _ => bail!(
                "{} does not say a format: is {} a data folder of Stormhook?",
                path.display(),
                self.path.display()
            ),
        }
    }
}
