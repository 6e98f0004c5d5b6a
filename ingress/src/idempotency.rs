//! The caller's idempotency key, from the headers in their order.

use actix_web::http::header::HeaderMap;

use crate::error::ApiError;

const LONGEST: usize = 256;

/// The key that the headers give: `Idempotency-Key`, `webhook-id` (Standard Webhooks), `ce-id` with `ce-source`
/// (CloudEvents), `X-GitHub-Delivery`, in that order.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    for name in ["idempotency-key", "webhook-id"] {
        if let Some(value) = value(headers, name)? {
            return Ok(Some(value));
        }
    }
    if let (Some(id), Some(source)) = (value(headers, "ce-id")?, value(headers, "ce-source")?) {
        // A space cannot stand in a source, which is a URI reference.
        return Ok(Some(format!("{source} {id}")));
    }
    value(headers, "x-github-delivery")
}

fn value(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if (1..=LONGEST).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => {
            let message =
                format!("the header {name} must have 1 to {LONGEST} visible ASCII characters");
            Err(ApiError::invalid("InvalidFormat", name, message))
        }
    }
}
