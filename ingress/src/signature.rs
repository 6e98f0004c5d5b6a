//! The `sign` option: requests must be signed with a shared secret, as GitHub or Standard Webhooks do it.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use stormhook_shared::domain::receiver::SignSecret;
use stormhook_shared::domain::time::Timestamp;

use crate::error::ApiError;

/// By how much a signed time may differ from ours.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Checks that `body` is signed with `secret`.
pub(crate) fn check(
    secret: &SignSecret,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(signature) = text("x-hub-signature-256") {
        let is_valid = signature
            .strip_prefix("sha256=")
            .and_then(|signature| hex::decode(signature).ok())
            .is_some_and(|signature| is_signed(secret.0.as_bytes(), &[body], &signature));
        return if is_valid { Ok(()) } else { Err(wrong()) };
    }
    let (Some(id), Some(at), Some(signatures)) = (
        text("webhook-id"),
        text("webhook-timestamp"),
        text("webhook-signature"),
    ) else {
        return Err(ApiError::unauthorized(
            "this hook needs signed requests: X-Hub-Signature-256, or webhook-id, webhook-timestamp and webhook-signature",
        ));
    };
    let seconds: i64 = at.parse().map_err(|_| wrong())?;
    let signed_at = Timestamp::from_millis(seconds.saturating_mul(1_000));
    if now.since(signed_at).max(signed_at.since(now)) > TOLERANCE {
        return Err(ApiError::unauthorized(
            "the signature's time is more than 5 minutes from now",
        ));
    }
    let key = match secret.0.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| wrong())?,
        None => secret.0.as_bytes().to_vec(),
    };
    let parts = [id.as_bytes(), b".", at.as_bytes(), b".", body];
    let is_valid = signatures
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .any(|signature| is_signed(&key, &parts, &signature));
    if is_valid { Ok(()) } else { Err(wrong()) }
}

fn is_signed(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

fn wrong() -> ApiError {
    ApiError::unauthorized("the request's signature is not valid for its body")
}
