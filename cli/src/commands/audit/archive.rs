//! `stormhook audit archive`: writes what retention will drop, so that it can be checked after it is gone.

use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use stormhook_shared::domain::time::Timestamp;

use super::export::{self, Page};
use crate::arguments::ArchiveOptions;
use crate::client::Client;
use crate::commands::table::{print, text};

/// Writes the entries, and the signed head of the last of them.
pub async fn run(options: ArchiveOptions) -> Result<()> {
    let client = Client::new(&options.server)?;
    let millis = i64::try_from(options.ahead.as_millis()).unwrap_or(i64::MAX);
    let at = Timestamp::from_millis(Timestamp::now().as_millis().saturating_add(millis));
    let droppable = client
        .get("audit/droppable", &[("at", &at.to_string())])
        .await?;
    let head = &droppable["head"];
    if head.is_null() {
        return print(&format!("nothing will be dropped until {at}"));
    }
    let through = text(&head["number"]);
    let first: Page = client
        .get_as("audit/entries", &[("through", &through)])
        .await?;
    let file = export::create(&options.file)?;
    export::lines(&client, first, BufWriter::new(file)).await?;
    let beside = head_file(&options.file);
    std::fs::write(&beside, serde_json::to_vec_pretty(head)?)
        .with_context(|| format!("write {}", beside.display()))?;
    print(&format!(
        "entries {} to {through} are in {}, their signed head in {}",
        text(&droppable["first"]),
        options.file.display(),
        beside.display()
    ))
}

fn head_file(file: &std::path::Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".head.json");
    name.into()
}
