//! Brings one object and its receiver together: what the object asks for counts, and whoever changes the receiver by the
//! API is overruled. Only what is not in the object is left to the API: whether the receiver is disabled, and its URL's
//! versions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::management_record::ManagementRecord;
use stormhook_shared::ports::leases::Lease;
use stormhook_shared::receiver_json::{self, Definition};
use tokio::time::Instant;

use super::object::{Object, Standing};
use super::registration::Registration;
use super::url_secret::{Secrets, obstacle};
use super::{Cluster, TriggerUrls};
use crate::context::Context;
use crate::platforms::kubernetes::connection::Patch;

/// How often an object is looked at though nothing was told of it: its Secret may have been changed, which is not watched,
/// as that would need the right to read all Secrets.
const RESYNC: Duration = Duration::from_secs(300);
/// How soon an object is looked at again that cannot be had as it is.
const RETRY: Duration = Duration::from_secs(30);

/// What keeps a receiver from being as its object asks for.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The object, or something else, has to change.
    Refused {
        /// In one word, for programs.
        reason: &'static str,
        /// In a sentence, for people.
        message: String,
    },
    /// It may work the next time.
    Passing(String),
}

impl Obstacle {
    pub(super) fn refused(reason: &'static str, message: String) -> Self {
        Self::Refused { reason, message }
    }

    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Passing(_))
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Refused { reason, .. } => reason,
            Self::Passing(_) => "TryingAgain",
        }
    }

    /// What the condition `Ready` is then.
    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "False",
            Self::Passing(_) => "Unknown",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { message, .. } | Self::Passing(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Obstacle {}

/// What the objects of one project have in common.
pub(super) struct Project {
    pub(super) id: ProjectId,
    pub(super) context: Arc<Context>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) urls: TriggerUrls,
    pub(super) record: ManagementRecord,
    /// The right to change something.
    pub(super) lease: Lease,
}

impl Project {
    /// Makes the receiver as `object` asks for, writes its URL down, and tells how that went. `last`: the version of the URL
    /// that was seen last of its receiver, or 0.
    pub(super) async fn apply(&self, object: Object<'_>, last: u32) -> Result<Action, Obstacle> {
        self.permit()?;
        let (receiver, obstacle) = match self.register(object, last).await {
            Ok(receiver) => {
                let written = self.write_url(object, &receiver).await;
                (Some(receiver), written.err())
            }
            Err(obstacle) => (
                self.registered(object).map(|one| (*one).clone()),
                Some(obstacle),
            ),
        };
        let secret = object.secret_name();
        let standing = Standing {
            receiver: receiver.as_ref(),
            secret: obstacle.is_none().then_some(secret.as_str()),
            obstacle: obstacle.as_ref(),
        };
        self.tell(object, &standing).await?;
        match obstacle {
            None => Ok(Action::requeue(RESYNC)),
            Some(Obstacle::Refused { .. }) => Ok(Action::requeue(RETRY)),
            Some(passing) => Err(passing),
        }
    }

    /// Removes the receiver of an object that is being deleted.
    pub(super) async fn clean_up(&self, object: Object<'_>) -> Result<Action, Obstacle> {
        self.permit()?;
        let known = self.registered(object);
        if known.is_some() || object.was_registered() {
            let id = object.receiver_id(&self.id);
            let registration = self.registration(object);
            registration
                .delete(id, known.as_deref(), object.name())
                .await?;
        }
        Ok(Action::await_change())
    }

    /// Nothing is changed under a lease that ends before that could be over.
    fn permit(&self) -> Result<(), Obstacle> {
        let call = self.cluster.connection.change_timeout();
        if self.lease.outlasts(call, Instant::now()) {
            return Ok(());
        }
        let message = "the lease of the project's management calls ends too soon";
        Err(Obstacle::Passing(message.to_owned()))
    }

    async fn register(&self, object: Object<'_>, last: u32) -> Result<Receiver, Obstacle> {
        let sign = match object.sign_secret() {
            Some(place) => Some(self.secrets(object).text(&place).await?),
            None => None,
        };
        let mut wanted = object.definition(&self.id, sign)?;
        let Some(receiver) = self.registered(object) else {
            self.require_free(&wanted.name)?;
            wanted.kind = self.usable(&wanted).await?;
            self.permit()?;
            let id = object.receiver_id(&self.id);
            return self.registration(object).create(id, wanted, last).await;
        };
        if is_as_wanted(&receiver, &wanted) {
            return Ok((*receiver).clone());
        }
        receiver_json::check_target(&receiver, &wanted.kind).map_err(|_| {
            let message = format!(
                "the driver and the target of a receiver cannot be changed ({}): delete this object and make another",
                receiver.kind.target_field()
            );
            Obstacle::refused("Unchangeable", message)
        })?;
        if wanted.name != receiver.name {
            self.require_free(&wanted.name)?;
        }
        if wanted.kind != receiver.kind {
            self.usable(&wanted).await?;
        }
        self.permit()?;
        self.registration(object).update(&receiver, wanted).await
    }

    /// Told before the record has a call that cannot be made; the registry itself has the last word.
    fn require_free(&self, name: &str) -> Result<(), Obstacle> {
        let receivers = self.context.directory.list(&self.id);
        let Some(owner) = receivers.iter().find(|other| other.name == name) else {
            return Ok(());
        };
        let message = format!(
            "project {} already has a receiver named {name:?} (its id is {}): choose another name, or delete that one",
            self.id, owner.id
        );
        Err(Obstacle::refused("NameTaken", message))
    }

    /// The kind as it is to be kept, if the platform can use it.
    async fn usable(&self, wanted: &Definition) -> Result<Kind, Obstacle> {
        let Some(platform) = self.context.platforms.get(&self.id) else {
            let message = format!("project {} has no platform", self.id);
            return Err(Obstacle::refused("TargetUnusable", message));
        };
        match platform.check(&wanted.kind).await {
            Ok(Ok(kind)) => Ok(kind),
            Ok(Err(unusable)) => {
                let message = format!("spec: {}: {}", unusable.field, unusable.message);
                Err(Obstacle::refused("TargetUnusable", message))
            }
            Err(error) => Err(obstacle(error)),
        }
    }

    async fn write_url(&self, object: Object<'_>, receiver: &Receiver) -> Result<(), Obstacle> {
        self.permit()?;
        let secrets = self.secrets(object);
        let name = object.secret_name();
        let url = self.urls.keys.url(&self.urls.base, receiver);
        secrets.write(&name, &url).await?;
        match object.told_secret() {
            Some(told) if told != name => secrets.remove(&told).await,
            _ => Ok(()),
        }
    }

    async fn tell(&self, object: Object<'_>, standing: &Standing<'_>) -> Result<(), Obstacle> {
        let Some(change) = object.status(standing, Timestamp::now()) else {
            return Ok(());
        };
        let path = format!("{}/status", object.path());
        let connection = &self.cluster.connection;
        let told = connection.patch(&path, Patch::Merge, &change).await;
        told.map_err(|failure| obstacle(failure.of_change()))?;
        Ok(())
    }

    fn registered(&self, object: Object<'_>) -> Option<Arc<Receiver>> {
        let id = object.receiver_id(&self.id);
        self.context.directory.get(id)
    }

    fn registration(&self, object: Object<'_>) -> Registration<'_> {
        Registration {
            registry: &*self.context.backbone.registry,
            record: &self.record,
            directory: &self.context.directory,
            project: &self.id,
            asker: object.asker(),
        }
    }

    fn secrets<'a>(&'a self, object: Object<'a>) -> Secrets<'a> {
        Secrets {
            connection: &self.cluster.connection,
            object,
        }
    }
}

fn is_as_wanted(receiver: &Receiver, wanted: &Definition) -> bool {
    receiver.name == wanted.name
        && receiver.kind == wanted.kind
        && receiver.options == wanted.options
}
