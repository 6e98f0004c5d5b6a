//! What a Docker engine's answers mean: which errors pass, which never will, and what may have been done.

use std::error::Error;
use std::fmt;

use reqwest::{Response, StatusCode};
use serde_json::Value;
use stormhook_shared::ports::platform::PlatformError;

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// How much of an error's text is kept.
const LONGEST_MESSAGE: usize = 500;
/// What swarmkit says to a write whose version is not the newest; the engine makes a 500 of it.
const STALE: &str = "out of sequence";

/// A call without the answer that was hoped for.
#[derive(Debug)]
pub(super) enum Failure {
    NotFound(String),
    Error(PlatformError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(message) => f.write_str(message),
            Self::Error(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// An answer, whatever it says, and the version of the API that the engine speaks by itself.
pub(super) struct Answered {
    pub(super) version: Option<String>,
    pub(super) body: Result<Value, Failure>,
}

/// The result of a call to something that need not be there.
pub(super) fn optional(result: Result<Value, Failure>) -> Result<Option<Value>, PlatformError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(Failure::Error(error)) => Err(error),
    }
}

/// Reads the answer to `what`.
pub(super) async fn read(what: &str, response: Response) -> Answered {
    let version = response
        .headers()
        .get("api-version")
        .and_then(|version| version.to_str().ok())
        .map(str::to_owned);
    let status = response.status();
    let body = match whole(what, response).await {
        Err(failure) => Err(failure),
        // Changes are answered with nothing at all, and a ping with a text.
        Ok(bytes) if status.is_success() => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Ok(bytes) => Err(refusal(what, status, &bytes)),
    };
    Answered { version, body }
}

async fn whole(what: &str, mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST_ANSWER => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                let message = format!("{what}: the answer is larger than {LARGEST_ANSWER} bytes");
                return Err(Failure::Error(PlatformError::Refused { message }));
            }
            Ok(None) => return Ok(bytes),
            Err(error) => return Err(no_answer(what, &error)),
        }
    }
}

fn refusal(what: &str, status: StatusCode, bytes: &[u8]) -> Failure {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let plain = String::from_utf8_lossy(bytes);
    let text = body["message"].as_str().unwrap_or_else(|| plain.trim());
    let text: String = text.chars().take(LONGEST_MESSAGE).collect();
    if text.contains(STALE) {
        let message = format!("{what}: somebody else changed it at the same time ({text})");
        return transient(message, true, false);
    }
    let message = format!("{what}: {} {text}", status.as_u16());
    match status {
        StatusCode::NOT_FOUND => Failure::NotFound(message),
        StatusCode::REQUEST_TIMEOUT => transient(message, false, true),
        // No manager of a swarm, or one without a leader.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            transient(message, true, true)
        }
        status if status.is_server_error() => transient(message, false, true),
        _ => Failure::Error(PlatformError::Refused { message }),
    }
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
    transient(format!("{what}: {reason}"), error.is_connect(), true)
}

fn transient(message: String, is_untouched: bool, is_down: bool) -> Failure {
    Failure::Error(PlatformError::Transient {
        message,
        retry_after: None,
        is_untouched,
        is_down,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, text: &str) -> Failure {
        let body = serde_json::json!({"message": text}).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        refusal("POST /services/web/update", status, body.as_bytes())
    }

    /// As engine 20.10 answers, which has no status of its own for it.
    #[test]
    fn a_stale_write_has_surely_done_nothing_and_the_engine_is_well() {
        let stale = of(
            500,
            "rpc error: code = Unknown desc = update out of sequence",
        );
        let Failure::Error(PlatformError::Transient {
            is_untouched,
            is_down,
            ..
        }) = stale
        else {
            panic!("{stale:?}");
        };
        assert!(is_untouched && !is_down);
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (status, text, passes) in [
            (500, "rpc error: code = DeadlineExceeded", true),
            (503, "This node is not a swarm manager.", true),
            (400, "name must be valid as a DNS name component", false),
            (403, "authorization denied by plugin", false),
        ] {
            let failure = of(status, text);
            let is_transient = matches!(failure, Failure::Error(PlatformError::Transient { .. }));
            assert_eq!(is_transient, passes, "{failure:?}");
        }
        assert!(matches!(
            of(404, "service web not found"),
            Failure::NotFound(_)
        ));
        let plain = refusal(
            "GET /_ping",
            StatusCode::BAD_REQUEST,
            b"Client sent an HTTP request",
        );
        assert!(plain.to_string().contains("Client sent an HTTP"));
    }
}
