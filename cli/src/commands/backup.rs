//! `stormhook backup`: the embedded database, the outcome log and the deployment's secret in one file, while Stormhook runs.

pub mod sum;

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use stormhook_shared::audit::export::Place;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::hook_key::DeploymentSecret;
use stormhook_shared::ports::record::Position;
use stormhook_shared::program::data_folder::{self, DataFolder};
use stormhook_shared::program::secret_fingerprint::{self, fingerprint};

use super::audit::export::{self, Page};
use super::table::print;
use crate::arguments::BackupOptions;
use crate::client::Client;
use sum::{Sum, Sums};

/// The names of what a backup has.
pub const MANIFEST: &str = "manifest.json";
pub const DATABASE: &str = "backbone.redb";
pub const LOG: &str = "outcomes.jsonl";
/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    pub version: String,
    pub made_at: Timestamp,
    /// The last entry of the outcome log in it.
    pub head: Place,
    /// Where the ledger goes on after that.
    pub position: Position,
    /// What the other files in it are known by; older versions wrote none of that.
    pub files: Option<Sums>,
}

/// Makes a backup.
pub async fn run(options: BackupOptions) -> Result<()> {
    let folder = match &options.server.data_dir {
        Some(folder) => folder.clone(),
        None => data_folder::default_path("stormhook")?,
    };
    let secret_file = match options.secret_file {
        Some(file) => file,
        None => folder.join(DataFolder::SECRET),
    };
    if !secret_file.exists() {
        bail!(
            "there is no secret at {}: run this on the machine of `stormhook up`, and name its data folder with --data-dir, or \
             the secret's file, where it was given one, with --secret-file",
            secret_file.display()
        );
    }
    let secret = DeploymentSecret::read(&secret_file)?;
    let client = Client::new(&options.server)?;
    let parts = Parts::beside(&options.file)?;
    // The log before the database: the database then has all of the ledger that the log is made of.
    let first: Page = client.get_as("audit/entries", &[]).await?;
    let Some(position) = first.position else {
        bail!("the outcome log is not level yet: try again");
    };
    let head = export::lines(&client, first, BufWriter::new(parts.create(LOG)?)).await?;
    let mut database = parts.create(DATABASE)?;
    let answered = client.download("backup/database", &mut database).await?;
    database.sync_all()?;
    check_secret(&secret, &secret_file, &answered)?;
    parts.copy(&secret_file, DataFolder::SECRET)?;
    let mut names = vec![LOG, DATABASE, DataFolder::SECRET];
    let credentials = folder.join(DataFolder::CREDENTIALS);
    if credentials.exists() {
        parts.copy(&credentials, DataFolder::CREDENTIALS)?;
        names.push(DataFolder::CREDENTIALS);
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Timestamp::now(),
        head,
        position,
        files: Some(parts.sums(&names)?),
    };
    serde_json::to_writer_pretty(parts.create(MANIFEST)?, &manifest)?;
    pack(&parts, &names, &options.file)?;
    print(&format!(
        "{} holds the database, the outcome log up to entry {}, and the deployment's secret: keep it where only you can read it",
        options.file.display(),
        head.number
    ))
}

/// Whether `secret` is the one that the server uses: under another one, no trigger URL of the backup would be valid.
fn check_secret(secret: &DeploymentSecret, file: &Path, answered: &HeaderMap) -> Result<()> {
    let Some(used) = answered.get(secret_fingerprint::HEADER) else {
        bail!(
            "the server does not tell which secret it uses: restart it as this version, or back it up with its own"
        );
    };
    if used != fingerprint(secret).as_str() {
        bail!(
            "{} is not the secret that the server uses, under which its trigger URLs are valid: name the file that `stormhook up` \
             was given as secret_file with --secret-file",
            file.display()
        );
    }
    Ok(())
}

/// Writes the manifest and the files with these `names` into one.
fn pack(parts: &Parts, names: &[&str], file: &Path) -> Result<()> {
    let draft = parts.0.join("backup");
    let mut archive = tar::Builder::new(BufWriter::new(create_private(&draft)?));
    for name in [MANIFEST].iter().chain(names) {
        archive.append_path_with_name(parts.0.join(name), name)?;
    }
    let mut writer = archive.into_inner()?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    fs::rename(&draft, file).with_context(|| format!("write {}", file.display()))
}

/// A folder beside the backup for what it is made of; removed with this.
struct Parts(PathBuf);

impl Parts {
    fn beside(file: &Path) -> Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(".parts");
        let path = PathBuf::from(name);
        fs::create_dir(&path).with_context(|| format!("create the folder {}", path.display()))?;
        Ok(Self(path))
    }

    fn create(&self, name: &str) -> Result<File> {
        create_private(&self.0.join(name))
    }

    /// Takes in a copy of the file at `path`.
    fn copy(&self, path: &Path, name: &str) -> Result<()> {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Ok(self.create(name)?.write_all(&bytes)?)
    }

    /// What its files with these `names` are known by.
    fn sums(&self, names: &[&str]) -> Result<Sums> {
        let sum = |name: &&str| -> Result<_> {
            let sum = Sum::of(&self.0.join(name))?;
            Ok(((*name).to_owned(), sum))
        };
        names.iter().map(sum).collect()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // What is left is named after the backup.
    }
}

/// A new file that only its owner can read.
pub fn create_private(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("create {}", path.display()))
}
