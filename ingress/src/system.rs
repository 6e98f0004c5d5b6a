//! How the deployment is: this ingress, and what a worker tells of the workers and platforms.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::leases::IngressId;
use stormhook_shared::ports::questions::{Answer, PlatformState, Question, System};

use crate::access::{Grant, Need, authorize};
use crate::app::App;
use crate::error::ApiError;

/// `GET /v1-webhooks/system`
pub(crate) async fn show(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    // Without a worker, what this ingress knows by itself is told all the same.
    let census = app.backbone.leases.census().await.ok();
    let (system, problem) = match app.ask(Question::System).await {
        Ok(Answer::System(system)) => (Some(system), None),
        Ok(_) => (None, Some("the worker answered something else".to_owned())),
        Err(error) => (None, Some(error.to_string())),
    };
    let base = app.base(&request);
    Ok(HttpResponse::Ok().json(json!({
        "type": "system",
        "version": env!("CARGO_PKG_VERSION"),
        "ingress": ingress(&app, census.as_ref().map(|census| &census.me)),
        "ingresses": census.as_ref().map(|census| &census.ingresses),
        "worker": system.map(|system| worker(&grant, &system)),
        "problem": problem,
        "links": {"self": format!("{base}/v1-webhooks/system?projectId={}", grant.project)},
    })))
}

fn ingress(app: &App, id: Option<&IngressId>) -> Value {
    let parts: Map<_, _> = app
        .probes
        .readiness
        .parts()
        .into_iter()
        .map(|(part, state)| {
            (
                part,
                json!(state.err().unwrap_or_else(|| "ready".to_owned())),
            )
        })
        .collect();
    json!({
        "id": id,
        "parts": parts,
        "viewers": app.feed.viewers(),
        "startedAt": app.started_at,
    })
}

fn worker(grant: &Grant, system: &System) -> Value {
    let visible = |project: &ProjectId| grant.projects.covers(project);
    let platforms: Vec<_> = system
        .platforms
        .iter()
        .filter(|platform| visible(&platform.project))
        .map(platform)
        .collect();
    json!({
        "answeredBy": system.answered_by,
        "workers": system.workers,
        "partitions": system.partitions,
        "platforms": platforms,
        "outcomeLog": system.outcome_log,
    })
}

fn platform(platform: &PlatformState) -> Value {
    json!({
        "projectId": platform.project,
        "name": platform.name,
        "failures": platform.failures,
        "restsForSeconds": platform.rests_for.map(|rest| rest.as_secs_f64()),
    })
}
