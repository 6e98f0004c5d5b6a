//! The cursors' table.

use std::sync::Arc;

use async_trait::async_trait;

use super::Shared;
use super::database::down;
use super::tables::CURSORS;
use crate::domain::group::Partition;
use crate::ports::Unavailable;
use crate::ports::cursors::{Cursor, Cursors};

pub(super) struct EmbeddedCursors(pub(super) Arc<Shared>);

#[async_trait]
impl Cursors for EmbeddedCursors {
    async fn load(&self, partition: Partition) -> Result<Cursor, Unavailable> {
        let stored = self
            .0
            .database
            .read(move |transaction| {
                let cursors = transaction.open_table(CURSORS)?;
                Ok(cursors
                    .get(partition.0)?
                    .map(|bytes| bytes.value().to_vec()))
            })
            .await?;
        // One that cannot be read costs re-reading the log, as a lost one does.
        Ok(stored
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    async fn store(&self, partition: Partition, cursor: Cursor) -> Result<(), Unavailable> {
        let bytes = serde_json::to_vec(&cursor).map_err(down)?;
        self.0
            .writer
            .write(&self.0.options, move |batch| {
                batch.cursors.insert(partition.0, bytes.as_slice())?;
                Ok(Ok(()))
            })
            .await
    }
}
