//! The registry's tables, and the watch over them.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use redb::ReadableTable;
use tokio::sync::broadcast;

use super::Shared;
use super::database::down;
use super::tables::{LAST_CHANGE, NUMBERS, RECEIVERS};
use super::writer::Batch;
use crate::domain::ids::{ReceiverId, Revision};
use crate::domain::receiver::Receiver;
use crate::ports::Unavailable;
use crate::ports::registry::{Change, Registry, RegistryError};

pub(super) struct EmbeddedRegistry(pub(super) Arc<Shared>);

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn create(&self, receiver: Receiver) -> Result<Revision, RegistryError> {
        let bytes = serde_json::to_vec(&receiver).map_err(down)?;
        self.0
            .writer
            .write(&self.0.options, move |batch| {
                let found = stored(batch, receiver.id)?.map(|stored| stored.revision);
                if let Some(found) = found {
                    let id = receiver.id;
                    return Ok(Err(RegistryError::Conflict { id, found }));
                }
                if owner_of_name(batch, &receiver)?.is_some() {
                    return Ok(Err(name_taken(&receiver)));
                }
                Ok(Ok(store(batch, receiver, &bytes)?))
            })
            .await
    }

    async fn update(&self, receiver: Receiver) -> Result<Revision, RegistryError> {
        let bytes = serde_json::to_vec(&receiver).map_err(down)?;
        self.0
            .writer
            .write(&self.0.options, move |batch| {
                let id = receiver.id;
                let Some(old) = stored(batch, id)? else {
                    return Ok(Err(RegistryError::NotFound(id)));
                };
                if old.revision + 1 != receiver.revision {
                    let found = old.revision;
                    return Ok(Err(RegistryError::Conflict { id, found }));
                }
                if owner_of_name(batch, &receiver)?.is_some_and(|owner| owner != id) {
                    return Ok(Err(name_taken(&receiver)));
                }
                batch
                    .receiver_names
                    .remove((old.project.as_str(), old.name.as_str()))?;
                Ok(Ok(store(batch, receiver, &bytes)?))
            })
            .await
    }

    async fn delete(&self, id: ReceiverId) -> Result<Revision, RegistryError> {
        self.0
            .writer
            .write(&self.0.options, move |batch| {
                let Some(old) = stored(batch, id)? else {
                    return Ok(Err(RegistryError::NotFound(id)));
                };
                batch
                    .receiver_names
                    .remove((old.project.as_str(), old.name.as_str()))?;
                batch.receivers.remove(id.as_bytes().as_slice())?;
                batch.counters.change += 1;
                let revision = Revision(batch.counters.change);
                batch.changes.push(Change::Deleted { id, revision });
                Ok(Ok(revision))
            })
            .await
    }

    async fn watch(&self) -> Result<BoxStream<'static, Change>, Unavailable> {
        // Subscribed before the snapshot is read, so that no change falls in between.
        let changes = self.0.writer.changes.subscribe();
        let (there, revision) = self.0.database.read(snapshot).await?;
        let there = there
            .into_iter()
            .map(move |receiver| Change::Stored { receiver, revision })
            .chain([Change::Complete { revision }]);
        Ok(stream::iter(there).chain(after(changes, revision)).boxed())
    }
}

/// The changes after `revision`; ends when the watcher was too slow to see them all.
fn after(
    changes: broadcast::Receiver<Change>,
    revision: Revision,
) -> impl futures::Stream<Item = Change> + Send {
    stream::unfold(changes, |mut changes| async move {
        changes.recv().await.ok().map(|change| (change, changes))
    })
    .filter(move |change| {
        let is_new = match change {
            Change::Stored { revision: at, .. }
            | Change::Deleted { revision: at, .. }
            | Change::Complete { revision: at } => *at > revision,
        };
        std::future::ready(is_new)
    })
}

fn snapshot(transaction: &redb::ReadTransaction) -> Result<(Vec<Receiver>, Revision), redb::Error> {
    let numbers = transaction.open_table(NUMBERS)?;
    let revision = Revision(numbers.get(LAST_CHANGE)?.map_or(0, |number| number.value()));
    let mut receivers = Vec::new();
    for item in transaction.open_table(RECEIVERS)?.iter()? {
        let (_, bytes) = item?;
        receivers.push(parse(bytes.value())?);
    }
    Ok((receivers, revision))
}

fn stored(batch: &Batch<'_>, id: ReceiverId) -> Result<Option<Receiver>, redb::Error> {
    let bytes = batch.receivers.get(id.as_bytes().as_slice())?;
    bytes.map(|bytes| parse(bytes.value())).transpose()
}

fn owner_of_name(
    batch: &Batch<'_>,
    receiver: &Receiver,
) -> Result<Option<ReceiverId>, redb::Error> {
    let name = (receiver.project.as_str(), receiver.name.as_str());
    let owner = batch.receiver_names.get(name)?;
    Ok(owner.and_then(|id| id.value().try_into().ok().map(ReceiverId::from_bytes)))
}

fn store(batch: &mut Batch<'_>, receiver: Receiver, bytes: &[u8]) -> Result<Revision, redb::Error> {
    let id = receiver.id.as_bytes().as_slice();
    batch
        .receiver_names
        .insert((receiver.project.as_str(), receiver.name.as_str()), id)?;
    batch.receivers.insert(id, bytes)?;
    batch.counters.change += 1;
    let revision = Revision(batch.counters.change);
    batch.changes.push(Change::Stored { receiver, revision });
    Ok(revision)
}

fn name_taken(receiver: &Receiver) -> RegistryError {
    RegistryError::NameTaken {
        project: receiver.project.clone(),
        name: receiver.name.clone(),
    }
}

fn parse(bytes: &[u8]) -> Result<Receiver, redb::Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| redb::Error::Corrupted(format!("a stored receiver: {error}")))
}
