//! The live feed's address.

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use stormhook_shared::domain::time::Timestamp;
use tokio::time::Instant;

use crate::access::{Need, authorize, parameter};
use crate::app::App;
use crate::error::ApiError;
use crate::feed::{NotAPlace, Place};

/// How many viewers one ingress has at most.
const MOST_VIEWERS: usize = 5_000;

/// `GET /v1-webhooks/events`, from the id in the header `Last-Event-ID` or the parameter `lastEventId` on.
pub(crate) async fn follow(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let seen = last_seen(&request)?;
    let wants_all = wants_all(&request)?;
    if app.feed.viewers() >= MOST_VIEWERS {
        let message = format!("{MOST_VIEWERS} viewers follow already; try again later");
        return Err(ApiError::unavailable(message));
    }
    let until = grant.expires.map(|expires| {
        let left = expires.since(Timestamp::now());
        // The page renews its session meanwhile, and comes back with the new one.
        Instant::now() + left.max(Duration::from_secs(1))
    });
    // It begins once the logs can be read.
    let view = app.feed.view(grant.project, (seen, wants_all), until);
    let events = tokio::select! {
        events = view => events,
        () = app.stop.cancelled() => {
            return Err(ApiError::unavailable("this ingress stops; try again"));
        }
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        // nginx would keep events until its buffer is full.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events))
}

fn last_seen(request: &HttpRequest) -> Result<Option<Place>, ApiError> {
    let header = request.headers().get("last-event-id");
    let header = header.and_then(|value| value.to_str().ok());
    // A browser sends the header when it reconnects by itself: it is newer than the address.
    let text = match header {
        Some(text) => Some(text.to_owned()),
        None => parameter(request, "lastEventId"),
    };
    text.filter(|text| !text.is_empty())
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: NotAPlace| {
            ApiError::invalid("InvalidFormat", "Last-Event-ID", error.to_string())
        })
}

/// Whether every trigger and outcome is wanted, however many were missed.
fn wants_all(request: &HttpRequest) -> Result<bool, ApiError> {
    match parameter(request, "complete").as_deref() {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let message = format!("complete is true or false, not {other:?}");
            Err(ApiError::invalid("InvalidOption", "complete", message))
        }
    }
}
