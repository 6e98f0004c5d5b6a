//! The receivers, with names that are unique in their project, and a watch over all changes.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::Unavailable;
use crate::domain::ids::{ProjectId, ReceiverId, Revision};
use crate::domain::receiver::Receiver;

/// Where receivers are kept.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Stores a new receiver, if its name is free in its project. Returns the registry's revision.
    async fn create(&self, receiver: Receiver) -> Result<Revision, RegistryError>;

    /// Replaces a receiver whose stored revision is one below that of `receiver`, if its name is free or its own.
    async fn update(&self, receiver: Receiver) -> Result<Revision, RegistryError>;

    /// Removes a receiver and frees its name.
    async fn delete(&self, id: ReceiverId) -> Result<Revision, RegistryError>;

    /// Every receiver there is, then [`Change::Complete`], then each change as it happens. Ends only when the
    /// registry is closed or can no longer follow.
    async fn watch(&self) -> Result<BoxStream<'static, Change>, Unavailable>;
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all changes are of the large variant"
)]
pub enum Change {
    /// A receiver is there, or has changed.
    Stored {
        /// As it is now.
        receiver: Receiver,
        /// The registry's revision of this change.
        revision: Revision,
    },
    /// A receiver was removed.
    Deleted {
        /// Which.
        id: ReceiverId,
        /// The registry's revision of this change.
        revision: Revision,
    },
    /// Everything that was there when the watch began has been told.
    Complete {
        /// The registry's revision then.
        revision: Revision,
    },
}

/// Why the registry could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// Another receiver of the project has the name.
    #[error("project {project} already has a receiver named {name:?}")]
    NameTaken {
        /// The project.
        project: ProjectId,
        /// The name.
        name: String,
    },
    /// There is no such receiver.
    #[error("there is no receiver {0}")]
    NotFound(ReceiverId),
    /// The receiver was changed meanwhile.
    #[error("receiver {id} was changed meanwhile: it is at revision {found} now")]
    Conflict {
        /// Which.
        id: ReceiverId,
        /// Its stored revision.
        found: u64,
    },
    /// It may be tried again.
    #[error("use the registry: {0}")]
    Unavailable(#[from] Unavailable),
}
