//! How far each partition has been worked off. Losing a cursor costs re-reading, never correctness.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Unavailable;
use crate::domain::group::{GroupKey, Partition};
use crate::domain::ids::Sequence;

/// Where cursors are kept.
#[async_trait]
pub trait Cursors: Send + Sync {
    /// The cursor of `partition`, at its beginning if none was stored.
    async fn load(&self, partition: Partition) -> Result<Cursor, Unavailable>;

    /// Stores the cursor of `partition`.
    async fn store(&self, partition: Partition, cursor: Cursor) -> Result<(), Unavailable>;
}

/// How far a partition has been worked off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Every trigger up to here is settled, except for those of the lagging groups.
    pub position: Sequence,
    /// Groups that lag behind the position, each with the place up to which it is settled.
    #[serde(default)]
    pub lagging: BTreeMap<GroupKey, Sequence>,
}

impl Cursor {
    /// The place up to which every trigger is settled, whatever its group.
    pub fn all_settled(&self) -> Sequence {
        self.lagging
            .values()
            .copied()
            .fold(self.position, Sequence::min)
    }
}
