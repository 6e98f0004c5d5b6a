//! The Cattle API: authentication, knobs, and the record around every call.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, USER_AGENT};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::error::CattleError;
use crate::fault::Fault;
use crate::knobs::Knobs;
use crate::mutation::{self, Done};
use crate::resource::{Kind, shown};
use crate::store::Changes;
use crate::world::{World, now, time, write_of};
use crate::{collection, events, page, seed};

/// What the API is below when the knobs say so.
pub(crate) const PREFIX: &str = "/rancher";

/// Sets up the API below `/v2-beta`.
pub(crate) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v2-beta").to(root))
        .service(web::resource("/v2-beta/projects").to(projects))
        .service(web::resource("/v2-beta/projects/{project}/subscribe").to(events::subscribe))
        .service(web::resource("/v2-beta/subscribe").to(events::subscribe))
        .service(web::resource("/v2-beta/projects/{project}/{kind}").to(answer))
        .service(web::resource("/v2-beta/projects/{project}/{kind}/{id}").to(answer))
        .service(web::resource("/v2-beta/{kind}").to(answer))
        .service(web::resource("/v2-beta/{kind}/{id}").to(answer))
        .default_service(web::to(|| async {
            Err::<HttpResponse, _>(CattleError::not_found())
        }));
}

/// What a call is about.
struct Call {
    method: Method,
    path: String,
    base: String,
    kind: Kind,
    id: Option<String>,
    query: HashMap<String, String>,
    user_agent: Option<String>,
    body: Value,
    started: i64,
}

async fn answer(world: web::Data<World>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let answered = call(&world, &request, &body).await;
    let response =
        answered.unwrap_or_else(|error| actix_web::ResponseError::error_response(&error));
    world
        .metrics
        .count(request.method().as_str(), response.status().as_u16());
    page::or(&world, &request, response)
}

async fn call(
    world: &World,
    request: &HttpRequest,
    body: &[u8],
) -> Result<HttpResponse, CattleError> {
    admit(world, request)?;
    let parts = request.match_info();
    let project = parts.get("project").unwrap_or(seed::PROJECT);
    if project != seed::PROJECT {
        return Err(CattleError::not_found());
    }
    let kind = parts
        .get("kind")
        .and_then(Kind::of_plural)
        .ok_or_else(CattleError::not_found)?;
    let call = Call {
        method: request.method().clone(),
        path: request.path().to_owned(),
        base: format!("{}/projects/{project}", base(world, request)),
        kind,
        id: parts.get("id").map(str::to_owned),
        query: url::form_urlencoded::parse(request.query_string().as_bytes())
            .into_owned()
            .collect(),
        user_agent: user_agent(request),
        body: match body.trim_ascii() {
            [] => json!({}),
            body => serde_json::from_slice(body).map_err(|error| {
                CattleError::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "InvalidBodyContent",
                    error.to_string(),
                )
            })?,
        },
        started: now(),
    };
    let knobs = world.lock().knobs.clone();
    pause(knobs.latency_ms).await;
    if knobs.outage {
        return Err(CattleError::down(knobs.retry_after_seconds));
    }
    let fault = world.next_fault(&call.method)?;
    if call.method == Method::GET {
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        if chance(knobs.error_rate) {
            return Err(CattleError::down(knobs.retry_after_seconds));
        }
        return read(world, &call, &knobs);
    }
    let changed = change(world, &call, &knobs, fault);
    pause(knobs.answer_late_ms).await;
    changed
}

fn read(world: &World, call: &Call, knobs: &Knobs) -> Result<HttpResponse, CattleError> {
    let mut inner = world.lock();
    let body = match &call.id {
        None => collection::page(
            call.kind,
            inner.all(call.kind, call.started),
            &call.query,
            &call.base,
            knobs.page_shift,
        ),
        Some(id) => {
            let resource = inner
                .get(call.kind, id, now())
                .ok_or_else(CattleError::not_found)?;
            shown(call.kind, resource, &call.base)
        }
    };
    Ok(with_headers(StatusCode::OK, &body))
}

/// A changing call: its effect and its record become durable together, before the answer.
fn change(
    world: &World,
    call: &Call,
    knobs: &Knobs,
    fault: Option<Fault>,
) -> Result<HttpResponse, CattleError> {
    let mut inner = world.lock();
    let now = now();
    let (mut resource, result) = if let Some(fault) = fault {
        (None, Err(CattleError::from(fault)))
    } else if chance(knobs.error_rate) {
        (None, Err(CattleError::down(knobs.retry_after_seconds)))
    } else {
        match target(&mut inner, call, now) {
            Ok(mut resource) => {
                let done = alter(call, &mut resource, now, knobs);
                (Some(resource), done)
            }
            Err(error) => (None, Err(error)),
        }
    };
    let (status, effect) = match &result {
        Ok(done) => (
            done.refusal
                .as_ref()
                .map_or(done.status, |refusal| refusal.status),
            done.effect.clone(),
        ),
        Err(error) => {
            resource = None;
            (error.status, Value::Null)
        }
    };
    let is_hidden = result.is_ok() && chance(knobs.error_after_rate);
    let is_conflict = result.is_ok() && call.method == Method::PUT && chance(knobs.conflict_rate);
    let status = match status {
        _ if is_hidden => StatusCode::INTERNAL_SERVER_ERROR,
        _ if is_conflict => StatusCode::CONFLICT,
        status => status,
    };
    let changed = match call.kind {
        Kind::ExternalHostEvent => Kind::Host,
        kind => kind,
    };
    let number = inner.last_call + 1;
    let record = json!({
        "n": number,
        "at": time(now),
        "startedAt": time(call.started),
        "endedAt": time(crate::world::now()),
        "method": call.method.as_str(),
        "path": call.path,
        "action": call.query.get("action"),
        "resource": resource.as_ref().map_or_else(|| json!(call.id), |resource| resource["id"].clone()),
        "userAgent": call.user_agent,
        "body": call.body,
        "status": status.as_u16(),
        "effect": effect,
    });
    world.store.write(&Changes {
        resources: resource
            .iter()
            .map(|resource| write_of(changed, resource))
            .collect(),
        call: Some((number, &record)),
        ..Changes::default()
    })?;
    inner.last_call = number;
    let body = resource.as_ref().map(|resource| match call.kind {
        Kind::ExternalHostEvent => event(call, number),
        kind => shown(kind, resource, &call.base),
    });
    if let Some(resource) = resource {
        inner.put(changed, resource);
    }
    drop(inner);
    let done = result?;
    if is_hidden {
        return Err(CattleError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ServerError",
            "failing on purpose",
        ));
    }
    match done.refusal {
        Some(refusal) => Err(refusal),
        None if is_conflict => Err(CattleError::new(StatusCode::CONFLICT, "Conflict", "")),
        None => Ok(with_headers(done.status, &body.unwrap_or_default())),
    }
}

/// The event that a call created.
fn event(call: &Call, number: u64) -> Value {
    let mut event = call.body.clone();
    event["id"] = json!(format!("{}{number}", Kind::ExternalHostEvent.prefix()));
    event["type"] = json!(Kind::ExternalHostEvent.default_type());
    event["state"] = json!("creating");
    event["transitioning"] = json!("yes");
    event
}

/// A copy of what the call changes; a new resource for those that create.
fn target(inner: &mut crate::world::Inner, call: &Call, now: i64) -> Result<Value, CattleError> {
    if call.kind == Kind::ExternalHostEvent {
        let id = call.body["hostId"].as_str().unwrap_or_default();
        let host = inner.get(Kind::Host, id, now).cloned();
        let host = host.filter(|host| host["removed"].is_null());
        return host.ok_or_else(|| {
            CattleError::field("InvalidReference", "hostId", "there is no such host")
        });
    }
    match &call.id {
        Some(id) => {
            let resource = inner
                .get(call.kind, id, now)
                .ok_or_else(CattleError::not_found)?;
            Ok(resource.clone())
        }
        None => {
            let mut resource = match call.kind {
                Kind::Service => seed::service(now, "", "", "1st1", 1),
                Kind::Host => json!({
                    "kind": "docker", "agentState": null, "removed": null, "accountId": seed::PROJECT,
                    "labels": {}, "hostTemplateId": null,
                }),
                _ => {
                    json!({"state": "active", "transitioning": "no", "removed": null, "accountId": seed::PROJECT})
                }
            };
            resource["id"] = json!(inner.next_id(call.kind));
            resource["type"] = json!(call.kind.default_type());
            resource["created"] = json!(time(now));
            resource["createdTS"] = json!(now);
            Ok(resource)
        }
    }
}

fn alter(call: &Call, resource: &mut Value, now: i64, knobs: &Knobs) -> Result<Done, CattleError> {
    let settle_ms = knobs.settle_ms;
    match (call.method.as_str(), call.query.get("action"), &call.id) {
        ("PUT", None, Some(_)) => mutation::put(call.kind, resource, &call.body, now, settle_ms),
        ("DELETE", None, Some(_)) => mutation::delete(call.kind, resource, now, settle_ms),
        ("POST", Some(action), Some(_)) => {
            mutation::act(call.kind, resource, action, &call.body, now, knobs)
        }
        ("POST", None, None) if call.kind == Kind::ExternalHostEvent => {
            if call.body["eventType"] != "host.evacuate" || call.body["deleteHost"] != true {
                let message = "only host.evacuate with deleteHost is practised here";
                return Err(CattleError::field("InvalidOption", "eventType", message));
            }
            Ok(mutation::evacuate(resource, now, knobs))
        }
        ("POST", None, None) => create(call, resource, now, knobs),
        _ => Err(CattleError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "",
        )),
    }
}

fn create(call: &Call, resource: &mut Value, now: i64, knobs: &Knobs) -> Result<Done, CattleError> {
    let required = if call.kind == Kind::Host {
        "hostname"
    } else {
        "name"
    };
    if call.body[required].as_str().is_none_or(str::is_empty) {
        return Err(CattleError::field(
            "MissingRequired",
            required,
            "is missing",
        ));
    }
    for (field, value) in call.body.as_object().into_iter().flatten() {
        if !matches!(
            field.as_str(),
            "id" | "state" | "created" | "createdTS" | "removed" | "links" | "actions"
        ) {
            resource[field] = value.clone();
        }
    }
    if call.kind == Kind::Host {
        mutation::provision(resource, now, knobs)?;
    }
    Ok(Done {
        status: StatusCode::CREATED,
        effect: json!({"created": resource["id"]}),
        refusal: None,
    })
}

async fn root(world: web::Data<World>, request: HttpRequest) -> Result<HttpResponse, CattleError> {
    admit(&world, &request)?;
    let own = base(&world, &request);
    let answer = with_headers(
        StatusCode::OK,
        &json!({"type": "apiVersion", "id": "v2-beta", "links": {"self": own, "projects": format!("{own}/projects")}}),
    );
    Ok(page::or(&world, &request, answer))
}

async fn projects(
    world: web::Data<World>,
    request: HttpRequest,
) -> Result<HttpResponse, CattleError> {
    admit(&world, &request)?;
    let project =
        json!({"id": seed::PROJECT, "type": "project", "name": "Default", "state": "active"});
    let answer = with_headers(
        StatusCode::OK,
        &json!({"type": "collection", "resourceType": "project", "data": [project]}),
    );
    Ok(page::or(&world, &request, answer))
}

/// Lets so much time pass.
pub(crate) async fn pause(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// What the caller says of itself.
pub(crate) fn user_agent(request: &HttpRequest) -> Option<String> {
    let agent = request.headers().get(USER_AGENT)?;
    agent.to_str().ok().map(str::to_owned)
}

/// What links begin with.
pub(crate) fn base(world: &World, request: &HttpRequest) -> String {
    if let Some(elsewhere) = &world.lock().knobs.links_at {
        return elsewhere.clone();
    }
    let connection = request.connection_info();
    let prefix = if is_prefixed(request) { PREFIX } else { "" };
    let (scheme, host) = (connection.scheme(), connection.host());
    format!("{scheme}://{host}{prefix}/v2-beta")
}

/// Lets a call in that comes to where the API is, with the credentials that it asks for.
pub(crate) fn admit(world: &World, request: &HttpRequest) -> Result<(), CattleError> {
    if is_prefixed(request) == world.lock().knobs.prefixed {
        authenticate(world, request)
    } else {
        Err(CattleError::not_found())
    }
}

fn is_prefixed(request: &HttpRequest) -> bool {
    request.path().starts_with(PREFIX)
}

fn authenticate(world: &World, request: &HttpRequest) -> Result<(), CattleError> {
    let Some((access_key, secret_key)) = &world.credentials else {
        return Ok(());
    };
    let wanted = format!(
        "Basic {}",
        STANDARD.encode(format!("{access_key}:{secret_key}"))
    );
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|given| given.to_str().ok());
    if given == Some(wanted.as_str()) {
        return Ok(());
    }
    Err(CattleError::new(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "",
    ))
}

fn with_headers(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(("X-API-Schemas", "/v2-beta/schemas"))
        .insert_header(("X-Rancher-Version", "v1.6.30"))
        .json(body)
}

/// True with this probability.
fn chance(rate: f64) -> bool {
    use std::hash::{BuildHasher, Hasher, RandomState};
    if rate <= 0.0 {
        return false;
    }
    // Each RandomState is keyed anew, so that its hash of nothing is random.
    let random = RandomState::new().build_hasher().finish();
    #[expect(clippy::cast_precision_loss, reason = "a probability needs no 64 bits")]
    let random = random as f64 / u64::MAX as f64;
    random < rate
}
