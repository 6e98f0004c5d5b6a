//! Performs a plan: reads what is there, calls the platform, and retries transient errors until the deadline.
//! Knows nothing of triggers or of the ledger.

use std::time::{Duration, Instant};

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use stormhook_shared::decide::{Progress, progress};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ledger::{Action, Plan};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::leases::Lease;
use stormhook_shared::ports::platform::{Platform, PlatformError};
use tokio_util::sync::CancellationToken;

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two tries, unless the platform asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who performs, and where.
pub(super) struct Performer<'a> {
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
    /// It failed for good.
    Failed {
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
        let mut tries = Tries {
            attempts: 0,
            may_have_acted: !is_own,
            is_unread: !is_own,
        };
        // A platform with versions refuses a stale write itself: no need to look again before the first.
        let mut look_first = !(is_own && is_versioned(&plan.action));
        let mut pauses = pauses();
        loop {
            let error = match self.attempt(plan, look_first, &mut tries).await? {
                Ok(end) => return Ok(end),
                Err(error) => error,
            };
            look_first = true;
            let (message, retry_after) = match error {
                PlatformError::Refused { message } => return Ok(tries.refused(message)),
                PlatformError::Transient {
                    message,
                    retry_after,
                    ..
                } => (message, retry_after),
            };
            if Timestamp::now() >= plan.deadline {
                return Ok(match self.look(plan, &mut tries).await {
                    Ok(Some(end)) => end,
                    Ok(None) | Err(_) => tries.out_of_time(message),
                });
            }
            tracing::debug!(group = %self.group, attempts = tries.attempts, message, "trying again");
            pause(&mut pauses, retry_after, self.stop).await?;
        }
    }

    async fn attempt(
        &self,
        plan: &Plan,
        look_first: bool,
        tries: &mut Tries,
    ) -> Result<Result<End, PlatformError>, Interrupted> {
        if look_first {
            match self.look(plan, tries).await {
                Ok(Some(end)) => return Ok(Ok(end)),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        if !self
            .lease
            .outlasts(self.platform.call_timeout(), Instant::now())
        {
            return Err(Interrupted);
        }
        tries.attempts += 1;
        Ok(match self.platform.perform(&plan.action).await {
            Ok(()) => Ok(End::Done {
                attempts: tries.attempts,
            }),
            Err(error) => {
                let is_unknown = matches!(
                    error,
                    PlatformError::Transient {
                        is_untouched: false,
                        ..
                    }
                );
                tries.may_have_acted |= is_unknown;
                tries.is_unread |= is_unknown;
                Err(error)
            }
        })
    }

    /// Reads what is there. `None`: the plan's start, so it can be performed.
    async fn look(&self, plan: &Plan, tries: &mut Tries) -> Result<Option<End>, PlatformError> {
        let seen = self.platform.observe(self.group).await?;
        tries.is_unread = false;
        Ok(match progress(&plan.action, &seen) {
            Progress::Reached => Some(End::Done {
                attempts: tries.attempts,
            }),
            Progress::NotBegun => None,
            Progress::Elsewhere { found } => Some(tries.changed_by_others(&plan.action, &found)),
        })
    }
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
        End::Failed {
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
        End::Failed {
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
        randomization_factor: 0.5,
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
        () = tokio::time::sleep(pause) => Ok(()),
        () = stop.cancelled() => Err(Interrupted),
    }
}

fn is_versioned(action: &Action) -> bool {
    match action {
        Action::ScaleService { version, .. } => version.is_some(),
    }
}
