//! `/healthz`, `/readyz` and `/metrics`, as part of a program's own HTTP server or as a server of their own.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, Resource, web};
use prometheus_client::registry::Registry;
use serde_json::{Map, json};
use tokio::task::JoinHandle;

use super::head::answer_head;
use crate::telemetry::Readiness;

/// What the probes tell.
#[derive(Clone)]
pub struct Probes {
    /// Which parts are ready.
    pub readiness: Arc<Readiness>,
    /// What is measured.
    pub registry: Arc<Registry>,
}

impl Probes {
    /// Adds the probes to a server.
    pub fn configure(self, routes: &mut web::ServiceConfig) {
        routes
            .app_data(web::Data::new(self))
            .service(probe("/healthz").route(web::get().to(health)))
            .service(probe("/readyz").route(web::get().to(ready)))
            .service(probe("/metrics").route(web::get().to(metrics)));
    }
}

/// A server of probes alone: what a worker has, and an ingress until it has reached its backbone. Whatever else is asked
/// is answered with 503.
pub struct ProbeServer {
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl ProbeServer {
    /// Starts on `listener`.
    pub fn start(listener: TcpListener, probes: &Probes) -> std::io::Result<Self> {
        let probes = probes.clone();
        let server = HttpServer::new(move || {
            App::new()
                .wrap(from_fn(answer_head))
                .configure(|routes| probes.clone().configure(routes))
                .default_service(web::to(not_yet))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
        Ok(Self {
            handle: server.handle(),
            task: tokio::spawn(server),
        })
    }

    /// Answers what was asked, and ends.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(%error, "the server of the probes ended with an error");
        }
    }
}

/// The process answers.
async fn health() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Whether the process can do its work, and which part cannot; and which projects' platforms answer, where this process
/// is connected to them.
async fn ready(probes: web::Data<Probes>) -> HttpResponse {
    let parts = probes.readiness.parts();
    let is_ready = parts.values().all(Result::is_ok);
    let told = |state: Result<(), String>| json!(state.err().unwrap_or_else(|| "ready".to_owned()));
    let parts: Map<_, _> = parts
        .into_iter()
        .map(|(part, state)| (part, told(state)))
        .collect();
    let projects: Map<_, _> = probes
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
async fn metrics(probes: web::Data<Probes>) -> HttpResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &probes.registry) {
        Ok(()) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(error) => refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("the metrics cannot be written: {error}"),
        ),
    }
}

async fn not_yet() -> HttpResponse {
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "this process answers /healthz, /readyz and /metrics only; an ingress does so until it has reached its backbone, \
         and /readyz says what it waits for",
    )
}

/// A resource that answers methods other than GET and HEAD with 405.
fn probe(path: &str) -> Resource {
    web::resource(path).default_service(web::to(async || {
        let message = "only GET and HEAD are answered here";
        let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, message);
        let allow = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allow);
        answer
    }))
}

/// An error in the shape of the API's.
fn refusal(status: StatusCode, message: &str) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((RETRY_AFTER, "2"));
    }
    answer.json(json!({
        "type": "error",
        "status": status.as_u16(),
        "code": status.canonical_reason().unwrap_or_default().replace(' ', ""),
        "message": message,
    }))
}
