//! Reads request bodies: bounded in size and time, and as JSON where the call wants that.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{HttpRequest, web};
use futures::StreamExt;
use serde_json::Value;

use crate::error::ApiError;

/// The largest body: 1 MiB.
pub(crate) const LARGEST: usize = 1024 * 1024;
/// How long a caller may take to send one.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The whole body.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Vec<u8>, ApiError> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LARGEST as u64) {
        return Err(too_large());
    }
    tokio::time::timeout(TIMEOUT, collect(payload))
        .await
        .unwrap_or_else(|_| {
            let message = format!("the body was not sent within {} s", TIMEOUT.as_secs());
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "RequestTimeout",
                message,
            ))
        })
}

/// The body of a management call, as JSON.
pub(crate) async fn read_json(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Value, ApiError> {
    expect_json(request)?;
    parse(&read(request, payload).await?)
}

/// The body of an action, which may be left out.
pub(crate) async fn read_optional_json(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Value, ApiError> {
    let bytes = read(request, payload).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    expect_json(request)?;
    parse(&bytes)
}

fn expect_json(request: &HttpRequest) -> Result<(), ApiError> {
    match request.headers().get(CONTENT_TYPE) {
        None => {
            let message = "the request needs the header Content-Type: application/json";
            Err(ApiError::invalid(
                "MissingRequired",
                "Content-Type",
                message,
            ))
        }
        Some(kind) if !is_json(kind.to_str().unwrap_or_default()) => {
            let message = "the body must be JSON, with the header Content-Type: application/json";
            Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                message,
            ))
        }
        Some(_) => Ok(()),
    }
}

fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("the body is not JSON: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidBodyContent", message)
    })
}

async fn collect(mut payload: web::Payload) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            let message = format!("the body cannot be read: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "InvalidBodyContent", message)
        })?;
        if body.len() + chunk.len() > LARGEST {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_large() -> ApiError {
    let message = format!("the body may have {LARGEST} bytes at most");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", message)
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
