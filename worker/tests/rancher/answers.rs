//! What the driver makes of each answer: which errors pass, which never will, and what may have been done.

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stormhook_shared::decide::Seen;
use stormhook_shared::ports::platform::PlatformError;

use super::{Practice, forward, scale};

/// The largest answer that is read.
const LARGEST: usize = 32 * 1024 * 1024;

/// What an error means to whoever called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It passes.
    Passes {
        /// The call was surely not taken.
        is_untouched: bool,
        /// Others go no better.
        is_down: bool,
    },
    /// The same call will never succeed.
    Never,
}

/// The call was surely not taken, and the same may succeed when the thing is in another state.
const WRONG_STATE: Meaning = Meaning::Passes {
    is_untouched: true,
    is_down: false,
};
/// The call may have been done all the same, and others go well.
pub(crate) const UNCERTAIN: Meaning = Meaning::Passes {
    is_untouched: false,
    is_down: false,
};
/// The call was surely not taken, as everything is too much just now.
const OVERLOADED: Meaning = Meaning::Passes {
    is_untouched: true,
    is_down: true,
};
/// Nothing works just now, and the call may have been done all the same.
pub(crate) const DOWN: Meaning = Meaning::Passes {
    is_untouched: false,
    is_down: true,
};

impl Meaning {
    pub(crate) fn of(error: &PlatformError) -> Self {
        match error {
            PlatformError::Transient {
                is_untouched,
                is_down,
                ..
            } => Self::Passes {
                is_untouched: *is_untouched,
                is_down: *is_down,
            },
            PlatformError::Refused { .. } => Self::Never,
            other => panic!("{other:?} is not about an answer"),
        }
    }
}

#[tokio::test]
async fn each_answer_to_a_change_has_its_meaning() {
    let practice = Practice::start().await;
    for (status, code, expected) in [
        (400, "BadRequest", Meaning::Never),
        (401, "Unauthorized", Meaning::Never),
        (403, "Forbidden", Meaning::Never),
        (404, "NotFound", Meaning::Never),
        (405, "MethodNotAllowed", WRONG_STATE),
        (408, "RequestTimeout", DOWN),
        (409, "Conflict", UNCERTAIN),
        (422, "ActionNotAvailable", WRONG_STATE),
        (422, "InvalidAction", Meaning::Never),
        (422, "InvalidOption", Meaning::Never),
        (422, "NotUnique", Meaning::Never),
        (429, "TooManyRequests", OVERLOADED),
        (500, "ServerError", DOWN),
        (502, "BadGateway", DOWN),
        (503, "ServiceUnavailable", DOWN),
        (504, "GatewayTimeout", DOWN),
    ] {
        let fault = json!({"status": status, "code": code, "message": "on purpose"});
        practice.set(json!({"fault": fault})).await;
        let error = scale(&practice.rancher, "1s6", 3).await.unwrap_err();
        assert_eq!(Meaning::of(&error), expected, "{status} {code}: {error}");
        let told = error.to_string();
        for word in [code, "on purpose", "1s6", &status.to_string()] {
            assert!(told.contains(word), "{word} is not in: {told}");
        }
    }
    for call in practice.calls().await {
        assert_eq!(call["effect"], Value::Null, "{call}");
    }
}

#[tokio::test]
async fn each_answer_to_a_look_has_its_meaning() {
    let practice = Practice::start().await;
    let page = "<!DOCTYPE html><title>Sign in</title>";
    for (fault, expected) in [
        (json!({"status": 401}), Meaning::Never),
        (json!({"status": 403}), Meaning::Never),
        (json!({"status": 403, "body": page}), Meaning::Never),
        (json!({"status": 408}), DOWN),
        (json!({"status": 409}), UNCERTAIN),
        (json!({"status": 429}), OVERLOADED),
        (json!({"status": 500}), DOWN),
        (json!({"status": 502, "body": page}), DOWN),
        (json!({"status": 503, "body": ""}), DOWN),
        (json!({"status": 200, "body": page}), Meaning::Never),
        (json!({"status": 200, "body": ""}), Meaning::Never),
        (json!({"status": 200, "body": []}), Meaning::Never),
        (json!({"status": 200, "body": "{\"id\""}), Meaning::Never),
    ] {
        for group in ["service/1a5/1s6", "hosts/1a5/role=web"] {
            practice.set(json!({"fault": fault})).await;
            let error = practice.observe(group).await.unwrap_err();
            assert_eq!(Meaning::of(&error), expected, "{fault}: {error}");
        }
    }
    practice.set(json!({"fault": {"status": 404}})).await;
    let seen = practice.observe("service/1a5/1s6").await.unwrap();
    assert!(matches!(seen, Seen::Gone { .. }), "{seen:?}");
}

/// Whatever it looks like, the change may be there.
#[tokio::test]
async fn a_change_that_is_answered_well_but_not_readably_may_have_been_done() {
    let practice = Practice::start().await;
    for body in [json!("<p>Welcome"), json!(""), json!([]), json!("{\"id\"")] {
        practice
            .set(json!({"fault": {"status": 200, "body": body}}))
            .await;
        let error = scale(&practice.rancher, "1s6", 3).await.unwrap_err();
        assert_eq!(Meaning::of(&error), UNCERTAIN, "{body}: {error}");
    }
}

/// Whoever meant another address learns what is wrong with it.
#[tokio::test]
async fn what_is_not_cattles_json_is_told_with_a_hint() {
    let practice = Practice::start().await;
    let fault = json!({"status": 200, "body": "<p>Welcome"});
    practice.set(json!({"fault": fault})).await;
    let error = practice.observe("service/1a5/1s6").await.unwrap_err();
    assert!(error.to_string().contains("/v2-beta"), "{error}");
}

#[tokio::test]
async fn an_answer_may_have_32_mebibytes() {
    let practice = Practice::start().await;
    for (bytes, is_read) in [(LARGEST, true), (LARGEST + 1, false)] {
        let list = json!({"type": "collection", "data": []});
        let fault = json!({"status": 200, "body": list, "paddedToBytes": bytes});
        practice.set(json!({"fault": fault})).await;
        match practice.observe("hosts/1a5/role=web").await {
            Ok(Seen::Hosts(seen)) => assert!(is_read && seen.hosts.is_empty(), "{bytes}"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(Meaning::of(&error), Meaning::Never, "{error}");
                assert!(!is_read && error.to_string().contains("larger"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn the_rest_that_a_server_asks_for_is_understood() {
    let practice = Practice::start().await;
    let in_an_hour = Timestamp::now() + SignedDuration::from_hours(1);
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&in_an_hour);
    for (asked, least, most) in [
        (Some("7".to_owned()), Some(7), Some(7)),
        (Some(date.unwrap()), Some(3_500), Some(3_600)),
        (Some("soon".to_owned()), None, None),
        (None, None, None),
    ] {
        for status in [409, 429, 503] {
            let fault = json!({"status": status, "retryAfter": asked});
            practice.set(json!({"fault": fault})).await;
            let error = scale(&practice.rancher, "1s6", 3).await.unwrap_err();
            let PlatformError::Transient { retry_after, .. } = error else {
                panic!("it passes: {error:?}");
            };
            let seconds = retry_after.map(|rest| rest.as_secs());
            assert!((least..=most).contains(&seconds), "{retry_after:?}");
        }
    }
}

#[tokio::test]
async fn the_answer_of_a_service_decides_on_what_was_passed_on() {
    let practice = Practice::start().await;
    for status in [200, 201, 202] {
        practice.set(json!({"forwardStatus": status})).await;
        assert_eq!(forward(&practice.rancher, "/").await, Ok(()), "{status}");
    }
    for (status, expected) in [
        (302, Meaning::Never),
        (400, Meaning::Never),
        (403, Meaning::Never),
        (404, Meaning::Never),
        (405, Meaning::Never),
        (409, Meaning::Never),
        (422, Meaning::Never),
        // The service is down, not the platform.
        (500, UNCERTAIN),
        (502, UNCERTAIN),
        (503, UNCERTAIN),
        (504, UNCERTAIN),
    ] {
        practice.set(json!({"forwardStatus": status})).await;
        let error = forward(&practice.rancher, "/").await.unwrap_err();
        assert_eq!(Meaning::of(&error), expected, "{status}: {error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}
