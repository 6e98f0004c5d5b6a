//! The registry as custom resources change it: each change is written into the record of management calls before it is
//! made, as the API's are, with the object as who asks.

use std::num::NonZeroU32;
use std::time::Duration;

use stormhook_shared::directory::Directory;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision};
use stormhook_shared::domain::management::{Call, Caller, ManagementCall, Subject};
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Source;
use stormhook_shared::management_record::{ManagementRecord, of_receiver};
use stormhook_shared::ports::registry::{Registry, RegistryError};
use stormhook_shared::receiver_json::Definition;

use super::reconciliation::Obstacle;

/// How long the copy of the registry may take to show a change.
const PATIENCE: Duration = Duration::from_secs(5);

/// The registry as it is changed for the objects of one project.
pub(super) struct Registration<'a> {
    pub(super) registry: &'a dyn Registry,
    pub(super) record: &'a ManagementRecord,
    pub(super) directory: &'a Directory,
    pub(super) project: &'a ProjectId,
    /// As whom the object asks.
    pub(super) asker: String,
}

impl Registration<'_> {
    /// Makes a receiver. `last`: the version of the URL of the one that was seen last with this id, or 0.
    pub(super) async fn create(
        &self,
        id: ReceiverId,
        definition: Definition,
        last: u32,
    ) -> Result<Receiver, Obstacle> {
        let now = Timestamp::now();
        let receiver = Receiver {
            id,
            project: self.project.clone(),
            name: definition.name,
            kind: definition.kind,
            options: definition.options,
            activity: Activity::Active,
            keys: KeyVersions {
                current: first_version(now, last),
                ..KeyVersions::FIRST
            },
            revision: 1,
            created_at: now,
        };
        let call = of_receiver(
            self.project,
            self.caller(),
            Call::Create,
            (None, Some(&receiver)),
        );
        self.change(call, self.registry.create(receiver.clone()))
            .await?;
        Ok(receiver)
    }

    /// Makes `receiver` what its object asks for. Whether it acts and which URLs are valid is not in the object.
    pub(super) async fn update(
        &self,
        receiver: &Receiver,
        definition: Definition,
    ) -> Result<Receiver, Obstacle> {
        let changed = Receiver {
            name: definition.name,
            kind: definition.kind,
            options: definition.options,
            revision: receiver.revision + 1,
            ..receiver.clone()
        };
        let states = (Some(receiver), Some(&changed));
        let call = of_receiver(self.project, self.caller(), Call::Update, states);
        self.change(call, self.registry.update(changed.clone()))
            .await?;
        Ok(changed)
    }

    /// Removes the receiver with this id, if it is there. `known`: as it is in the copy of the registry, which may be
    /// behind; `name`: what to call it otherwise.
    pub(super) async fn delete(
        &self,
        id: ReceiverId,
        known: Option<&Receiver>,
        name: String,
    ) -> Result<(), Obstacle> {
        let states = (known, None);
        let mut call = of_receiver(self.project, self.caller(), Call::Delete, states);
        if known.is_none() {
            call.subject = Subject::Receiver { id, name };
        }
        self.change(call, self.registry.delete(id)).await
    }

    /// Writes `call` down and makes it. That something to be deleted is not there is as good.
    async fn change(
        &self,
        call: ManagementCall,
        change: impl Future<Output = Result<Revision, RegistryError>>,
    ) -> Result<(), Obstacle> {
        let is_deletion = call.call == Call::Delete;
        let recorded = self.record.write(call).await;
        let recorded = recorded.map_err(|error| Obstacle::Passing(error.to_string()))?;
        let revision = match change.await {
            Ok(revision) => revision,
            Err(error) => {
                return match recorded.not_done(self.record, error).await {
                    RegistryError::NotFound(_) if is_deletion => Ok(()),
                    error @ RegistryError::NameTaken { .. } => {
                        Err(Obstacle::refused("NameTaken", error.to_string()))
                    }
                    error => Err(Obstacle::Passing(error.to_string())),
                };
            }
        };
        if self.directory.reached(revision, PATIENCE).await {
            return Ok(());
        }
        let message = "the change is stored, but is not seen here yet";
        Err(Obstacle::Passing(message.to_owned()))
    }

    fn caller(&self) -> Caller {
        Caller {
            access_key: self.asker.clone(),
            source: Source {
                address: None,
                user_agent: Some(format!("stormhook-worker/{}", env!("CARGO_PKG_VERSION"))),
            },
        }
    }
}

/// The version of a new receiver's URL. Its id may have been another's before, whose URLs were revoked with it and must stay
/// so: versions that begin with the seconds since 1970 are above all that such a one had, however its end came about.
fn first_version(now: Timestamp, last: u32) -> NonZeroU32 {
    let seconds = u32::try_from(now.as_millis() / 1_000).unwrap_or(u32::MAX);
    NonZeroU32::MIN.saturating_add(seconds.max(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_receivers_url_is_none_that_an_earlier_one_had() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let first = first_version(now, 0);
        let rotated = first.saturating_add(1);
        assert!(first_version(now, rotated.get()) > rotated);
        let later = Timestamp::from_millis(1_700_000_005_000);
        assert!(first_version(later, 0) > rotated);
    }
}
