//! What every call of a connection goes through: a limit on the calls that run at the same time, and the circuit
//! breaker. A platform that is down or slow then delays only its own groups.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use stormhook_shared::decide::Seen;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::kind::{self, Kind};
use stormhook_shared::domain::ledger::Action;

use stormhook_shared::ports::platform::{
    Forwarded, Health, Need, News, Notes, Platform, PlatformError, Step, Target, TargetKind,
    Unusable,
};
use tokio::sync::Semaphore;

use super::breaker::{Breaker, LONGEST_ASKED, LONGEST_REST};
use super::health::ConnectionHealth;
use super::recording;

/// A platform behind its limit and its breaker.
pub struct Gate {
    platform: Arc<dyn Platform>,
    in_flight: Semaphore,
    breaker: Mutex<Breaker>,
    health: ConnectionHealth,
}

impl Gate {
    /// `platform`, called at most `max_in_flight` times at once; how it is, is told to `health`.
    pub(super) fn new(
        platform: Arc<dyn Platform>,
        max_in_flight: NonZeroUsize,
        health: ConnectionHealth,
    ) -> Self {
        Self {
            platform,
            in_flight: Semaphore::new(max_in_flight.get()),
            breaker: Mutex::new(Breaker::closed()),
            health,
        }
    }

    /// Makes a call, which is noted as `what`, if at all, where the driver notes no requests of its own.
    async fn pass<T>(
        &self,
        what: Option<&str>,
        call: impl Future<Output = Result<T, PlatformError>>,
    ) -> Result<T, PlatformError> {
        let _permit = self.in_flight.acquire().await;
        self.breaker()
            .admit(Instant::now(), self.platform.call_timeout())
            .map_err(|rest| PlatformError::Transient {
                message:
                    "the platform failed several times in a row and is left alone for a moment"
                        .to_owned(),
                retry_after: Some(rest),
                is_untouched: true,
                is_down: false,
            })?;
        let begun = recording::begin();
        let running = self.health.begins();
        let result = call.await;
        drop(running);
        let error = result.as_ref().err();
        if let Some(what) = what
            && !matches!(
                error,
                Some(PlatformError::LeaseEnds | PlatformError::DeadlineOver)
            )
        {
            begun.end_unless_noted(what, error.map(ToString::to_string));
        }
        self.note(&result);
        result.map_err(bounded)
    }

    fn note<T>(&self, result: &Result<T, PlatformError>) {
        self.health.ended(result);
        let mut breaker = self.breaker();
        match result {
            // Nothing was sent.
            Err(PlatformError::LeaseEnds | PlatformError::DeadlineOver) => breaker.not_called(),
            Err(
                error @ PlatformError::Transient {
                    retry_after,
                    is_down: true,
                    ..
                },
            ) => {
                breaker.failed(Instant::now(), *retry_after);
                if breaker.is_open() {
                    self.health.is_left_alone(error);
                }
            }
            _ => {
                if breaker.is_open() {
                    self.health.is_reachable();
                }
                breaker.succeeded();
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error with a wait that somebody can wait for. That a platform which is down is left alone for as long as it asks is
/// the breaker's business: whoever asks the breaker again meanwhile goes on as soon as a probe has closed it.
fn bounded(mut error: PlatformError) -> PlatformError {
    if let PlatformError::Transient {
        retry_after: Some(rest),
        is_down,
        ..
    } = &mut error
    {
        let longest = if *is_down {
            LONGEST_REST
        } else {
            LONGEST_ASKED
        };
        *rest = longest.min(*rest);
    }
    error
}

#[async_trait]
impl Platform for Gate {
    /// Not kept back by the limit or the breaker: it is how an end of the trouble is noticed.
    async fn probe(&self) -> Result<String, PlatformError> {
        let result = self.platform.probe().await;
        self.note(&result);
        result
    }

    async fn observe(&self, group: &GroupKey, need: Need) -> Result<Seen, PlatformError> {
        // At an endpoint there is nothing to look at.
        let is_look = !matches!(group.target(), Some(kind::Target::Endpoint { .. }));
        let what = is_look.then(|| format!("look at {group}"));
        self.pass(what.as_deref(), self.platform.observe(group, need))
            .await
    }

    async fn scale_service(
        &self,
        service_id: &str,
        to: u32,
        version: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        let what = format!("scale {service_id} to {to}");
        let call = self.platform.scale_service(service_id, to, version, notes);
        self.pass(Some(&what), call).await
    }

    async fn pursue(&self, action: &Action, notes: &mut Notes) -> Result<Step, PlatformError> {
        self.pass(
            Some("pursue the action"),
            self.platform.pursue(action, notes),
        )
        .await
    }

    async fn forward(
        &self,
        request: &Forwarded<'_>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        let what = format!(
            "POST to {}:{}{}",
            request.service_name, request.port, request.path
        );
        self.pass(Some(&what), self.platform.forward(request, notes))
            .await
    }

    async fn check(&self, kind: &Kind) -> Result<Result<Kind, Unusable>, PlatformError> {
        self.pass(Some("check the target"), self.platform.check(kind))
            .await
    }

    async fn targets(&self, of: TargetKind) -> Result<Vec<Target>, PlatformError> {
        self.pass(Some("list targets"), self.platform.targets(of))
            .await
    }

    fn health(&self) -> Health {
        self.breaker().health(Instant::now())
    }

    fn call_timeout(&self) -> Duration {
        self.platform.call_timeout()
    }

    fn news(&self, action: &Action) -> Option<Box<dyn News>> {
        self.platform.news(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_wait_for_ages() {
        for (is_down, longest) in [(true, LONGEST_REST), (false, LONGEST_ASKED)] {
            let error = PlatformError::Transient {
                message: "503".to_owned(),
                retry_after: Some(Duration::MAX),
                is_untouched: true,
                is_down,
            };
            let PlatformError::Transient { retry_after, .. } = bounded(error) else {
                panic!("it passes");
            };
            assert_eq!(retry_after, Some(longest));
        }
    }
}
