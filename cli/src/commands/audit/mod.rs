//! `stormhook audit`: the record and its proofs.

mod archive;
mod calls;
mod check;
pub mod export;
mod head;
mod verify;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::arguments::AuditCommand;

/// How a progress bar looks; it is drawn only on a terminal.
const BAR: &str = "{bar:40} {human_pos}/{human_len} entries, {per_sec}, {eta} left";

/// Runs one of the commands.
pub async fn run(command: AuditCommand) -> Result<()> {
    match command {
        AuditCommand::Verify(options) => verify::run(options).await,
        AuditCommand::Head(options) => head::run(options).await,
        AuditCommand::Export(options) => export::run(options).await,
        AuditCommand::Archive(options) => archive::run(options).await,
        AuditCommand::Check(options) => check::run(&options),
        AuditCommand::Calls(options) => calls::run(options).await,
    }
}

/// A bar over this many entries.
fn bar(entries: u64) -> Result<ProgressBar> {
    Ok(ProgressBar::new(entries).with_style(ProgressStyle::with_template(BAR)?))
}
