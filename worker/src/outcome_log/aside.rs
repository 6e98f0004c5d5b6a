//! Sets a damaged log aside, as evidence, so that it is built anew.

use std::path::Path;
use std::sync::Arc;

use stormhook_shared::domain::time::Timestamp;

use super::keeper::{DISK_PAUSE, OutcomeLog, PART};

/// How many damaged logs are kept for inspection.
const MOST_SET_ASIDE: usize = 3;

impl OutcomeLog {
    /// Closes the log and moves it away.
    pub(super) async fn set_aside(self: &Arc<Self>, reason: &str) {
        self.is_level.send_replace(false);
        self.close().await;
        let aside = self
            .path
            .with_extension(format!("damaged-{}", Timestamp::now().as_millis()));
        tracing::error!(reason, aside = %aside.display(), "the outcome log is set aside and rebuilt from the ledger");
        if let Err(error) = tokio::fs::rename(&self.path, &aside).await {
            let reason = format!(
                "cannot set the outcome log at {} aside: {error}",
                self.path.display()
            );
            tracing::error!(reason);
            self.readiness.report(PART, Err(reason));
            tokio::time::sleep(DISK_PAUSE).await;
        }
        drop_oldest(&self.path).await;
    }
}

/// Keeps only the newest logs that were set aside.
async fn drop_oldest(path: &Path) {
    let (Some(folder), Some(name)) = (
        path.parent(),
        path.file_stem().and_then(|name| name.to_str()),
    ) else {
        return;
    };
    let prefix = format!("{name}.damaged-");
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else {
        return;
    };
    let mut aside = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            aside.push(entry.path());
        }
    }
    aside.sort();
    for old in aside.iter().rev().skip(MOST_SET_ASIDE) {
        if let Err(error) = tokio::fs::remove_dir_all(old).await {
            tracing::warn!(path = %old.display(), %error, "cannot remove an old damaged outcome log");
        }
    }
}
