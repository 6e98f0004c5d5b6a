//! The admin side: knobs, the record of calls, services and hosts by hand, metrics.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::CattleError;
use crate::knobs::Knobs;
use crate::resource::{Kind, shown};
use crate::seed;
use crate::store::Changes;
use crate::world::{Inner, World, now, write_of};

const MOST_CALLS: usize = 100_000;
const MOST_SERVICES: u32 = 100_000;

/// Sets up the routes below `/sandbox`, and `/metrics`.
pub(crate) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/sandbox/knobs", web::get().to(knobs))
        .route("/sandbox/knobs", web::put().to(set_knobs))
        .route("/sandbox/calls", web::get().to(calls))
        .route("/sandbox/calls", web::delete().to(forget_calls))
        .route("/sandbox/services", web::get().to(services))
        .route("/sandbox/services", web::post().to(create_services))
        .route("/sandbox/services/{id}", web::put().to(set_service))
        .route("/sandbox/hosts", web::get().to(hosts))
        .route("/sandbox/hosts", web::post().to(create_host))
        .route("/sandbox/hosts/{id}", web::put().to(set_host))
        .route("/metrics", web::get().to(metrics));
}

async fn knobs(world: web::Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(&world.lock().knobs)
}

async fn set_knobs(world: web::Data<World>, body: web::Bytes) -> Result<HttpResponse, CattleError> {
    let change: Map<String, Value> = parse(&body)?;
    let mut inner = world.lock();
    let mut merged = json!(inner.knobs);
    for (knob, value) in change {
        merged[knob] = value;
    }
    let knobs: Knobs =
        serde_json::from_value(merged.clone()).map_err(|error| bad_request(error.to_string()))?;
    if let Some(problem) = knobs.problem() {
        return Err(bad_request(problem.to_owned()));
    }
    world.store.write(&Changes {
        knobs: Some(&merged),
        ..Changes::default()
    })?;
    inner.knobs = knobs;
    Ok(HttpResponse::Ok().json(merged))
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn calls(
    world: web::Data<World>,
    page: web::Query<Page>,
) -> Result<HttpResponse, CattleError> {
    let limit = page.limit.unwrap_or(MOST_CALLS).min(MOST_CALLS);
    let (data, total) = world.store.calls(page.after, limit)?;
    Ok(HttpResponse::Ok().json(json!({"data": data, "total": total})))
}

async fn forget_calls(world: web::Data<World>) -> Result<HttpResponse, CattleError> {
    let _inner = world.lock();
    world.store.write(&Changes {
        forgets_calls: true,
        ..Changes::default()
    })?;
    Ok(HttpResponse::NoContent().finish())
}

async fn services(world: web::Data<World>) -> HttpResponse {
    everything(&world, Kind::Service)
}

async fn hosts(world: web::Data<World>) -> HttpResponse {
    everything(&world, Kind::Host)
}

/// All resources of a kind, those that were removed too.
fn everything(world: &World, kind: Kind) -> HttpResponse {
    let mut inner = world.lock();
    let data: Vec<_> = inner
        .all(kind, now())
        .map(|resource| shown(kind, resource, "/v2-beta"))
        .collect();
    HttpResponse::Ok().json(json!({"data": data}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewServices {
    name: String,
    #[serde(default = "one")]
    scale: u32,
    count: Option<u32>,
    /// Labels of the primary container, besides those that every service has.
    #[serde(default)]
    labels: Map<String, Value>,
    image: Option<String>,
    /// Launch configurations with a name each.
    #[serde(default)]
    sidekicks: Vec<Value>,
}

fn one() -> u32 {
    1
}

/// Creates one service, or `count` with numbered names.
async fn create_services(
    world: web::Data<World>,
    body: web::Bytes,
) -> Result<HttpResponse, CattleError> {
    let new: NewServices = parse(&body)?;
    let count = new.count.unwrap_or(1);
    if count > MOST_SERVICES {
        return Err(bad_request(format!("count may be {MOST_SERVICES} at most")));
    }
    let mut inner = world.lock();
    let mut created = Vec::new();
    for number in 1..=count {
        let name = match new.count {
            Some(_) => format!("{}-{number}", new.name),
            None => new.name.clone(),
        };
        let id = inner.next_id(Kind::Service);
        let mut service = seed::service(now(), &id, &name, "1st1", new.scale);
        let config = &mut service["launchConfig"];
        for (key, value) in &new.labels {
            config["labels"][key] = value.clone();
        }
        if let Some(image) = &new.image {
            config["imageUuid"] = json!(format!("docker:{image}"));
        }
        service["secondaryLaunchConfigs"] = json!(new.sidekicks);
        inner.put(Kind::Service, service.clone());
        created.push(service);
    }
    world.store.write(&Changes {
        resources: created
            .iter()
            .map(|service| write_of(Kind::Service, service))
            .collect(),
        ..Changes::default()
    })?;
    Ok(HttpResponse::Created().json(json!({"data": created})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceChange {
    demand: Option<f64>,
    scale: Option<u32>,
}

/// Sets a service's demand or scale by hand, without a record.
async fn set_service(
    world: web::Data<World>,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, CattleError> {
    let change: ServiceChange = parse(&body)?;
    if change.demand.is_some_and(|demand| demand < 0.0) {
        return Err(bad_request("demand must not be negative".to_owned()));
    }
    let mut inner = world.lock();
    let service = inner
        .get(Kind::Service, &id, now())
        .ok_or_else(CattleError::not_found)?;
    let mut service = service.clone();
    if let Some(demand) = change.demand {
        service["demand"] = json!(demand);
    }
    if let Some(scale) = change.scale {
        service["scale"] = json!(scale);
        service["currentScale"] = json!(scale);
    }
    put(&world, &mut inner, Kind::Service, service)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHost {
    name: String,
    /// The machine driver that made it; none for one that was added by hand.
    driver: Option<String>,
    #[serde(default)]
    labels: Map<String, Value>,
}

/// Adds a host that is active already.
async fn create_host(
    world: web::Data<World>,
    body: web::Bytes,
) -> Result<HttpResponse, CattleError> {
    let new: NewHost = parse(&body)?;
    let mut inner = world.lock();
    let id = inner.next_id(Kind::Host);
    let mut host = seed::host(now(), &id, &new.name, new.driver.as_deref());
    host["labels"] = json!(new.labels);
    put(&world, &mut inner, Kind::Host, host)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostChange {
    state: String,
}

/// Puts a host into a state by hand, without a record.
async fn set_host(
    world: web::Data<World>,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, CattleError> {
    let change: HostChange = parse(&body)?;
    let mut inner = world.lock();
    let host = inner
        .get(Kind::Host, &id, now())
        .ok_or_else(CattleError::not_found)?;
    let mut host = host.clone();
    host["state"] = json!(change.state);
    host["agentState"] = json!(change.state);
    put(&world, &mut inner, Kind::Host, host)
}

/// Stores a resource that was changed or added by hand.
fn put(
    world: &World,
    inner: &mut Inner,
    kind: Kind,
    resource: Value,
) -> Result<HttpResponse, CattleError> {
    world.store.write(&Changes {
        resources: vec![write_of(kind, &resource)],
        ..Changes::default()
    })?;
    let answer = HttpResponse::Ok().json(shown(kind, &resource, "/v2-beta"));
    inner.put(kind, resource);
    Ok(answer)
}

async fn metrics(world: web::Data<World>) -> Result<HttpResponse, CattleError> {
    let mut inner = world.lock();
    let text = world.metrics.text(inner.all(Kind::Service, now()));
    let text = text.map_err(|error| {
        CattleError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ServerError",
            error.to_string(),
        )
    })?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, CattleError> {
    serde_json::from_slice(body).map_err(|error| bad_request(error.to_string()))
}

fn bad_request(message: String) -> CattleError {
    CattleError::new(StatusCode::BAD_REQUEST, "BadRequest", message)
}
