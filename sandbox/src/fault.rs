//! Answers that are given on purpose instead of the API's own.

use actix_web::HttpResponse;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error;

/// The most that a body is padded to.
const LARGEST: usize = 64 * 1024 * 1024;

/// What the next calls are answered with, and the next requests to services. They have no effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fault {
    /// How many of them.
    #[serde(default = "once")]
    times: u32,
    /// Only those with this method, like `PUT`.
    method: Option<String>,
    status: u16,
    /// The error's code; the status in words if there is none.
    code: Option<String>,
    message: Option<String>,
    /// Seconds, or a date.
    retry_after: Option<String>,
    location: Option<String>,
    /// The body instead of an error in Cattle's shape: a text as it is, anything else as JSON.
    body: Option<Value>,
    /// Blanks follow the body until it has so many bytes.
    #[serde(default)]
    padded_to_bytes: usize,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// What a call with this method gets of `left`, if anything. Afterwards one less is left.
    pub(crate) fn next(left: &mut Option<Self>, method: &Method) -> Option<Self> {
        let fault = left.as_mut().filter(|fault| fault.concerns(method))?;
        let given = fault.clone();
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            *left = None;
        }
        Some(given)
    }

    fn concerns(&self, method: &Method) -> bool {
        let own = self.method.as_deref();
        own.is_none_or(|own| own == method.as_str())
    }

    /// The sentence that says what is out of range.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.times == 0 {
            return Some("fault.times must be at least 1");
        }
        if !(200..=599).contains(&self.status) {
            return Some("fault.status must be between 200 and 599");
        }
        (self.padded_to_bytes > LARGEST).then_some("fault.paddedToBytes may be 67108864 at most")
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn answer(&self) -> HttpResponse {
        let (kind, mut body) = match &self.body {
            Some(Value::String(text)) => ("text/html; charset=utf-8", text.clone()),
            Some(json) => ("application/json", json.to_string()),
            None => ("application/json", self.error().to_string()),
        };
        let missing = self.padded_to_bytes.saturating_sub(body.len());
        body.push_str(&" ".repeat(missing));
        let mut response = HttpResponse::build(self.status());
        response.content_type(kind);
        if let Some(rest) = &self.retry_after {
            response.insert_header((RETRY_AFTER, rest.as_str()));
        }
        if let Some(location) = &self.location {
            response.insert_header((LOCATION, location.as_str()));
        }
        response.body(body)
    }

    fn error(&self) -> Value {
        let status = self.status();
        let in_words = status.canonical_reason().unwrap_or_default();
        let in_words = in_words.replace(' ', "");
        let code = self.code.as_deref().unwrap_or(&in_words);
        let message = self.message.as_deref().unwrap_or("failing on purpose");
        error::body(status, code, message, None)
    }
}
