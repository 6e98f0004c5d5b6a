//! Managing receivers: the collection and each one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use stormhook_shared::configuration::Role;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision};
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::domain::management::Call;
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::{Answer, Question};
use stormhook_shared::ports::registry::RegistryError;
use stormhook_shared::receiver_json::{self, Rendering};

use crate::access::{Grant, Need, authorize};
use crate::app::App;
use crate::body;
use crate::error::ApiError;
use crate::record::record_receiver;

/// How long the copy of the registry may take to show a change, and a change of a receiver to have its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a change is tried that changes at other ingresses came before: each time, one of those was stored.
const TRIES: usize = 40;

/// `GET /v1-webhooks/receivers`
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let data: Vec<_> = app
        .receivers()?
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
    let mut receiver = Receiver {
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
        .receivers()?
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
    receiver.kind = usable(&app, &receiver.project, &receiver.kind).await?;
    let states = (None, Some(&receiver));
    let recorded = record_receiver(&app, &request, &grant, Call::Create, states).await?;
    let revision = match app.backbone.registry.create(receiver.clone()).await {
        Ok(revision) => revision,
        Err(error) => return Err(told(recorded.not_done(&app.record, error).await)),
    };
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
    let before = find(&app, &grant, &id)?;
    let change = body::read_json(&request, payload).await?;
    let rendered = shown(&app, &request, &grant, &before);
    let wanted = receiver_json::changed(&before, rendered, change.clone())?.kind;
    if wanted != before.kind {
        usable(&app, &grant.project, &wanted).await?;
    }
    let asked = Asked::new(&app, &request, &grant, Call::Update);
    let changed = alter(&asked, &id, |receiver| {
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
    let states = (Some(&*receiver), None);
    let recorded = record_receiver(&app, &request, &grant, Call::Delete, states).await?;
    let revision = match app.backbone.registry.delete(receiver.id).await {
        Ok(revision) => revision,
        Err(error) => return Err(told(recorded.not_done(&app.record, error).await)),
    };
    reached(&app, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A management call and who makes it.
pub(crate) struct Asked<'a> {
    app: &'a App,
    request: &'a HttpRequest,
    grant: &'a Grant,
    call: Call,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(
        app: &'a App,
        request: &'a HttpRequest,
        grant: &'a Grant,
        call: Call,
    ) -> Self {
        Self {
            app,
            request,
            grant,
            call,
        }
    }
}

/// Stores what `change` makes of the receiver. When somebody else's change comes first, it is made again of that, at once:
/// whoever came first got ahead, so that it needs no pause.
pub(crate) async fn alter(
    asked: &Asked<'_>,
    id: &str,
    change: impl Fn(&Receiver) -> Result<Receiver, ApiError>,
) -> Result<Receiver, ApiError> {
    let Asked {
        app,
        request,
        grant,
        call,
    } = *asked;
    // One after the other: only changes at other ingresses can come before.
    let turn = app.turn_to_change.acquire();
    let Ok(Ok(_turn)) = tokio::time::timeout(PATIENCE, turn).await else {
        let message = "other changes of receivers take too long; nothing was changed";
        return Err(ApiError::unavailable(message));
    };
    for _ in 0..TRIES {
        let receiver = find(app, grant, id)?;
        let mut changed = change(&receiver)?;
        changed.revision = receiver.revision + 1;
        let states = (Some(&*receiver), Some(&changed));
        let recorded = record_receiver(app, request, grant, call, states).await?;
        match app.backbone.registry.update(changed.clone()).await {
            Ok(revision) => {
                reached(app, revision).await?;
                return Ok(changed);
            }
            Err(error) => {
                let error = recorded.not_done(&app.record, error).await;
                let RegistryError::Conflict { found, .. } = error else {
                    return Err(told(error));
                };
                if !caught_up(app, receiver.id, found).await {
                    break;
                }
            }
        }
    }
    let message = "others changed the receiver each time just before; nothing was changed";
    Err(ApiError::unavailable(message))
}

/// Waits until the copy of the registry has the receiver at `found` or later, or has it no more. False: that takes too long.
async fn caught_up(app: &App, id: ReceiverId, found: u64) -> bool {
    let since = Instant::now();
    loop {
        // Read before the receiver is: what changes in between is not waited for.
        let next = Revision(app.directory.revision().0 + 1);
        let receiver = app.directory.get(id);
        if receiver.is_none_or(|receiver| receiver.revision >= found) {
            return true;
        }
        let left = PATIENCE.saturating_sub(since.elapsed());
        if !app.directory.reached(next, left).await {
            return false;
        }
    }
}

/// `kind` as it is to be kept, if the platform of `project` can use it.
async fn usable(app: &App, project: &ProjectId, kind: &Kind) -> Result<Kind, ApiError> {
    let question = Question::Check {
        project: project.clone(),
        kind: kind.clone(),
    };
    match app.ask(question).await? {
        Answer::Unusable(unusable) => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "InvalidReference",
            unusable.message,
        )
        .about(&unusable.field)),
        Answer::Usable(kind) => Ok(kind),
        _ => Err(ApiError::unavailable(
            "whether the platform can use this was not answered",
        )),
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

/// The receiver with this id in the granted project.
pub(crate) fn find(app: &App, grant: &Grant, id: &str) -> Result<Arc<Receiver>, ApiError> {
    let id: Option<ReceiverId> = id.parse().ok();
    let receivers = app.receivers()?;
    id.and_then(|id| receivers.get(id))
        .filter(|receiver| receiver.project == grant.project)
        .ok_or_else(|| ApiError::not_found("there is no such receiver in this project"))
}

/// `receiver` as the API shows it to whom the grant is.
pub(crate) fn shown(app: &App, request: &HttpRequest, grant: &Grant, receiver: &Receiver) -> Value {
    let base = app.base(request);
    let project = &receiver.project;
    let url = grant
        .sees_urls()
        .then(|| app.hook_keys.url(&base, receiver));
    let self_link = format!(
        "{base}/v1-webhooks/receivers/{}?projectId={project}",
        receiver.id
    );
    let now = Timestamp::now();
    let rendering = Rendering {
        url,
        self_link: &self_link,
        now,
    };
    let mut shown = receiver_json::render(receiver, &rendering);
    shown["actions"] = actions(&base, grant.role, receiver, now);
    shown
}

/// The actions that somebody with this role can take on `receiver` at `now`, with their addresses.
fn actions(base: &str, role: Role, receiver: &Receiver, now: Timestamp) -> Value {
    if role == Role::Readonly {
        return json!({});
    }
    let (id, project) = (receiver.id, &receiver.project);
    let address = |action: &str| {
        format!("{base}/v1-webhooks/receivers/{id}?action={action}&projectId={project}")
    };
    let switch = if receiver.activity.is_active(now) {
        "disable"
    } else {
        "enable"
    };
    json!({"rotate": address("rotate"), switch: address(switch)})
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
        // It can be tried again; 409 is for names, which cannot.
        RegistryError::Conflict { .. } => ApiError::unavailable(error.to_string()),
        RegistryError::Unavailable(error) => error.into(),
    }
}
