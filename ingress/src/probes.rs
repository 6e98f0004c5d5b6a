//! `/healthz`, `/readyz` and `/metrics`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, json};

use crate::app::App;
use crate::error::ApiError;

/// The process answers.
pub(crate) async fn health() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Whether the process can do its work, and which part cannot; and which projects' platforms answer, where this process
/// is connected to them.
pub(crate) async fn ready(app: web::Data<App>) -> HttpResponse {
    let parts = app.readiness.parts();
    let is_ready = parts.values().all(Result::is_ok);
    let told = |state: Result<(), String>| json!(state.err().unwrap_or_else(|| "ready".to_owned()));
    let parts: Map<_, _> = parts
        .into_iter()
        .map(|(part, state)| (part, told(state)))
        .collect();
    let projects: Map<_, _> = app
        .readiness
        .platforms()
        .into_iter()
        .map(|(project, state)| (project.to_string(), told(state)))
        .collect();
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    HttpResponse::build(status)
        .json(json!({"ready": is_ready, "parts": parts, "projects": projects}))
}

/// What is measured, for Prometheus.
pub(crate) async fn metrics(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.registry).map_err(|error| {
        ApiError::unavailable(format!("the metrics cannot be written: {error}"))
    })?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}
