//! Managing receivers: the collection, each one, and the actions on it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision};
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::{Answer, Question};
use stormhook_shared::ports::registry::RegistryError;
use stormhook_shared::receiver_json::{self, Rendering};

use crate::access::{Grant, Need, authorize, required};
use crate::app::App;
use crate::body;
use crate::error::ApiError;

/// How long the copy of the registry may take to show a change.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a change is tried again that somebody else's change came before.
const TRIES: usize = 5;
/// The longest overlap of two trigger URLs: a week.
const LONGEST_OVERLAP_SECONDS: u64 = 7 * 86_400;
/// The longest time for which a receiver is disabled by seconds: a year.
const LONGEST_DISABLED_SECONDS: u64 = 366 * 86_400;

/// `GET /v1-webhooks/receivers`
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let data: Vec<_> = app
        .directory
        .list(&grant.project)
        .iter()
        .map(|receiver| shown(&app, &request, &grant, receiver))
        .collect();
    let base = app.base(&request);
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "receiver",
        "links": {"self": format!("{base}/v1-webhooks/receivers?projectId={}", grant.project)},
        "data": data,
    })))
}

/// `POST /v1-webhooks/receivers`
pub(crate) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Write)?;
    let definition = receiver_json::parse(body::read_json(&request, payload).await?)?;
    let now = Timestamp::now();
    let id = ReceiverId::random(now)
        .map_err(|error| ApiError::unavailable(format!("no randomness for an id: {error}")))?;
    let receiver = Receiver {
        id,
        project: grant.project.clone(),
        name: definition.name,
        kind: definition.kind,
        options: definition.options,
        activity: Activity::Active,
        keys: KeyVersions {
            imported: definition.imported_key,
            ..KeyVersions::FIRST
        },
        revision: 1,
        created_at: now,
    };
    // Told before the platform is asked, which takes longer; the registry itself has the last word.
    if app
        .directory
        .list(&grant.project)
        .iter()
        .any(|other| other.name == receiver.name)
    {
        return Err(name_taken(&receiver.project, &receiver.name));
    }
    let imported = receiver.keys.imported.as_ref();
    let same = imported.and_then(|key| {
        app.directory
            .with_imported_key(&receiver.project, &key.sha256)
    });
    if let Some(same) = same {
        let message = format!("receiver {} has this key already", same.name);
        return Err(ApiError::new(StatusCode::CONFLICT, "NotUnique", message).about("importedKey"));
    }
    check_target(&app, &receiver).await?;
    let revision = app
        .backbone
        .registry
        .create(receiver.clone())
        .await
        .map_err(told)?;
    reached(&app, revision).await?;
    Ok(HttpResponse::Ok().json(shown(&app, &request, &grant, &receiver)))
}

/// `GET /v1-webhooks/receivers/{id}`
pub(crate) async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let receiver = find(&app, &grant, &id)?;
    Ok(HttpResponse::Ok().json(shown(&app, &request, &grant, &receiver)))
}

/// `PUT /v1-webhooks/receivers/{id}`
pub(crate) async fn update(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Write)?;
    find(&app, &grant, &id)?;
    let change = body::read_json(&request, payload).await?;
    let changed = alter(&app, &grant, &id, |receiver| {
        let rendered = shown(&app, &request, &grant, receiver);
        let definition = receiver_json::changed(receiver, rendered, change.clone())?;
        Ok(Receiver {
            name: definition.name,
            kind: definition.kind,
            options: definition.options,
            ..receiver.clone()
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(shown(&app, &request, &grant, &changed)))
}

/// `DELETE /v1-webhooks/receivers/{id}`
pub(crate) async fn delete(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Write)?;
    let receiver = find(&app, &grant, &id)?;
    let revision = app
        .backbone
        .registry
        .delete(receiver.id)
        .await
        .map_err(told)?;
    reached(&app, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1-webhooks/receivers/{id}?action=rotate|enable|disable`
pub(crate) async fn act(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Write)?;
    find(&app, &grant, &id)?;
    let action = required(&request, "action")?;
    let options = body::read_optional_json(&request, payload).await?;
    let now = Timestamp::now();
    let changed = match action.as_str() {
        "rotate" => {
            only(&options, &["overlapSeconds"])?;
            let overlap = seconds(&options, "overlapSeconds", 0, LONGEST_OVERLAP_SECONDS)?;
            let overlap = Duration::from_secs(overlap.unwrap_or(0));
            alter(&app, &grant, &id, |receiver| {
                Ok(Receiver {
                    keys: receiver.keys.rotated(overlap, now),
                    ..receiver.clone()
                })
            })
            .await?
        }
        "enable" => {
            only(&options, &[])?;
            set_activity(&app, &grant, &id, Activity::Active).await?
        }
        "disable" => {
            let until = disabled_until(&options, now)?;
            set_activity(&app, &grant, &id, Activity::Disabled { until }).await?
        }
        other => {
            let message =
                format!("{other:?} is no action; a receiver has rotate, enable and disable");
            return Err(ApiError::invalid("InvalidAction", "action", message));
        }
    };
    Ok(HttpResponse::Ok().json(shown(&app, &request, &grant, &changed)))
}

async fn set_activity(
    app: &App,
    grant: &Grant,
    id: &str,
    activity: Activity,
) -> Result<Receiver, ApiError> {
    alter(app, grant, id, |receiver| {
        Ok(Receiver {
            activity,
            ..receiver.clone()
        })
    })
    .await
}

/// Stores what `change` makes of the receiver. When somebody else's change comes first, it is made again of that.
async fn alter(
    app: &App,
    grant: &Grant,
    id: &str,
    change: impl Fn(&Receiver) -> Result<Receiver, ApiError>,
) -> Result<Receiver, ApiError> {
    let mut last = None;
    for _ in 0..TRIES {
        let receiver = find(app, grant, id)?;
        let mut changed = change(&receiver)?;
        changed.revision = receiver.revision + 1;
        match app.backbone.registry.update(changed.clone()).await {
            Ok(revision) => {
                reached(app, revision).await?;
                return Ok(changed);
            }
            Err(error @ RegistryError::Conflict { .. }) => {
                last = Some(error);
                // The copy is behind by the change that came first.
                let next = Revision(app.directory.revision().0 + 1);
                app.directory.reached(next, PATIENCE).await;
            }
            Err(error) => return Err(told(error)),
        }
    }
    Err(last.map_or_else(
        || ApiError::unavailable("the receiver cannot be changed now"),
        told,
    ))
}

async fn check_target(app: &App, receiver: &Receiver) -> Result<(), ApiError> {
    let question = Question::Check {
        project: receiver.project.clone(),
        kind: receiver.kind.clone(),
    };
    match app.ask(question).await? {
        Answer::Unusable(unusable) => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "InvalidReference",
            unusable.message,
        )
        .about(&unusable.field)),
        _ => Ok(()),
    }
}

async fn reached(app: &App, revision: Revision) -> Result<(), ApiError> {
    if app.directory.reached(revision, PATIENCE).await {
        return Ok(());
    }
    Err(ApiError::unavailable(
        "the change is stored, but is not seen here yet",
    ))
}

fn find(app: &App, grant: &Grant, id: &str) -> Result<Arc<Receiver>, ApiError> {
    let id: Option<ReceiverId> = id.parse().ok();
    id.and_then(|id| app.directory.get(id))
        .filter(|receiver| receiver.project == grant.project)
        .ok_or_else(|| ApiError::not_found("there is no such receiver in this project"))
}

fn shown(app: &App, request: &HttpRequest, grant: &Grant, receiver: &Receiver) -> Value {
    let base = app.base(request);
    let project = &receiver.project;
    let url = grant.sees_urls().then(|| {
        let key = app
            .hook_keys
            .key(project, receiver.id, receiver.keys.current);
        format!("{base}/v1-webhooks/endpoint?key={key}&projectId={project}")
    });
    let self_link = format!(
        "{base}/v1-webhooks/receivers/{}?projectId={project}",
        receiver.id
    );
    let now = Timestamp::now();
    receiver_json::render(
        receiver,
        &Rendering {
            url,
            self_link: &self_link,
            now,
        },
    )
}

fn disabled_until(options: &Value, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    only(options, &["seconds", "until"])?;
    let seconds = seconds(options, "seconds", 1, LONGEST_DISABLED_SECONDS)?;
    let until = match &options["until"] {
        Value::Null => None,
        Value::String(text) => Some(
            text.parse()
                .map_err(|error| ApiError::invalid("InvalidFormat", "until", format!("{error}")))?,
        ),
        other => {
            let message = format!("until must be a time like 2026-11-23T21:00:00Z, not {other}");
            return Err(ApiError::invalid("InvalidFormat", "until", message));
        }
    };
    match (seconds, until) {
        (Some(_), Some(_)) => {
            let message = "give seconds or until, not both";
            Err(ApiError::invalid("InvalidOption", "until", message))
        }
        (_, Some(until)) if until <= now => {
            let message = format!("until ({until}) has passed already");
            Err(ApiError::invalid("InvalidOption", "until", message))
        }
        (Some(seconds), None) => Ok(Some(now.plus(Duration::from_secs(seconds)))),
        (None, until) => Ok(until),
    }
}

/// An action's options must be those that it has: a typo must not go unnoticed.
fn only(options: &Value, known: &[&str]) -> Result<(), ApiError> {
    let Some(fields) = options.as_object() else {
        let message = format!("the body must be a JSON object, but it is {options}");
        return Err(ApiError::invalid("InvalidFormat", "body", message));
    };
    let is_unknown = |field: &&String| !known.contains(&field.as_str());
    match fields.keys().find(is_unknown) {
        None => Ok(()),
        Some(field) => {
            let message = format!("{field} is not an option of this action");
            Err(ApiError::invalid("InvalidOption", field, message))
        }
    }
}

fn seconds(options: &Value, field: &str, least: u64, most: u64) -> Result<Option<u64>, ApiError> {
    match &options[field] {
        Value::Null => Ok(None),
        value => match value.as_u64() {
            Some(seconds) if (least..=most).contains(&seconds) => Ok(Some(seconds)),
            _ => {
                let message = format!(
                    "{field} must be a whole number from {least} to {most}, but it is {value}"
                );
                Err(ApiError::invalid("InvalidFormat", field, message))
            }
        },
    }
}

fn name_taken(project: &ProjectId, name: &str) -> ApiError {
    let error = RegistryError::NameTaken {
        project: project.clone(),
        name: name.to_owned(),
    };
    told(error)
}

fn told(error: RegistryError) -> ApiError {
    match error {
        RegistryError::NameTaken { .. } => {
            ApiError::new(StatusCode::CONFLICT, "NotUnique", error.to_string()).about("name")
        }
        RegistryError::NotFound(_) => ApiError::not_found(error.to_string()),
        RegistryError::Conflict { .. } => {
            ApiError::new(StatusCode::CONFLICT, "Conflict", error.to_string())
        }
        RegistryError::Unavailable(error) => error.into(),
    }
}
