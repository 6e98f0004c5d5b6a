//! Which address leads where.

use actix_web::{HttpRequest, HttpResponse, Resource, web};
use serde_json::json;

use crate::access::{Need, authorize};
use crate::app::App;
use crate::error::ApiError;
use crate::{
    audit, backup, counts, endpoint, events, openapi, page, receiver_actions, receivers,
    redelivery, replay, schemas, session, system, targets, triggers, what_if,
};

/// An address with what it answers.
pub(crate) struct Place {
    pub(crate) path: &'static str,
    /// Its methods, as the header `Allow` tells them. HEAD comes here as GET.
    pub(crate) allow: &'static str,
    routes: fn(Resource) -> Resource,
}

/// All addresses.
pub(crate) const PLACES: &[Place] = &[
    place("/v1-webhooks/endpoint", "POST", |at| {
        at.route(web::post().to(endpoint::fire))
    }),
    place("/v1-webhooks", "GET, HEAD", |at| {
        at.route(web::get().to(version))
    }),
    place("/v1-webhooks/receivers", "GET, HEAD, POST", |at| {
        at.route(web::get().to(receivers::list))
            .route(web::post().to(receivers::create))
    }),
    place(
        "/v1-webhooks/receivers/{id}",
        "GET, HEAD, PUT, DELETE, POST",
        |at| {
            at.route(web::get().to(receivers::show))
                .route(web::put().to(receivers::update))
                .route(web::delete().to(receivers::delete))
                .route(web::post().to(receiver_actions::act))
        },
    ),
    place("/v1-webhooks/receivers/{id}/what-if", "POST", |at| {
        at.route(web::post().to(what_if::compare))
    }),
    place("/v1-webhooks/triggers", "GET, HEAD, POST", |at| {
        at.route(web::get().to(triggers::list))
            .route(web::post().to(replay::act))
    }),
    place("/v1-webhooks/triggers/{id}", "GET, HEAD, POST", |at| {
        at.route(web::get().to(triggers::show))
            .route(web::post().to(redelivery::act))
    }),
    place("/v1-webhooks/counts", "GET, HEAD", |at| {
        at.route(web::get().to(counts::list))
    }),
    place("/v1-webhooks/audit/head", "GET, HEAD, POST", |at| {
        at.route(web::get().to(audit::head))
            .route(web::post().to(audit::act))
    }),
    place("/v1-webhooks/audit/verification", "POST", |at| {
        at.route(web::post().to(audit::verify))
    }),
    place("/v1-webhooks/audit/log", "POST", |at| {
        at.route(web::post().to(audit::rebuild))
    }),
    place("/v1-webhooks/audit/entries", "GET, HEAD", |at| {
        at.route(web::get().to(audit::entries))
    }),
    place("/v1-webhooks/audit/droppable", "GET, HEAD", |at| {
        at.route(web::get().to(audit::droppable))
    }),
    place("/v1-webhooks/audit/calls", "GET, HEAD", |at| {
        at.route(web::get().to(audit::calls))
    }),
    place("/v1-webhooks/backup/database", "GET, HEAD", |at| {
        at.route(web::get().to(backup::database))
    }),
    place("/v1-webhooks/events", "GET, HEAD", |at| {
        at.route(web::get().to(events::follow))
    }),
    place("/v1-webhooks/system", "GET, HEAD", |at| {
        at.route(web::get().to(system::show))
    }),
    place("/v1-webhooks/session", "GET, HEAD, POST, DELETE", |at| {
        at.route(web::get().to(session::show))
            .route(web::post().to(session::begin))
            .route(web::delete().to(session::end))
    }),
    place("/v1-webhooks/schemas", "GET, HEAD", |at| {
        at.route(web::get().to(schemas::list))
    }),
    place("/v1-webhooks/schemas/{id}", "GET, HEAD", |at| {
        at.route(web::get().to(schemas::show))
    }),
    place("/v1-webhooks/targets", "GET, HEAD", |at| {
        at.route(web::get().to(targets::list))
    }),
    place("/openapi.json", "GET, HEAD", |at| {
        at.route(web::get().to(openapi::document))
    }),
    place("/", "GET, HEAD", |at| at.route(web::get().to(page::index))),
    place("/web/{path:.*}", "GET, HEAD", |at| {
        at.route(web::get().to(page::file))
    }),
];

const fn place(path: &'static str, allow: &'static str, routes: fn(Resource) -> Resource) -> Place {
    Place {
        path,
        allow,
        routes,
    }
}

/// Sets up all routes.
pub(crate) fn configure(routes: &mut web::ServiceConfig) {
    for place in PLACES {
        routes.service((place.routes)(resource(place.path, place.allow)));
    }
    routes.default_service(web::to(nothing_here));
}

/// A resource that answers methods other than `allow` with 405.
fn resource(path: &str, allow: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        Err::<HttpResponse, _>(ApiError::method_not_allowed(
            request.method().as_str(),
            allow,
        ))
    }))
}

/// `GET /v1-webhooks`
async fn version(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let base = format!("{}/v1-webhooks", app.base(&request));
    let link = |path: &str| format!("{base}{path}?projectId={}", grant.project);
    Ok(HttpResponse::Ok().json(json!({
        "type": "apiVersion",
        "id": "v1-webhooks",
        "links": {
            "self": link(""),
            "schemas": link("/schemas"),
            "receivers": link("/receivers"),
            "triggers": link("/triggers"),
            "events": link("/events"),
            "system": link("/system"),
            "targets": link("/targets"),
        },
    })))
}

async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found(format!(
        "there is nothing at {}",
        request.path()
    )))
}
