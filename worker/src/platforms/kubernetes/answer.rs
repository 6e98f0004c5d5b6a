//! What an API server's answers mean: which errors pass, which never will, and what may have been done.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use http::header::{HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::Value;
use stormhook_shared::ports::platform::PlatformError;

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
/// How much of an error's text is kept.
const LONGEST_MESSAGE: usize = 700;
/// What the API server answers with 429, in plain text, to whom its priorities and fairness keep back.
const OVERLOADED: &str = "Too many requests, please try again later.";

/// A call without the answer that was hoped for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such thing, or no such sort of things.
    NotFound(String),
    /// Somebody changed the thing since it was read, so nothing was done.
    Conflict(String),
    /// The list's place is not remembered any more.
    Expired(String),
    Error(PlatformError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(message) | Self::Conflict(message) | Self::Expired(message) => {
                f.write_str(message)
            }
            Self::Error(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// The error, for calls to things that must be there and are not changed.
    pub(crate) fn into_error(self) -> PlatformError {
        match self {
            Self::NotFound(message) => PlatformError::Refused { message },
            Self::Conflict(message) | Self::Expired(message) => passing(message, true),
            Self::Error(error) => error,
        }
    }

    /// The error, for changes of what was seen a moment ago: if it is gone, whoever tries again sees that.
    pub(crate) fn of_change(self) -> PlatformError {
        match self {
            Self::NotFound(message) => passing(message, true),
            other => other.into_error(),
        }
    }
}

/// An error of one thing that passes, not of the platform as a whole.
pub(super) fn passing(message: String, is_untouched: bool) -> PlatformError {
    PlatformError::Transient {
        message,
        retry_after: None,
        is_untouched,
        is_down: false,
    }
}

/// The result of a call to something that need not be there.
pub(crate) fn optional(result: Result<Value, Failure>) -> Result<Option<Value>, PlatformError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(other) => Err(other.into_error()),
    }
}

/// Reads the answer to `what`.
pub(super) async fn read(what: &str, response: Response<Body>) -> Result<Value, Failure> {
    let (head, body) = response.into_parts();
    let bytes = match Limited::new(body, LARGEST_ANSWER).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return Err(no_answer(what, &*error)),
    };
    let body: Option<Value> = serde_json::from_slice(&bytes).ok();
    if head.status.is_success() {
        return body.filter(Value::is_object).ok_or_else(|| {
            let message = format!("{what}: the answer is not Kubernetes' JSON");
            Failure::Error(PlatformError::Refused { message })
        });
    }
    let status = body.filter(|body| body["kind"] == "Status");
    Err(failure(what, head.status, &head.headers, status.as_ref()))
}

/// What an answer other than success means. `told`: its `Status`.
fn failure(what: &str, code: StatusCode, headers: &HeaderMap, told: Option<&Value>) -> Failure {
    let message = format!("{what}: {}", in_words(code, told));
    let retry_after = retry_after(headers, told);
    let transient = |is_untouched, is_down| {
        Failure::Error(PlatformError::Transient {
            message: message.clone(),
            retry_after,
            is_untouched,
            is_down,
        })
    };
    match code {
        StatusCode::NOT_FOUND => Failure::NotFound(message),
        StatusCode::CONFLICT => Failure::Conflict(message),
        StatusCode::GONE => Failure::Expired(message),
        // Tokens are renewed, by others, and read anew.
        StatusCode::UNAUTHORIZED => Failure::Error(PlatformError::Transient {
            message: format!(
                "{message}: the credentials are not accepted; a token or certificate may have expired"
            ),
            retry_after,
            is_untouched: true,
            is_down: true,
        }),
        StatusCode::TOO_MANY_REQUESTS => transient(true, true),
        StatusCode::REQUEST_TIMEOUT => transient(false, true),
        code if code.is_server_error() => transient(false, true),
        _ => Failure::Error(PlatformError::Refused { message }),
    }
}

/// What a service behind the API server's proxy says to a request that was passed on.
pub(super) async fn forwarded(what: &str, response: Response<Body>) -> Result<(), PlatformError> {
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        return Ok(());
    }
    let read = Limited::new(body, LARGEST_ANSWER).collect().await;
    let bytes = read
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let told: Option<Value> = serde_json::from_slice(&bytes).ok();
    let own = told.filter(|body| body["kind"] == "Status" && body["apiVersion"] == "v1");
    if own.is_some() {
        // The API server's own words: without rights, without such a service, without an endpoint behind it.
        let mut error = failure(what, head.status, &head.headers, own.as_ref()).into_error();
        if let PlatformError::Transient { is_down, .. } = &mut error {
            *is_down &= head.status == StatusCode::UNAUTHORIZED;
        }
        return Err(error);
    }
    let start: String = String::from_utf8_lossy(&bytes)
        .chars()
        .take(LONGEST_MESSAGE)
        .collect();
    let message = format!("{what}: {} {start}", head.status);
    let message = message.trim_end().to_owned();
    // The API server's own words again, which it says without a `Status` when it has too much to do.
    let is_kept_back =
        head.status == StatusCode::TOO_MANY_REQUESTS && start.trim_end() == OVERLOADED;
    let is_passing =
        head.status.is_server_error() || head.status == StatusCode::REQUEST_TIMEOUT || is_kept_back;
    Err(if is_passing {
        PlatformError::Transient {
            message,
            retry_after: retry_after(&head.headers, None),
            // The service is down, not the platform.
            is_untouched: is_kept_back,
            is_down: is_kept_back,
        }
    } else {
        PlatformError::Refused { message }
    })
}

/// There was no answer to `what`.
pub(super) fn no_answer(what: &str, error: &(dyn Error + 'static)) -> Failure {
    let mut is_unsent = false;
    let mut cause = error;
    loop {
        is_unsent |= cause.downcast_ref::<io::Error>().is_some_and(|error| {
            let is_own_timeout = error.raw_os_error().is_none();
            match error.kind() {
                io::ErrorKind::ConnectionRefused => true,
                // Only connecting has a time-out of its own; the system's also ends connections that were in use.
                io::ErrorKind::TimedOut => is_own_timeout,
                _ => false,
            }
        });
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    Failure::Error(PlatformError::Transient {
        message: format!("{what}: {cause}"),
        retry_after: None,
        is_untouched: is_unsent,
        is_down: true,
    })
}

/// There was no answer to `what` in time.
pub(super) fn too_late(what: &str) -> Failure {
    Failure::Error(PlatformError::Transient {
        message: format!("{what}: no answer in time"),
        retry_after: None,
        is_untouched: false,
        is_down: true,
    })
}

/// A `Status` has a sentence, which names verb and resource where a right is missing, and quotes quotas and admission
/// webhooks.
fn in_words(code: StatusCode, told: Option<&Value>) -> String {
    let sentence = told
        .and_then(|told| told["message"].as_str())
        .filter(|text| !text.is_empty());
    let text = match sentence {
        Some(sentence) => format!("{}: {sentence}", code.as_u16()),
        None => code.to_string(),
    };
    text.chars().take(LONGEST_MESSAGE).collect()
}

fn retry_after(headers: &HeaderMap, told: Option<&Value>) -> Option<Duration> {
    let header = headers
        .get(RETRY_AFTER)
        .and_then(|text| text.to_str().ok()?.trim().parse().ok());
    let detail = told.and_then(|told| told["details"]["retryAfterSeconds"].as_u64());
    header.or(detail).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(code: u16, message: &str) -> PlatformError {
        let status = json!({"kind": "Status", "message": message});
        let code = StatusCode::from_u16(code).unwrap();
        failure("PATCH /x", code, &HeaderMap::new(), Some(&status)).of_change()
    }

    /// The API server keeps requests back in plain text; a service may answer 429, too, and has then had its say.
    #[tokio::test]
    async fn a_request_that_is_kept_back_is_no_answer_of_the_service() {
        for (body, is_kept_back) in [
            ("Too many requests, please try again later.\n", true),
            ("not so fast", false),
        ] {
            let answer = Response::builder()
                .status(429)
                .body(Body::from(body.as_bytes().to_vec()))
                .unwrap();
            let error = forwarded("POST /x", answer).await.unwrap_err();
            let is_passing = matches!(
                error,
                PlatformError::Transient {
                    is_untouched: true,
                    ..
                }
            );
            assert_eq!(is_passing, is_kept_back, "{error:?}");
        }
    }

    #[test]
    fn each_answer_means_what_the_api_conventions_say() {
        for (code, is_untouched, is_down) in [
            (401, true, true),
            (404, true, false),
            (409, true, false),
            (429, true, true),
            (500, false, true),
            (504, false, true),
        ] {
            match told(code, "") {
                PlatformError::Transient {
                    is_untouched: untouched,
                    is_down: down,
                    ..
                } => assert_eq!((untouched, down), (is_untouched, is_down), "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
        for code in [400, 403, 405, 422] {
            let refused = told(code, "exceeded quota: pods");
            assert!(matches!(&refused, PlatformError::Refused { .. }), "{code}");
            assert!(refused.to_string().contains("exceeded quota"), "{refused}");
        }
    }

    #[test]
    fn what_was_never_sent_is_told_apart() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let broken = io::Error::from(io::ErrorKind::ConnectionReset);
        for (error, expected) in [(refused, true), (broken, false)] {
            let Failure::Error(PlatformError::Transient { is_untouched, .. }) =
                no_answer("GET /x", &error)
            else {
                panic!("it passes");
            };
            assert_eq!(is_untouched, expected, "{error}");
        }
    }
}
