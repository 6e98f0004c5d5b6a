//! The record as a record: heads, verification, entries, signatures, management calls. Answered by workers.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::Place;
use stormhook_shared::configuration::{ProjectScope, Role};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::leases::WorkerId;
use stormhook_shared::ports::questions::{Answer, Question};
use stormhook_shared::ports::record::{EntriesPage, EntriesQuery, LogHead, Position};

use crate::access::{Grant, Need, authorize, parameter};
use crate::app::App;
use crate::error::ApiError;
use crate::marker::Marker;

const LARGEST_LIMIT: usize = 10_000;
const DEFAULT_CALLS: usize = 100;
const MOST_CALLS: usize = 1_000;

/// `GET /v1-webhooks/audit/head`
pub(crate) async fn head(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    authorize(&app, &request, Need::Read)?;
    let wanted = number(&request, "at")?;
    let heads = heads(&app, None).await?;
    // The same entry of all: the last that each has, unless the caller names one.
    let at = wanted.or_else(|| heads.iter().map(|head| head.head.number).min());
    let at = at.ok_or_else(|| ApiError::unavailable("no worker answers"))?;
    let compared = self::heads(&app, Some(at)).await?;
    let mut hashes: Vec<_> = compared.iter().filter_map(|head| head.at).collect();
    hashes.dedup();
    let first = hashes.first().copied();
    Ok(HttpResponse::Ok().json(json!({
        "type": "auditHead",
        "number": first.map(|place| place.number),
        "hash": first.map(|place| place.hash),
        "isEqual": hashes.len() <= 1,
        "workers": compared.iter().map(shown).collect::<Vec<_>>(),
    })))
}

/// `POST /v1-webhooks/audit/head?action=sign`
pub(crate) async fn act(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    authorize(&app, &request, Need::Write)?;
    match parameter(&request, "action").as_deref() {
        Some("sign") => {}
        Some(other) => {
            let message = format!("{other:?} is no action; the head has sign");
            return Err(ApiError::invalid("InvalidAction", "action", message));
        }
        None => return Err(ApiError::missing("action")),
    }
    match app.ask(Question::Sign).await? {
        Answer::Signed(head) => Ok(HttpResponse::Ok().json(head)),
        _ => Err(unexpected()),
    }
}

/// `POST /v1-webhooks/audit/verification`
pub(crate) async fn verify(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    authorize(&app, &request, Need::Read)?;
    let worker = worker(&app, &request).await?;
    let job = number(&request, "job")?;
    let verified = match app.ask(Question::Verify { worker, job }).await? {
        Answer::Verified(verified) => verified,
        Answer::NoSuchEntry(message) => return Err(ApiError::not_found(message)),
        _ => return Err(unexpected()),
    };
    Ok(HttpResponse::Ok().json(json!({
        "type": "verification",
        "worker": verified.worker,
        "job": verified.job,
        "first": verified.base + 1,
        "number": verified.at.number,
        "hash": verified.at.hash,
        "entries": verified.entries,
        "isDone": verified.is_done,
        "problem": verified.problem.map(|problem| json!({
            "entry": problem.entry,
            "message": problem.message,
        })),
    })))
}

/// `POST /v1-webhooks/audit/log?action=rebuild&worker=W`
pub(crate) async fn rebuild(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Write)?;
    needs_everything(&grant)?;
    if parameter(&request, "action").as_deref() != Some("rebuild") {
        let message = "the log has the action rebuild";
        return Err(ApiError::invalid("InvalidAction", "action", message));
    }
    let worker = worker(&app, &request).await?;
    let worker = worker.ok_or_else(|| ApiError::missing("worker"))?;
    app.ask(Question::Rebuild { worker }).await?;
    Ok(HttpResponse::Accepted().json(json!({"type": "rebuild"})))
}

/// `GET /v1-webhooks/audit/entries`
pub(crate) async fn entries(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    needs_everything(&grant)?;
    let query = EntriesQuery {
        worker: None,
        after: number(&request, "after")?,
        through: number(&request, "through")?,
        since: time(&request, "since")?,
        until: time(&request, "until")?,
        limit: limit(&request, LARGEST_LIMIT, LARGEST_LIMIT)?,
    };
    if let (Some(since), Some(until)) = (query.since, query.until)
        && until < since
    {
        let message = format!("until ({until}) is before since ({since})");
        return Err(ApiError::invalid("InvalidOption", "until", message));
    }
    match app.ask(Question::Entries(query)).await? {
        Answer::Entries(page) => shown_page(page),
        Answer::NoSuchEntry(message) => Err(ApiError::not_found(message)),
        _ => Err(unexpected()),
    }
}

/// `GET /v1-webhooks/audit/droppable`
pub(crate) async fn droppable(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    needs_everything(&grant)?;
    let at = time(&request, "at")?.unwrap_or_else(Timestamp::now);
    let Answer::Droppable { base, head } = app.ask(Question::Droppable { at }).await? else {
        return Err(unexpected());
    };
    Ok(HttpResponse::Ok().json(json!({
        "type": "droppable",
        "first": base.number + 1,
        "head": head,
    })))
}

/// `GET /v1-webhooks/audit/calls`
pub(crate) async fn calls(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let limit = limit(&request, DEFAULT_CALLS, MOST_CALLS)?;
    let query = ("calls", &grant.project);
    let marker = parameter(&request, "marker").filter(|text| !text.is_empty());
    let before = marker.map(|text| Marker::place_in(&text, &query));
    let question = Question::ManagementCalls {
        project: grant.project.clone(),
        before: before.transpose()?,
        limit,
    };
    let Answer::ManagementCalls(calls, has_more) = app.ask(question).await? else {
        return Err(unexpected());
    };
    let base = app.base(&request);
    let last = calls.last().filter(|_| has_more);
    let next = last.map(|(number, _)| {
        let marker = Marker::new(*number, &query);
        format!(
            "{base}/v1-webhooks/audit/calls?projectId={}&limit={limit}&marker={marker}",
            grant.project
        )
    });
    let data: Vec<_> = calls
        .iter()
        .map(|(number, entry)| shown_call(*number, entry))
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "call",
        "links": {"self": format!("{base}{}", request.uri())},
        "pagination": {"limit": limit, "partial": has_more, "next": next},
        "data": data,
    })))
}

/// What each worker that answers says of its log.
async fn heads(app: &App, at: Option<u64>) -> Result<Vec<LogHead>, ApiError> {
    let workers = workers(app).await?;
    let asked = workers.into_iter().map(|worker| {
        app.ask(Question::Head {
            worker: Some(worker),
            at,
        })
    });
    let mut heads = Vec::new();
    for answer in futures::future::join_all(asked).await {
        match answer {
            Ok(Answer::Head(head)) => heads.push(head),
            Ok(Answer::NoSuchEntry(message)) => {
                return Err(ApiError::invalid(
                    "InvalidOption",
                    "at",
                    format!("at: {message}"),
                ));
            }
            // It has just left, or this process is no worker.
            Ok(_) | Err(_) => {}
        }
    }
    if heads.is_empty() {
        return Err(ApiError::unavailable("no worker answers"));
    }
    Ok(heads)
}

async fn workers(app: &App) -> Result<BTreeSet<WorkerId>, ApiError> {
    Ok(app.backbone.leases.census().await?.workers)
}

/// The worker that the query names, which must be there.
async fn worker(app: &App, request: &HttpRequest) -> Result<Option<WorkerId>, ApiError> {
    let Some(name) = parameter(request, "worker").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if workers(app).await?.contains(&name) {
        return Ok(Some(name));
    }
    let message = format!("there is no worker {name:?} now; GET audit/head names them");
    Err(ApiError::invalid("InvalidOption", "worker", message))
}

/// The record has the entries of all projects.
pub(crate) fn needs_everything(grant: &Grant) -> Result<(), ApiError> {
    if grant.role == Role::Admin && grant.projects == ProjectScope::All {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "the outcome log has the entries of all projects: this needs a key with the role admin in projects [\"*\"]",
    ))
}

fn shown(head: &LogHead) -> Value {
    json!({
        "worker": head.worker,
        "first": head.base.number + 1,
        "number": head.head.number,
        "hash": head.head.hash,
        "at": head.at,
    })
}

fn shown_page(page: EntriesPage) -> Result<HttpResponse, ApiError> {
    #[derive(serde::Serialize)]
    struct Page {
        r#type: &'static str,
        after: Place,
        through: u64,
        /// As they are stored, byte by byte.
        entries: Vec<Box<RawValue>>,
        position: Option<Position>,
    }
    let entries = page.entries.into_iter().map(RawValue::from_string);
    let entries = entries.collect::<Result<_, _>>().map_err(|error| {
        ApiError::unavailable(format!("an entry of the log is not JSON: {error}"))
    })?;
    Ok(HttpResponse::Ok().json(Page {
        r#type: "entries",
        after: page.after,
        through: page.through,
        entries,
        position: page.position,
    }))
}

fn shown_call(number: u64, entry: &LogEntry) -> Value {
    match entry {
        LogEntry::Managed { revision, call } => json!({
            "type": "call",
            "number": number,
            "revision": revision,
            "at": call.at,
            "accessKey": call.by.access_key,
            "source": call.by.source,
            "call": call.call,
            "subject": call.subject,
            "before": call.before,
            "after": call.after,
        }),
        LogEntry::NotDone {
            call, reason, at, ..
        } => json!({
            "type": "notDone",
            "number": number,
            "revision": call,
            "at": at,
            "reason": reason,
        }),
        _ => Value::Null,
    }
}

fn number(request: &HttpRequest, name: &str) -> Result<Option<u64>, ApiError> {
    let given = parameter(request, name).filter(|text| !text.is_empty());
    given
        .map(|text| {
            text.parse().map_err(|_| {
                let message = format!("{name}: {text:?} is not a whole number");
                ApiError::invalid("InvalidFormat", name, message)
            })
        })
        .transpose()
}

fn limit(request: &HttpRequest, default: usize, most: usize) -> Result<usize, ApiError> {
    let wrong = || {
        let message = format!("limit: it is not a whole number from 1 to {most}");
        ApiError::invalid("InvalidOption", "limit", message)
    };
    match number(request, "limit").map_err(|_| wrong())? {
        None => Ok(default),
        Some(limit) => match usize::try_from(limit) {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(wrong()),
        },
    }
}

fn time(request: &HttpRequest, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let given = parameter(request, name).filter(|text| !text.is_empty());
    let parsed = given.map(|text| text.parse());
    parsed
        .transpose()
        .map_err(|error| ApiError::invalid("InvalidFormat", name, format!("{name}: {error}")))
}

fn unexpected() -> ApiError {
    ApiError::unavailable("the worker answered something else")
}
