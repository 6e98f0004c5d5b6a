//! Which address leads where.

use actix_web::{HttpRequest, HttpResponse, Resource, web};
use serde_json::json;

use crate::access::{Need, authorize};
use crate::app::App;
use crate::error::ApiError;
use crate::{
    counts, endpoint, receiver_actions, receivers, redelivery, schemas, targets, triggers, what_if,
};

/// Sets up all routes.
pub(crate) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(resource("/v1-webhooks/endpoint", "POST").route(web::post().to(endpoint::fire)))
        .service(resource("/v1-webhooks", "GET").route(web::get().to(version)))
        .service(
            resource("/v1-webhooks/receivers", "GET, POST")
                .route(web::get().to(receivers::list))
                .route(web::post().to(receivers::create)),
        )
        .service(
            resource("/v1-webhooks/receivers/{id}", "GET, PUT, DELETE, POST")
                .route(web::get().to(receivers::show))
                .route(web::put().to(receivers::update))
                .route(web::delete().to(receivers::delete))
                .route(web::post().to(receiver_actions::act)),
        )
        .service(
            resource("/v1-webhooks/receivers/{id}/what-if", "POST")
                .route(web::post().to(what_if::compare)),
        )
        .service(resource("/v1-webhooks/triggers", "GET").route(web::get().to(triggers::list)))
        .service(
            resource("/v1-webhooks/triggers/{id}", "GET, POST")
                .route(web::get().to(triggers::show))
                .route(web::post().to(redelivery::act)),
        )
        .service(resource("/v1-webhooks/counts", "GET").route(web::get().to(counts::list)))
        .service(resource("/v1-webhooks/schemas", "GET").route(web::get().to(schemas::list)))
        .service(resource("/v1-webhooks/schemas/{id}", "GET").route(web::get().to(schemas::show)))
        .service(resource("/v1-webhooks/targets", "GET").route(web::get().to(targets::list)))
        .default_service(web::to(nothing_here));
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
            "counts": link("/counts"),
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
