//! A trigger once more, by an operator's wish: a new trigger with the same body that says which one it repeats. The same
//! wish, told by its idempotency key, leads to the same trigger, however long after.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use stormhook_shared::domain::ids::TriggerId;
use stormhook_shared::domain::management::{Call, Subject};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Trigger;
use stormhook_shared::ports::questions::{Answer, HistoryItem, Question, TriggerDetail};

use crate::access::{Need, authorize, parameter, required};
use crate::app::App;
use crate::error::ApiError;
use crate::record::record;
use crate::{endpoint, idempotency, trigger_json, triggers};

/// `POST /v1-webhooks/triggers/{id}?action=redeliver`
pub(crate) async fn act(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Write)?;
    let action = required(&request, "action")?;
    if action != "redeliver" {
        let message = format!("{action:?} is no action; a trigger has redeliver");
        return Err(ApiError::invalid("InvalidAction", "action", message));
    }
    let detail = triggers::find(&app, &grant, &id).await?;
    let origin = detail.item.trigger.id;
    let trigger = repeated(&app, &request, *detail)?;
    let (id, receiver, group) = (trigger.id, trigger.receiver_id, trigger.group.clone());
    let base = app.base(&request);
    let link = trigger_json::link(&base, &grant.project, id);
    if trigger.idempotency_key.is_some()
        && let Some(first) = earlier(&app, &trigger).await?
    {
        let shown = trigger_json::item_for(&app, &grant, &base, &first);
        return Ok(HttpResponse::Ok().json(shown));
    }
    let what = (Call::Redeliver, Subject::Trigger { id: origin });
    let mut asked = json!({"trigger": id, "ignoresCooldown": trigger.ignores_cooldown});
    if let Some(key) = idempotency::key(request.headers())? {
        asked["key"] = json!(key); // A replay's is its name.
    }
    let recorded = record(&app, &request, &grant, what, (None, Some(asked))).await?;
    if let Err(error) = endpoint::append(&app, trigger).await {
        return Err(recorded.not_done(&app.record, error).await);
    }
    Ok(endpoint::accepted(id, receiver, &group, &link))
}

/// A new trigger like the one in `detail`, by the caller's wish.
fn repeated(app: &App, request: &HttpRequest, detail: TriggerDetail) -> Result<Trigger, ApiError> {
    let facts = detail.item.trigger;
    let cannot = |message: String| ApiError::invalid("InvalidAction", "action", message);
    if let Some(parent) = facts.parent_id {
        let message = format!("this is a part of trigger {parent}; redeliver that one");
        return Err(cannot(message));
    }
    let gone = || cannot("what it said is not in the trigger log any more".to_owned());
    let (receiver, body) = facts.receiver.zip(detail.body).ok_or_else(gone)?;
    if app.receivers()?.get(receiver.id).is_none() {
        let message = format!(
            "receiver {} was deleted, so nothing would act on the trigger; send its body to another receiver",
            receiver.name
        );
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "ReceiverDeleted",
            message,
        ));
    }
    let key = idempotency::key(request.headers())?
        .map(|key| format!("redelivery of {}: {key}", facts.id));
    Ok(Trigger {
        id: match &key {
            Some(key) => TriggerId::derived(receiver.id, key),
            None => TriggerId::random(),
        },
        receiver_id: receiver.id,
        receiver_name: receiver.name,
        driver: receiver.driver,
        project: receiver.project,
        group: detail.item.group,
        accepted_at: Timestamp::now(),
        source: endpoint::source(request),
        idempotency_key: key,
        replay_of: Some(facts.id),
        ignores_cooldown: ignores_cooldown(request)?,
        parent_id: None,
        parent_sequence: None,
        notice: body.notice,
        query: body.query,
        registry_revision: app.directory.revision(),
        headers: body.headers,
        content_type: body.content_type,
        body: body.bytes,
    })
}

fn ignores_cooldown(request: &HttpRequest) -> Result<bool, ApiError> {
    match parameter(request, "ignoreCooldown").as_deref() {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let message = format!("ignoreCooldown is true or false, not {other:?}");
            Err(ApiError::invalid(
                "InvalidOption",
                "ignoreCooldown",
                message,
            ))
        }
    }
}

/// The trigger that the same wish led to before. The trigger log itself remembers keys for ten minutes only.
async fn earlier(app: &App, trigger: &Trigger) -> Result<Option<HistoryItem>, ApiError> {
    let question = Question::Appended {
        group: trigger.group.clone(),
        id: trigger.id,
    };
    match app.ask(question).await? {
        Answer::Appended(item) => Ok(item.map(|item| *item)),
        _ => Err(ApiError::unavailable("the worker answered something else")),
    }
}
