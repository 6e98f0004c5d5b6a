//! Cattle's proxy to services, `/r/projects/<project>/<service>:<port>/<path>`: what is passed on is recorded, and
//! answered as the knobs say.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::cattle::{admit, pause, user_agent};
use crate::error::CattleError;
use crate::fault::Fault;
use crate::resource::Kind;
use crate::seed;
use crate::store::Changes;
use crate::world::{World, now, time};

/// Sets up the routes below `/r`.
pub(crate) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(web::resource("/r/projects/{project}/{rest:.*}").to(pass_on));
}

async fn pass_on(
    world: web::Data<World>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Bytes,
) -> Result<HttpResponse, CattleError> {
    admit(&world, &request)?;
    let (project, rest) = path.into_inner();
    let service = rest.split(':').next().unwrap_or_default();
    let knobs = world.lock().knobs.clone();
    pause(knobs.latency_ms).await;
    if knobs.outage {
        return Err(CattleError::down(knobs.retry_after_seconds));
    }
    let status = arrive(&world, &request, &project, service, &body)?;
    pause(knobs.slow_services.get(service).copied().unwrap_or(0)).await;
    Ok(HttpResponse::build(status).body(format!("{service} says {status}")))
}

/// Records what comes to a service, which answers after that.
fn arrive(
    world: &World,
    request: &HttpRequest,
    project: &str,
    service: &str,
    body: &[u8],
) -> Result<StatusCode, CattleError> {
    let fault = world.next_fault(request.method())?;
    let mut inner = world.lock();
    let is_there = project == seed::PROJECT
        && inner
            .all(Kind::Service, now())
            .any(|one| one["name"] == service && one["removed"].is_null());
    if !is_there {
        return Err(CattleError::not_found());
    }
    let own = || StatusCode::from_u16(inner.knobs.forward_status).unwrap_or(StatusCode::OK);
    let status = fault.as_ref().map_or_else(own, Fault::status);
    let number = inner.last_call + 1;
    let record = json!({
        "n": number,
        "at": time(now()),
        "method": request.method().as_str(),
        "path": request.path(),
        "query": request.query_string(),
        "contentType": request.headers().get("content-type").and_then(|kind| kind.to_str().ok()),
        "userAgent": user_agent(request),
        "resource": service,
        "body": String::from_utf8_lossy(body),
        "status": status.as_u16(),
        "effect": Value::Null,
    });
    world.store.write(&Changes {
        call: Some((number, &record)),
        ..Changes::default()
    })?;
    inner.last_call = number;
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(status),
    }
}
