//! How much of the outcome log is kept: `[retention]`.

use std::time::Duration;

use serde::Deserialize;

const DAY: u64 = 24 * 60 * 60;
const MEGABYTE: u64 = 1024 * 1024;

/// How much of the outcome log is kept. Without limits, everything is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Entries that are older are dropped.
    pub age: Option<Duration>,
    /// The oldest entries are dropped when all take more bytes, before they are stored on disk.
    pub bytes: Option<u64>,
}

/// The same as the file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionFile {
    age_days: Option<u32>,
    size_mb: Option<u32>,
}

impl From<RetentionFile> for Retention {
    fn from(file: RetentionFile) -> Self {
        Self {
            age: file
                .age_days
                .map(|days| Duration::from_secs(u64::from(days) * DAY)),
            bytes: file.size_mb.map(|size| u64::from(size) * MEGABYTE),
        }
    }
}
