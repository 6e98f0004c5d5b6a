//! Performs a plan: reads what is there, calls the platform, and retries transient errors until the deadline.
//! Knows nothing of verdicts or of the ledger.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use stormhook_shared::decide::{Progress, Seen, progress};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::ledger::{Action, Plan};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::leases::Lease;
use stormhook_shared::ports::platform::{Forwarded, Need, Notes, Platform, PlatformError};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two tries, unless the platform asks for a longer one.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// By which part of itself a pause is longer or shorter at most. Simulations must go the same way each time.
const JITTER: f64 = if cfg!(test) { 0.0 } else { 0.5 };

/// What is told of an action that was never tried.
pub(super) const UNTRIED: &str = "its time was over before it could be tried";

/// Who performs, and where.
pub(super) struct Performer<'a> {
    pub(super) context: &'a Context,
    pub(super) platform: &'a dyn Platform,
    pub(super) group: &'a GroupKey,
    pub(super) lease: &'a Lease,
    pub(super) stop: &'a CancellationToken,
}

/// How a plan ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its goal is there.
    Done { attempts: u32 },
    /// It came to something else than was planned, for good: mostly it failed.
    Otherwise {
        code: Code,
        message: String,
        attempts: u32,
    },
    /// It was surely not performed: decide anew.
    NotPerformed { reason: String },
}

/// The work was stopped before its end; whoever owns the group next goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interrupted;

/// What is known of the calls so far.
struct Tries {
    attempts: u32,
    /// A call may have been done at some time.
    may_have_acted: bool,
    /// A call may have been done since the platform was last read.
    is_unread: bool,
}

impl Performer<'_> {
    /// Performs `plan`. `is_own`: it was decided here a moment ago, so nobody can have begun it.
    pub(super) async fn perform(&self, plan: &Plan, is_own: bool) -> Result<End, Interrupted> {
        match &plan.action {
            Action::ScaleService {
                service_id,
                from,
                to,
                version,
                ..
            } => {
                let change = Change {
                    service_id,
                    from: *from,
                    to: *to,
                    version: version.clone(),
                };
                self.scale(plan, change, is_own).await
            }
            Action::ScaleHosts { .. } | Action::UpgradeService { .. } => {
                self.pursue(plan, is_own).await
            }
            Action::UpgradeServices { push, services } => self.hand_out(plan, push, services).await,
            Action::Forward {
                trigger,
                service_name,
                port,
                path,
            } => {
                if !is_own {
                    return Ok(End::Otherwise {
                        code: Code::Uncertain,
                        message: format!(
                            "{}, but the worker stopped meanwhile: nobody can know whether it arrived",
                            plan.action
                        ),
                        attempts: 0,
                    });
                }
                // The plan's own triggers have their places with them.
                let own = plan
                    .drafts
                    .iter()
                    .find(|draft| draft.trigger.id == *trigger);
                let request = Request {
                    sequence: own.map_or(Sequence(0), |draft| draft.trigger.sequence),
                    service_name,
                    port: *port,
                    path,
                };
                self.forward(plan, &request).await
            }
        }
    }

    /// Gives a service another scale.
    async fn scale(
        &self,
        plan: &Plan,
        mut change: Change<'_>,
        is_own: bool,
    ) -> Result<End, Interrupted> {
        let mut tries = Tries {
            attempts: 0,
            may_have_acted: !is_own,
            is_unread: !is_own,
        };
        let mut notes = self.notes(plan, !is_own);
        // A platform with versions refuses a stale write itself: no need to look again before the first.
        let mut look_first = !(is_own && change.version.is_some());
        let mut pauses = pauses();
        let mut last = UNTRIED.to_owned();
        loop {
            let error = match self
                .attempt(plan, &mut change, look_first, &mut tries, &mut notes)
                .await
            {
                Ok(end) => return Ok(end),
                Err(error) => error,
            };
            look_first = true;
            let (message, retry_after) = match error {
                PlatformError::Refused { message } => return Ok(tries.refused(message)),
                PlatformError::LeaseEnds => {
                    self.lease_prolonged().await?;
                    continue;
                }
                PlatformError::DeadlineOver => (last.clone(), None),
                PlatformError::Transient {
                    message,
                    retry_after,
                    ..
                } => (message, retry_after),
            };
            self.tell(&message);
            last.clone_from(&message);
            pause_before(plan.deadline, &mut pauses, retry_after, self.stop).await?;
            if Timestamp::now() >= plan.deadline {
                return Ok(match self.look(plan, &mut change, &mut tries).await {
                    Ok(Some(end)) => end,
                    Ok(None) | Err(_) => tries.out_of_time(message),
                });
            }
            tracing::debug!(group = %self.group, attempts = tries.attempts, message, "trying again");
        }
    }

    async fn attempt(
        &self,
        plan: &Plan,
        change: &mut Change<'_>,
        look_first: bool,
        tries: &mut Tries,
        notes: &mut Notes,
    ) -> Result<End, PlatformError> {
        if look_first && let Some(end) = self.look(plan, change, tries).await? {
            return Ok(end);
        }
        let scaled = self
            .platform
            .scale_service(
                change.service_id,
                change.to,
                change.version.as_deref(),
                notes,
            )
            .await;
        tries.attempts = notes.calls();
        let is_unknown = matches!(
            scaled,
            Err(PlatformError::Transient {
                is_untouched: false,
                ..
            })
        );
        tries.may_have_acted |= is_unknown;
        tries.is_unread |= is_unknown;
        scaled.map(|()| End::Done {
            attempts: tries.attempts,
        })
    }

    /// Reads what is there. `None`: the plan's start, so it can be performed, on the version that was read now:
    /// somebody may have changed something else of the service.
    async fn look(
        &self,
        plan: &Plan,
        change: &mut Change<'_>,
        tries: &mut Tries,
    ) -> Result<Option<End>, PlatformError> {
        let seen = self.platform.observe(self.group, Need::Scale).await?;
        tries.is_unread = false;
        if let Seen::Service(service) = &seen {
            change.version.clone_from(&service.version);
        }
        Ok(match progress(change.from, change.to, &seen) {
            Progress::Reached => Some(End::Done {
                attempts: tries.attempts,
            }),
            Progress::NotBegun => None,
            Progress::Elsewhere { found } => Some(tries.changed_by_others(&plan.action, &found)),
        })
    }

    /// Passes a request on. It is tried again only while the service surely cannot have done anything with it, or says
    /// that it failed.
    async fn forward(&self, plan: &Plan, request: &Request<'_>) -> Result<End, Interrupted> {
        let mut pauses = pauses();
        let mut notes = self.notes(plan, false);
        let mut last = UNTRIED.to_owned();
        loop {
            let passed_on = self.pass_on(request, &mut notes).await;
            let attempts = notes.calls();
            let (message, retry_after) = match passed_on {
                Ok(()) => return Ok(End::Done { attempts }),
                Err(PlatformError::LeaseEnds) => {
                    self.lease_prolonged().await?;
                    continue;
                }
                Err(PlatformError::Refused { message }) => {
                    return Ok(End::Otherwise {
                        code: Code::TargetRefused,
                        message,
                        attempts,
                    });
                }
                Err(PlatformError::DeadlineOver) => (last.clone(), None),
                Err(PlatformError::Transient {
                    message,
                    retry_after,
                    ..
                }) => (message, retry_after),
            };
            self.tell(&message);
            last.clone_from(&message);
            pause_before(plan.deadline, &mut pauses, retry_after, self.stop).await?;
            if Timestamp::now() >= plan.deadline {
                return Ok(late(plan, &message, attempts));
            }
        }
    }

    /// What is noted while `plan` is performed.
    pub(super) fn notes(&self, plan: &Plan, is_resumed: bool) -> Notes {
        Notes::new(self.lease.clone(), plan.decided_at, is_resumed).until(plan.deadline)
    }

    /// What the action waits for.
    pub(super) fn tell(&self, what: &str) {
        let told = format!("the action: {what}");
        self.context.progress.tell(self.group, told);
    }

    async fn pass_on(&self, request: &Request<'_>, notes: &mut Notes) -> Result<(), PlatformError> {
        let found = self.context.backbone.triggers.get(request.sequence).await;
        let found = found.map_err(|error| PlatformError::Transient {
            message: error.to_string(),
            retry_after: None,
            is_untouched: true,
            is_down: false,
        })?;
        let Some(Logged { trigger, .. }) = found else {
            let message = "the request's body is not in the trigger log any more".to_owned();
            return Err(PlatformError::Refused { message });
        };
        let forwarded = Forwarded {
            service_name: request.service_name,
            port: request.port,
            path: request.path,
            content_type: trigger.content_type.as_deref(),
            body: &trigger.body,
        };
        self.platform.forward(&forwarded, notes).await
    }

    /// Returns once the lease was prolonged. One that is lost ends the work.
    pub(super) async fn lease_prolonged(&self) -> Result<(), Interrupted> {
        tokio::select! {
            biased;
            () = self.lease.prolonged() => Ok(()),
            () = self.stop.cancelled() => Err(Interrupted),
        }
    }
}

/// The end of a plan that did not come to its goal in time.
pub(super) fn late(plan: &Plan, what: &str, attempts: u32) -> End {
    End::Otherwise {
        code: Code::DeadlineExceeded,
        message: format!("{}, but gave up at the deadline: {what}", plan.action),
        attempts,
    }
}

/// A service's way from one scale to another.
struct Change<'a> {
    service_id: &'a str,
    from: u32,
    to: u32,
    version: Option<String>,
}

/// A request to be passed on.
struct Request<'a> {
    sequence: Sequence,
    service_name: &'a str,
    port: u16,
    path: &'a str,
}

impl Tries {
    fn changed_by_others(&self, action: &Action, found: &str) -> End {
        let planned = format!("{action}, but {found}");
        if self.may_have_acted {
            self.uncertain(format!(
                "{planned}: nobody can know whether it was done before that"
            ))
        } else {
            End::NotPerformed { reason: planned }
        }
    }

    fn refused(&self, message: String) -> End {
        if self.is_unread {
            return self.uncertain(format!(
                "the action may have been done, and what is there cannot be read: {message}"
            ));
        }
        End::Otherwise {
            code: Code::PlatformRefused,
            message,
            attempts: self.attempts,
        }
    }

    fn out_of_time(&self, message: String) -> End {
        if self.is_unread {
            return self.uncertain(format!(
                "gave up at the deadline; the last call may have been done: {message}"
            ));
        }
        End::NotPerformed { reason: message }
    }

    fn uncertain(&self, message: String) -> End {
        End::Otherwise {
            code: Code::Uncertain,
            message,
            attempts: self.attempts,
        }
    }
}

/// The pauses between tries: growing, with jitter, without an end of their own.
pub(crate) fn pauses() -> ExponentialBackoff {
    ExponentialBackoff {
        initial_interval: FIRST_PAUSE,
        current_interval: FIRST_PAUSE,
        max_interval: LONGEST_PAUSE,
        multiplier: 2.0,
        randomization_factor: JITTER,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    }
}

/// Waits for the next try, no shorter than the platform asks for.
pub(crate) async fn pause(
    pauses: &mut ExponentialBackoff,
    retry_after: Option<Duration>,
    stop: &CancellationToken,
) -> Result<(), Interrupted> {
    let pause = pauses.next_backoff().unwrap_or(LONGEST_PAUSE);
    let pause = pause.max(retry_after.unwrap_or_default());
    tokio::select! {
        biased;
        () = tokio::time::sleep(pause) => Ok(()),
        () = stop.cancelled() => Err(Interrupted),
    }
}

/// The same, but not beyond `deadline`, whatever the platform asks for.
pub(super) async fn pause_before(
    deadline: Timestamp,
    pauses: &mut ExponentialBackoff,
    retry_after: Option<Duration>,
    stop: &CancellationToken,
) -> Result<(), Interrupted> {
    let left = deadline.since(Timestamp::now());
    tokio::time::timeout(left, pause(pauses, retry_after, stop))
        .await
        .unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_at_the_deadline_whatever_the_platform_asks_for() {
        let begun = Instant::now();
        let deadline = Timestamp::now().plus(Duration::from_secs(7));
        let stop = CancellationToken::new();
        let paused = pause_before(deadline, &mut pauses(), Some(Duration::MAX), &stop).await;
        assert_eq!(paused, Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(8));
    }
}
