//! The cursors: bucket `STORMHOOK_CURSORS`, with a key a partition.

use async_trait::async_trait;

use super::bucket::Bucket;
use super::stream::{down, unavailable};
use crate::domain::group::Partition;
use crate::ports::Unavailable;
use crate::ports::cursors::{Cursor, Cursors};

pub(super) struct NatsCursors(pub(super) Bucket);

#[async_trait]
impl Cursors for NatsCursors {
    async fn load(&self, partition: Partition) -> Result<Cursor, Unavailable> {
        match self.0.get(&key(partition)).await?.bytes {
            None => Ok(Cursor::default()),
            // A cursor that cannot be read is as good as none: what it tells is found again by reading.
            Some(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        }
    }

    async fn store(&self, partition: Partition, cursor: Cursor) -> Result<(), Unavailable> {
        let bytes = serde_json::to_vec(&cursor).map_err(down)?;
        let stored = self.0.put(&key(partition), bytes, None, None).await;
        stored.map(|_| ()).map_err(unavailable)
    }
}

fn key(partition: Partition) -> String {
    format!("partition.{partition}")
}
