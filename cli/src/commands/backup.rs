//! `stormhook backup`: the embedded database, the outcome log and the deployment's secret in one file, while Stormhook runs.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use stormhook_shared::audit::export::Place;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::record::Position;
use stormhook_shared::program::data_folder::{self, DataFolder};

use super::audit::export::{self, Page};
use super::table::print;
use crate::arguments::BackupOptions;
use crate::client::Client;

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
}

/// Makes a backup.
pub async fn run(options: BackupOptions) -> Result<()> {
    let folder = match &options.server.data_dir {
        Some(folder) => folder.clone(),
        None => data_folder::default_path("stormhook")?,
    };
    let secret = folder.join(DataFolder::SECRET);
    if !secret.exists() {
        bail!(
            "{} has no secret: run this on the machine of `stormhook up`, and name its data folder with --data-dir",
            folder.display()
        );
    }
    let client = Client::new(&options.server)?;
    let parts = Parts::beside(&options.file)?;
    // The log before the database: the database then has all of the ledger that the log is made of.
    let first: Page = client.get_as("audit/entries", &[]).await?;
    let Some(position) = first.position else {
        bail!("the outcome log is not level yet: try again");
    };
    let head = export::lines(&client, first, BufWriter::new(parts.create(LOG)?)).await?;
    let mut database = parts.create(DATABASE)?;
    client.download("backup/database", &mut database).await?;
    database.sync_all()?;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Timestamp::now(),
        head,
        position,
    };
    serde_json::to_writer_pretty(parts.create(MANIFEST)?, &manifest)?;
    pack(&parts, &folder, &options.file)?;
    print(&format!(
        "{} holds the database, the outcome log up to entry {}, and the deployment's secret: keep it where only you can read it",
        options.file.display(),
        head.number
    ))
}

fn pack(parts: &Parts, folder: &Path, file: &Path) -> Result<()> {
    let draft = parts.0.join("backup");
    let mut archive = tar::Builder::new(BufWriter::new(create_private(&draft)?));
    for name in [MANIFEST, LOG, DATABASE] {
        archive.append_path_with_name(parts.0.join(name), name)?;
    }
    for name in [DataFolder::SECRET, DataFolder::CREDENTIALS] {
        let path = folder.join(name);
        if path.exists() {
            archive.append_path_with_name(path, name)?;
        }
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
}

impl Drop for Parts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // What is left is named after the backup.
    }
}

/// A new file that only its owner can read.
fn create_private(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("create {}", path.display()))
}
