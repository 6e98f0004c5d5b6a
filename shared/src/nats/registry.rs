//! The registry: bucket `STORMHOOK_RECEIVERS`, with a key a receiver and a key a name. Both cannot change at once, so
//! the name comes first and goes last: a name whose receiver does not bear it was left by a process that died between
//! the two, and may be taken over once whoever is still at it would have given up.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bucket::{self, Bucket};
use super::stream::{PublishError, Stored, down};
use crate::domain::ids::{ProjectId, ReceiverId, Revision};
use crate::domain::receiver::Receiver;
use crate::domain::time::Timestamp;
use crate::ports::Unavailable;
use crate::ports::registry::{Change, Registry, RegistryError};

/// How long a process that took a name may take to store the receiver.
const PATIENCE: Duration = Duration::from_secs(30);
/// When a name without its receiver is free: long after, as clocks may differ.
const STALE: Duration = Duration::from_secs(600);
/// How many receivers are read at once.
const PAGE: usize = 500;
/// How long to wait before a failed read of changes is tried again.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct NatsRegistry(pub(super) Bucket);

/// What stands under a name.
#[derive(Serialize, Deserialize)]
struct Named {
    id: ReceiverId,
}

/// A name that was taken for a receiver.
struct Taken {
    key: String,
    revision: u64,
    since: Instant,
}

#[async_trait]
impl Registry for NatsRegistry {
    async fn create(&self, receiver: Receiver) -> Result<Revision, RegistryError> {
        let id = receiver.id;
        let there = self.0.get(&key_of(id)).await?;
        if let Some(old) = decode(&there)? {
            let found = old.revision;
            return Err(RegistryError::Conflict { id, found });
        }
        let taken = self.take_name(&receiver).await?;
        self.store(&receiver, there.revision, Some(taken)).await
    }

    async fn update(&self, receiver: Receiver) -> Result<Revision, RegistryError> {
        let id = receiver.id;
        let there = self.0.get(&key_of(id)).await?;
        let old = decode(&there)?.ok_or(RegistryError::NotFound(id))?;
        if old.revision + 1 != receiver.revision {
            let found = old.revision;
            return Err(RegistryError::Conflict { id, found });
        }
        if old.name == receiver.name {
            return self.store(&receiver, there.revision, None).await;
        }
        let taken = self.take_name(&receiver).await?;
        let revision = self.store(&receiver, there.revision, Some(taken)).await?;
        self.free_name(&old).await;
        Ok(revision)
    }

    async fn delete(&self, id: ReceiverId) -> Result<Revision, RegistryError> {
        let there = self.0.get(&key_of(id)).await?;
        let old = decode(&there)?.ok_or(RegistryError::NotFound(id))?;
        match self.0.delete(&key_of(id), there.revision).await {
            Ok(revision) => {
                self.free_name(&old).await;
                Ok(Revision(revision))
            }
            Err(PublishError::WrongLastSequence) => Err(self.conflict(id).await),
            Err(PublishError::Unavailable(error)) => Err(error.into()),
        }
    }

    async fn watch(&self) -> Result<BoxStream<'static, Change>, Unavailable> {
        let watch = Watch {
            bucket: self.0.clone(),
            filter: self.0.subject("receiver.*"),
            at: 0,
            is_complete: false,
        };
        let changes = stream::unfold(watch, |mut watch| async move {
            let changes = watch.next().await;
            Some((stream::iter(changes), watch))
        });
        Ok(changes.flatten().boxed())
    }
}

impl NatsRegistry {
    async fn store(
        &self,
        receiver: &Receiver,
        expected: u64,
        taken: Option<Taken>,
    ) -> Result<Revision, RegistryError> {
        let bytes = serde_json::to_vec(receiver).map_err(down)?;
        let is_late = |taken: &Taken| taken.since.elapsed() > PATIENCE;
        let stored = if taken.as_ref().is_some_and(is_late) {
            Err(down("the name was taken too long ago").into())
        } else {
            let key = key_of(receiver.id);
            self.0.put(&key, bytes, Some(expected), None).await
        };
        match (stored, taken) {
            (Ok(revision), _) => Ok(Revision(revision)),
            (Err(PublishError::WrongLastSequence), taken) => {
                if let Some(taken) = taken {
                    let _ = self.0.delete(&taken.key, taken.revision).await; // Else it is stale soon.
                }
                Err(self.conflict(receiver.id).await)
            }
            // It may have been stored all the same: the name stays.
            (Err(PublishError::Unavailable(error)), _) => Err(error.into()),
        }
    }

    /// Takes the receiver's name for it.
    async fn take_name(&self, receiver: &Receiver) -> Result<Taken, RegistryError> {
        let key = key_of_name(&receiver.project, &receiver.name);
        let name_taken = || RegistryError::NameTaken {
            project: receiver.project.clone(),
            name: receiver.name.clone(),
        };
        let there = self.0.get(&key).await?;
        if let Some(bytes) = &there.bytes {
            let owner: Named = serde_json::from_slice(bytes).map_err(down)?;
            if owner.id != receiver.id && self.is_borne(owner.id, receiver).await? {
                return Err(name_taken());
            }
            let age = Timestamp::now().since(there.stored_at);
            if owner.id != receiver.id && age < STALE {
                return Err(name_taken());
            }
        }
        let bytes = serde_json::to_vec(&Named { id: receiver.id }).map_err(down)?;
        let since = Instant::now();
        match self.0.put(&key, bytes, Some(there.revision), None).await {
            Ok(revision) => Ok(Taken {
                key,
                revision,
                since,
            }),
            Err(PublishError::WrongLastSequence) => Err(name_taken()),
            Err(PublishError::Unavailable(error)) => Err(error.into()),
        }
    }

    /// Whether the receiver `owner` bears the name that `other` wants.
    async fn is_borne(&self, owner: ReceiverId, other: &Receiver) -> Result<bool, Unavailable> {
        let owner = decode(&self.0.get(&key_of(owner)).await?)?;
        Ok(owner.is_some_and(|owner| owner.project == other.project && owner.name == other.name))
    }

    /// Frees the name that `receiver` had. Should that fail, it is found to be stale.
    async fn free_name(&self, receiver: &Receiver) {
        let key = key_of_name(&receiver.project, &receiver.name);
        let freed = async {
            let there = self.0.get(&key).await?;
            let Some(bytes) = &there.bytes else {
                return Ok(());
            };
            let owner: Named = serde_json::from_slice(bytes).map_err(down)?;
            if owner.id == receiver.id {
                self.0.delete(&key, there.revision).await?;
            }
            Ok::<_, PublishError>(())
        };
        if let Err(error) = freed.await {
            tracing::warn!(name = receiver.name, %error, "a receiver's former name was not freed");
        }
    }

    /// Somebody else changed the receiver: how it is now.
    async fn conflict(&self, id: ReceiverId) -> RegistryError {
        match self
            .0
            .get(&key_of(id))
            .await
            .and_then(|there| decode(&there))
        {
            Ok(Some(now)) => RegistryError::Conflict {
                id,
                found: now.revision,
            },
            Ok(None) => RegistryError::NotFound(id),
            Err(error) => error.into(),
        }
    }
}

/// Reads the receivers in the order of their last changes, and goes on with every change.
struct Watch {
    bucket: Bucket,
    filter: String,
    at: u64,
    is_complete: bool,
}

impl Watch {
    /// The next changes.
    async fn next(&mut self) -> Vec<Change> {
        loop {
            match self.read().await {
                Ok(changes) if !changes.is_empty() => return changes,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot read changes of receivers, trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Change>, Unavailable> {
        let stream = &self.bucket.stream;
        let messages = if self.is_complete {
            stream.next(&self.filter, 0, self.at, PAGE).await?
        } else {
            stream.read(&self.filter, self.at, PAGE).await?
        };
        let Some(last) = messages.last() else {
            self.is_complete = true;
            let revision = Revision(self.at);
            return Ok(vec![Change::Complete { revision }]);
        };
        self.at = last.sequence;
        Ok(messages.iter().filter_map(change).collect())
    }
}

fn change(message: &Stored) -> Option<Change> {
    let revision = Revision(message.sequence);
    if bucket::is_deleted(message) {
        let subject = message.headers.get_last("Nats-Subject")?.as_str();
        let id = subject.rsplit('.').next()?.parse().ok()?;
        return Some(Change::Deleted { id, revision });
    }
    match serde_json::from_slice(&message.payload) {
        Ok(receiver) => Some(Change::Stored { receiver, revision }),
        Err(error) => {
            tracing::error!(%revision, %error, "undecodable receiver, passed over");
            None
        }
    }
}

fn decode(value: &bucket::Value) -> Result<Option<Receiver>, Unavailable> {
    let Some(bytes) = &value.bytes else {
        return Ok(None);
    };
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| down(format!("a receiver cannot be read: {error}")))
}

fn key_of(id: ReceiverId) -> String {
    format!("receiver.{id}")
}

/// Names may have any characters, keys may not.
fn key_of_name(project: &ProjectId, name: &str) -> String {
    let digest = Sha256::new()
        .chain_update(project.as_str())
        .chain_update([0])
        .chain_update(name)
        .finalize();
    format!("name.{}", hex::encode(digest))
}
