//! Notes the calls that a platform gets while somebody works on a plan. Drivers note each request where they send it;
//! for those that do not, the gate notes the whole step.
//!
//! The notes go with the task, not through every signature: reads are made in many places, by drivers and by lists.

use std::cell::RefCell;
use std::time::Instant;

use stormhook_shared::domain::call::{Calls, PlatformCall};
use stormhook_shared::domain::time::Timestamp;

tokio::task_local! {
    static CALLS: RefCell<Calls>;
}

/// What `work` comes to, and the calls that were noted meanwhile in the same task.
pub(crate) async fn record<T>(work: impl Future<Output = T>) -> (T, Calls) {
    let noted = async {
        let done = work.await;
        (done, CALLS.with(RefCell::take))
    };
    CALLS.scope(RefCell::default(), noted).await
}

/// A call that has begun.
pub(crate) struct Begun {
    at: Timestamp,
    started: Instant,
    noted_before: Option<u64>,
}

/// To be called just before a call.
pub(crate) fn begin() -> Begun {
    Begun {
        at: Timestamp::now(),
        started: Instant::now(),
        noted_before: noted(),
    }
}

impl Begun {
    /// Notes that the call of `what` has ended.
    pub(crate) fn end(self, what: impl Into<String>, error: Option<String>) {
        let what = what.into();
        // Errors begin with what was called, as they are mostly told alone.
        let prefix = format!("{what}: ");
        let error = error.map(|error| match error.strip_prefix(&prefix) {
            Some(rest) => rest.to_owned(),
            None => error,
        });
        let call = PlatformCall {
            what,
            at: self.at,
            millis: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            error,
        };
        // Nobody may be listening: targets are listed and receivers are checked without a plan.
        let _ = CALLS.try_with(|calls| calls.borrow_mut().push(call));
    }

    /// The same, unless something was noted since it began.
    pub(crate) fn end_unless_noted(self, what: &str, error: Option<String>) {
        if self.noted_before == noted() {
            self.end(what, error);
        }
    }
}

fn noted() -> Option<u64> {
    CALLS
        .try_with(|calls| {
            let calls = calls.borrow();
            calls.left_out + calls.kept.len() as u64
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_is_noted_only_where_its_requests_are_not() {
        let ((), calls) = record(async {
            let step = begin();
            begin().end("GET /a", None);
            step.end_unless_noted("look at the service", None);
            begin().end_unless_noted("look at the hosts", Some("no".to_owned()));
        })
        .await;
        let told: Vec<_> = calls.kept.iter().map(|call| call.what.as_str()).collect();
        assert_eq!(told, ["GET /a", "look at the hosts"]);
        begin().end("nobody listens", None);
    }
}
