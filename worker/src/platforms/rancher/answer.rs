//! What a Cattle server's answers mean: which errors pass, which never will, and what may have been done.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::platform::PlatformError;

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
/// How much of an error's text is kept.
const LONGEST_MESSAGE: usize = 500;

/// A call without the answer that was hoped for.
pub(super) enum Failure {
    NotFound(String),
    Error(PlatformError),
}

impl Failure {
    /// The error, for calls to things that must be there.
    pub(super) fn into_error(self) -> PlatformError {
        match self {
            Self::NotFound(message) => PlatformError::Refused { message },
            Self::Error(error) => error,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(message) => f.write_str(message),
            Self::Error(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// The result of a call to something that need not be there.
pub(super) fn optional(result: Result<Value, Failure>) -> Result<Option<Value>, PlatformError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(Failure::Error(error)) => Err(error),
    }
}

/// Reads the answer to `what`. A change that was answered well may have been done, whatever the answer looks like.
pub(super) async fn read(
    what: &str,
    is_change: bool,
    mut response: Response,
) -> Result<Value, Failure> {
    let status = response.status();
    let unreadable = |message: String| {
        if is_change && status.is_success() {
            transient(message, None, false, false)
        } else {
            refused(message)
        }
    };
    let retry_after = retry_after(response.headers());
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST_ANSWER => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(unreadable(format!(
                    "{what}: the answer is larger than {LARGEST_ANSWER} bytes"
                )));
            }
            Ok(None) => break,
            Err(error) => return Err(no_answer(what, &error)),
        }
    }
    let body: Option<Value> = serde_json::from_slice(&bytes).ok();
    if status.is_success() {
        return body.filter(Value::is_object).ok_or_else(|| {
            unreadable(format!(
                "{what}: the answer is not Cattle's JSON; does the project's url end with /v2-beta?"
            ))
        });
    }
    let message = format!("{what}: {}", in_words(status, body.as_ref()));
    // The state has changed since it was read: look again, and another call may be due.
    let is_wrong_state = status == StatusCode::METHOD_NOT_ALLOWED
        || body.is_some_and(|body| body["code"] == "ActionNotAvailable");
    Err(match status {
        _ if is_wrong_state => transient(message, retry_after, true, false),
        StatusCode::NOT_FOUND => Failure::NotFound(message),
        // A conflict may have stored the change all the same: whoever tries again must look first.
        StatusCode::CONFLICT => transient(message, retry_after, false, false),
        StatusCode::TOO_MANY_REQUESTS => transient(message, retry_after, true, true),
        StatusCode::REQUEST_TIMEOUT => transient(message, retry_after, false, true),
        status if status.is_server_error() => transient(message, retry_after, false, true),
        _ => refused(message),
    })
}

/// What the service behind the proxy says to a request that was passed on. Its body does not matter.
pub(super) async fn forwarded(what: &str, mut response: Response) -> Result<(), PlatformError> {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    if status.is_success() {
        return Ok(());
    }
    let start = response.chunk().await.ok().flatten().unwrap_or_default();
    let start: String = String::from_utf8_lossy(&start)
        .chars()
        .take(LONGEST_MESSAGE)
        .collect();
    let message = format!("{what}: {status} {start}").trim_end().to_owned();
    let is_passing = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    let failure = if is_passing {
        // The service is down, not the platform.
        transient(message, retry_after, false, false)
    } else {
        refused(message)
    };
    Err(failure.into_error())
}

/// There was no answer to `what`.
pub(super) fn no_answer(what: &str, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let reason = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        cause.to_string()
    };
    transient(format!("{what}: {reason}"), None, error.is_connect(), true)
}

fn in_words(status: StatusCode, body: Option<&Value>) -> String {
    let field = |name: &str| {
        body.and_then(|body| body[name].as_str())
            .filter(|text| !text.is_empty())
    };
    let parts: Vec<_> = ["code", "message", "detail", "fieldName"]
        .into_iter()
        .filter_map(field)
        .collect();
    let text = if parts.is_empty() {
        format!("{status}")
    } else {
        format!("{}: {}", status.as_u16(), parts.join(", "))
    };
    text.chars().take(LONGEST_MESSAGE).collect()
}

/// `Retry-After` in seconds, or as an HTTP date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text)
        .ok()?
        .timestamp()
        .as_millisecond();
    Some(Timestamp::from_millis(at).since(Timestamp::now()))
}

fn transient(
    message: String,
    retry_after: Option<Duration>,
    is_untouched: bool,
    is_down: bool,
) -> Failure {
    Failure::Error(PlatformError::Transient {
        message,
        retry_after,
        is_untouched,
        is_down,
    })
}

fn refused(message: String) -> Failure {
    Failure::Error(PlatformError::Refused { message })
}
