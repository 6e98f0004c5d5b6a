//! The circuit breaker of a connection: after several failures in a row no call is made for a while, then one is
//! tried. Pure: the time is an argument.

use std::time::{Duration, Instant};

use stormhook_shared::ports::platform::Health;

/// How many failures in a row open it.
const FAILURES_TO_OPEN: u32 = 5;
/// How long it stays open at first, and at most, unless the platform asks for longer. After that whoever waits asks again:
/// a probe may have closed it meanwhile.
const FIRST_REST: Duration = Duration::from_millis(500);
pub(super) const LONGEST_REST: Duration = Duration::from_secs(15);
/// The longest that a platform is left alone because it asks for that. One that asks for an hour is mostly back before:
/// asking once in five minutes does it no harm.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(5 * 60);

/// Whether calls may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Breaker {
    failures: u32,
    /// No call is made before then.
    rests_until: Option<Instant>,
    /// One call is being tried; if nothing is heard of it by then, another one is.
    probing_until: Option<Instant>,
}

impl Breaker {
    /// One that lets calls through.
    pub(super) fn closed() -> Self {
        Self {
            failures: 0,
            rests_until: None,
            probing_until: None,
        }
    }

    /// Whether a call may be made at `now`; if not, after how long to ask again. A call takes `call_timeout` at most.
    pub(super) fn admit(&mut self, now: Instant, call_timeout: Duration) -> Result<(), Duration> {
        if let Some(until) = self.rests_until.filter(|until| now < *until) {
            return Err((until - now).min(LONGEST_REST));
        }
        if self.failures < FAILURES_TO_OPEN {
            self.rests_until = None;
            return Ok(());
        }
        if let Some(until) = self.probing_until.filter(|until| now < *until) {
            return Err((until - now).min(FIRST_REST));
        }
        self.probing_until = Some(now + call_timeout);
        Ok(())
    }

    /// Whether the platform is left alone, but for a call that is tried now and then.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= FAILURES_TO_OPEN
    }

    /// How calls go at `now`.
    pub(super) fn health(&self, now: Instant) -> Health {
        Health {
            failures: self.failures,
            rests_for: self
                .rests_until
                .and_then(|until| until.checked_duration_since(now)),
        }
    }

    /// A call that was admitted was not made.
    pub(super) fn not_called(&mut self) {
        self.probing_until = None;
    }

    /// A call got an answer.
    pub(super) fn succeeded(&mut self) {
        *self = Self::closed();
    }

    /// A call got none, or one that says that the platform is down; `rest`: how long it wants to be left alone.
    pub(super) fn failed(&mut self, now: Instant, rest: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.probing_until = None;
        let own = self.failures.checked_sub(FAILURES_TO_OPEN).map(|beyond| {
            FIRST_REST
                .saturating_mul(2_u32.saturating_pow(beyond.min(8)))
                .min(LONGEST_REST)
        });
        if let Some(rest) = own.max(rest.map(|rest| rest.min(LONGEST_ASKED))) {
            self.rests_until = now.checked_add(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Duration = Duration::from_secs(10);

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_one_call_at_a_time() {
        let now = Instant::now();
        let mut breaker = Breaker::closed();
        for _ in 0..FAILURES_TO_OPEN {
            assert_eq!(breaker.admit(now, CALL), Ok(()));
            breaker.failed(now, None);
        }
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(now, CALL), Err(FIRST_REST));
        let health = breaker.health(now);
        assert_eq!(
            (health.failures, health.rests_for),
            (FAILURES_TO_OPEN, Some(FIRST_REST))
        );
        let later = now + FIRST_REST;
        assert_eq!(breaker.admit(later, CALL), Ok(()), "the probe");
        assert!(breaker.admit(later, CALL).is_err(), "only one");
        breaker.failed(later, None);
        assert_eq!(breaker.admit(later, CALL), Err(FIRST_REST * 2));
        let probe = later + FIRST_REST * 2;
        assert_eq!(breaker.admit(probe, CALL), Ok(()));
        breaker.succeeded();
        assert!(!breaker.is_open());
        assert_eq!(breaker.admit(probe, CALL), Ok(()));
        assert_eq!(breaker.admit(probe, CALL), Ok(()));
    }

    #[test]
    fn a_probe_that_is_never_heard_of_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = Breaker::closed();
        for _ in 0..FAILURES_TO_OPEN {
            breaker.failed(now, None);
        }
        let probe = now + LONGEST_REST;
        assert_eq!(breaker.admit(probe, CALL), Ok(()));
        assert_eq!(breaker.admit(probe + CALL, CALL), Ok(()));
    }

    #[test]
    fn the_rest_that_a_platform_asks_for_is_kept_and_rests_are_bounded() {
        let now = Instant::now();
        let mut breaker = Breaker::closed();
        breaker.failed(now, Some(Duration::from_secs(3)));
        assert_eq!(breaker.admit(now, CALL), Err(Duration::from_secs(3)));
        for _ in 0..100 {
            breaker.failed(now, None);
        }
        assert_eq!(breaker.admit(now, CALL), Err(LONGEST_REST));
    }

    #[test]
    fn a_call_that_was_not_made_says_nothing_of_the_platform() {
        let now = Instant::now();
        let mut breaker = Breaker::closed();
        for _ in 0..FAILURES_TO_OPEN {
            breaker.failed(now, None);
        }
        let later = now + LONGEST_REST;
        assert_eq!(breaker.admit(later, CALL), Ok(()));
        breaker.not_called();
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(later, CALL), Ok(()), "another one is tried");
    }

    #[test]
    fn a_platform_that_asks_for_ages_is_tried_again_in_minutes() {
        let now = Instant::now();
        let mut breaker = Breaker::closed();
        breaker.failed(now, Some(Duration::MAX));
        assert_eq!(breaker.health(now).rests_for, Some(LONGEST_ASKED));
        assert_eq!(breaker.admit(now, CALL), Err(LONGEST_REST));
        assert_eq!(breaker.admit(now + LONGEST_ASKED, CALL), Ok(()));
    }
}
