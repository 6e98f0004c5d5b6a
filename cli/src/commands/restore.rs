//! `stormhook restore`: a data folder from a backup. The outcome log is checked while it is restored, and each file against
//! its size and hash in the manifest.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use stormhook_shared::audit::export::{Checked, Checker};
use stormhook_shared::program::data_folder::{self, DataFolder};
use stormhook_worker::Import;

use super::backup::sum::{Summing, Sums, compare};
use super::backup::{DATABASE, FORMAT, LOG, MANIFEST, Manifest, create_private};
use super::table::print;
use crate::arguments::RestoreOptions;

/// Restores into a folder that is empty or not there.
pub fn run(options: &RestoreOptions) -> Result<()> {
    let target = match &options.data_dir {
        Some(folder) => folder.clone(),
        None => data_folder::default_path("stormhook")?,
    };
    if fs::read_dir(&target).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!(
            "{} is not empty: move it away, or name another folder with --data-dir",
            target.display()
        );
    }
    // Beside it first, so that there is all of it or nothing.
    let draft = beside(&target);
    if draft.exists() {
        bail!(
            "{} is left of a restore that did not end: remove it",
            draft.display()
        );
    }
    let restored = restore(&options.file, &draft);
    let manifest = match restored {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = fs::remove_dir_all(&draft); // It is not there if not even that could be made.
            return Err(error).with_context(|| format!("restore {}", options.file.display()));
        }
    };
    fs::rename(&draft, &target).with_context(|| format!("make {}", target.display()))?;
    print(&format!(
        "{} is restored as it was at {}; its outcome log is as it was written, up to entry {}\nhead {}",
        target.display(),
        manifest.made_at,
        manifest.head.number,
        manifest.head.hash
    ))?;
    if manifest.files.is_none() {
        print(
            "the backup is of a version that wrote no sums into it: whether its database and its secret are as they were written \
             cannot be checked",
        )?;
    }
    Ok(())
}

fn restore(file: &Path, draft: &Path) -> Result<Manifest> {
    let folder = DataFolder::take(draft)?;
    let mut archive = tar::Archive::new(File::open(file)?);
    let mut manifest: Option<Manifest> = None;
    let mut has_database = false;
    let mut checked = None;
    let mut found = Sums::new();
    for entry in archive.entries().context("it is no backup")? {
        let entry = entry.context("it is cut off, or no backup")?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut entry = Summing::new(entry);
        match (name.as_str(), &manifest) {
            (MANIFEST, _) => {
                let read: Manifest = serde_json::from_reader(&mut entry)?;
                if read.format != FORMAT {
                    bail!(
                        "it has format {}, and this version knows {FORMAT}",
                        read.format
                    );
                }
                manifest = Some(read);
                continue;
            }
            (LOG, Some(manifest)) => {
                checked = Some(import(&mut entry, &folder, manifest)?);
            }
            (DATABASE, _) => {
                let mut database = create_private(&folder.backbone())?;
                std::io::copy(&mut entry, &mut database)?;
                database.sync_all()?;
                has_database = true;
            }
            (DataFolder::SECRET | DataFolder::CREDENTIALS, _) => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                folder.write(&name, &bytes)?;
            }
            _ => bail!("it has {name:?}, which this version does not know"),
        }
        found.insert(name, entry.end()?);
    }
    match (manifest, checked) {
        (Some(manifest), Some(checked)) if has_database && checked.ended == manifest.head => {
            if let Some(written) = &manifest.files {
                compare(written, &found)?;
            }
            Ok(manifest)
        }
        _ => bail!("it is cut off, or no backup"),
    }
}

/// Checks the export line by line, and makes the log of it.
fn import(export: impl Read, folder: &DataFolder, manifest: &Manifest) -> Result<Checked> {
    let mut checker = Checker::new(Vec::new())?;
    let mut import = None;
    for line in BufReader::new(export).lines() {
        let line = line?;
        let is_entry = checker.line(&line)?.is_some();
        match &mut import {
            None => import = Some(Import::begin(&folder.outcome_log(), checker.place())?),
            Some(import) if is_entry => {
                let text = line
                    .split_once("\"entry\":")
                    .and_then(|(_, rest)| rest.strip_suffix('}'));
                import.add(text.context("a line without its entry")?)?;
            }
            Some(_) => {}
        }
    }
    let checked = checker.end()?;
    let import = import.context("the outcome log in it is empty")?;
    import.finish(manifest.position)?;
    Ok(checked)
}

fn beside(target: &Path) -> PathBuf {
    // Without a slash at its end, behind which it would be within the folder.
    let target: PathBuf = target.components().collect();
    let mut name = target.into_os_string();
    name.push(".restoring");
    name.into()
}
