//! Cattle's proxy to services, `/r/projects/<project>/<service>:<port>/<path>`: what is passed on is recorded, and
//! answered as the knobs say.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::cattle::authenticate;
use crate::error::CattleError;
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
    authenticate(&world, &request)?;
    let (project, rest) = path.into_inner();
    let service = rest.split(':').next().unwrap_or_default().to_owned();
    let mut inner = world.lock();
    if inner.knobs.outage {
        return Err(CattleError::down(inner.knobs.retry_after_seconds));
    }
    let is_there = project == seed::PROJECT
        && inner
            .all(Kind::Service, now())
            .any(|one| one["name"] == service.as_str() && one["removed"].is_null());
    if !is_there {
        return Err(CattleError::not_found());
    }
    let status = StatusCode::from_u16(inner.knobs.forward_status).unwrap_or(StatusCode::OK);
    let number = inner.last_call + 1;
    let record = json!({
        "n": number,
        "at": time(now()),
        "method": request.method().as_str(),
        "path": request.path(),
        "query": request.query_string(),
        "contentType": request.headers().get("content-type").and_then(|kind| kind.to_str().ok()),
        "resource": service,
        "body": String::from_utf8_lossy(&body),
        "status": status.as_u16(),
        "effect": Value::Null,
    });
    world.store.write(&Changes {
        call: Some((number, &record)),
        ..Changes::default()
    })?;
    inner.last_call = number;
    Ok(HttpResponse::build(status).body(format!("{service} says {status}")))
}
