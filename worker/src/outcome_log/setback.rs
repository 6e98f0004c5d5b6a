//! Why work on the log cannot go on, and the threads and guards that such work needs: sled blocks, and panics on some
//! damage.

use std::panic::{AssertUnwindSafe, catch_unwind};

use stormhook_shared::ports::ledger::LedgerError;

use super::store::StoreError;

/// Why the log has to be opened again.
pub(super) enum Setback {
    /// It is to be set aside and built anew.
    Damaged(String),
    /// It is to be tried again after a while.
    Disk(String),
}

impl Setback {
    pub(super) fn of_ledger(error: &LedgerError) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Disk(error) => Self::Disk(error.to_string()),
            StoreError::Damaged(reason) => Self::Damaged(reason),
            StoreError::Entry(fault) => Self::Damaged(fault.to_string()),
        }
    }
}

/// Does `work` on a thread where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Setback> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Setback::Damaged(error.to_string())),
    }
}

/// sled 0.34 panics on some damage instead of saying so.
pub(super) fn unwound<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StoreError::Damaged("sled panicked on it".to_owned())))
}
