//! The platform of the simulation: services with a scale, with versions or without.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stormhook_shared::decide::{Seen, ServiceSeen};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::ports::platform::{
    Forwarded, Need, Notes, Platform, PlatformError, Step, Target, TargetKind, Unusable,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::nerve::Nerve;
use super::world::World;

const CALL_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Of how many writes one does not arrive.
const LOSSES: u64 = 15;

/// The platform as one worker reaches it.
pub(super) struct SimulatedPlatform {
    world: Arc<World>,
    nerve: Arc<Nerve>,
}

impl SimulatedPlatform {
    pub(super) fn new(world: Arc<World>, nerve: Arc<Nerve>) -> Self {
        Self { world, nerve }
    }
}

#[async_trait]
impl Platform for SimulatedPlatform {
    async fn probe(&self) -> Result<String, PlatformError> {
        Ok("simulated".to_owned())
    }

    async fn observe(&self, group: &GroupKey, _need: Need) -> Result<Seen, PlatformError> {
        let id = group.as_str().rsplit('/').next().unwrap_or_default();
        let seen = self.nerve.request(|inner| inner.services.get(id).cloned());
        let seen = seen.await.map_err(|_| transient())?;
        Ok(match seen {
            Some(service) => Seen::Service(ServiceSeen {
                id: id.to_owned(),
                name: id.to_owned(),
                scale: service.scale,
                version: self.world.has_versions.then(|| service.version.to_string()),
                unscalable: None,
                autoscaled: None,
                containers: Vec::new(),
            }),
            None => Seen::Gone {
                reason: "it is not there".to_owned(),
            },
        })
    }

    /// Once sent, a write arrives within the time-out or not at all, whatever becomes of its sender. Without versions
    /// the sender cannot be frozen between its look at the lease and the sending: that is what no protocol can help.
    async fn scale_service(
        &self,
        service_id: &str,
        to: u32,
        version: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        notes.permit(CALL_TIMEOUT)?;
        if version.is_some() {
            self.nerve.wait().await;
        }
        let sent = Instant::now();
        let (reply, answer) = oneshot::channel();
        if !self.nerve.happens(LOSSES) {
            let limit = u64::try_from(CALL_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
            let way = match self.world.below(10) {
                0 => self.world.below(limit),
                _ => self.world.below(20),
            };
            let (world, version) = (Arc::clone(&self.world), version.map(str::to_owned));
            let service_id = service_id.to_owned();
            tokio::spawn(async move {
                sleep(Duration::from_millis(way)).await;
                let _ = reply.send(world.write(&service_id, to, version.as_deref(), sent));
            });
        }
        let answered = tokio::time::timeout(CALL_TIMEOUT, answer).await;
        self.nerve.wait().await;
        match answered {
            Ok(Ok(Ok(()))) if !self.nerve.happens(LOSSES) => Ok(()),
            Ok(Ok(Err(message))) => Err(PlatformError::Transient {
                message,
                retry_after: None,
                is_untouched: true,
                is_down: false,
            }),
            _ => Err(transient()),
        }
    }

    async fn pursue(&self, _action: &Action, _notes: &mut Notes) -> Result<Step, PlatformError> {
        Err(refused())
    }

    async fn forward(
        &self,
        _request: &Forwarded<'_>,
        _notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        Err(refused())
    }

    async fn check(&self, kind: &Kind) -> Result<Result<Kind, Unusable>, PlatformError> {
        Ok(Ok(kind.clone()))
    }

    async fn targets(&self, _of: TargetKind) -> Result<Vec<Target>, PlatformError> {
        Ok(Vec::new())
    }

    fn call_timeout(&self) -> Duration {
        CALL_TIMEOUT
    }
}

fn transient() -> PlatformError {
    PlatformError::Transient {
        message: "no answer".to_owned(),
        retry_after: None,
        is_untouched: false,
        is_down: false,
    }
}

fn refused() -> PlatformError {
    PlatformError::Refused {
        message: "only scales are simulated".to_owned(),
    }
}
