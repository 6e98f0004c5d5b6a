//! The trigger endpoint: checks the key, appends the trigger, answers once it is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, LOCATION, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};
use stormhook_shared::decide::alert;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, TriggerId};
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::domain::push::Notice;
use stormhook_shared::domain::receiver::{Dedupe, ImportedKey, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::{Source, Trigger};
use stormhook_shared::ports::questions::{Answer, AwaitOutcome, Question};
use stormhook_shared::ports::trigger_log::{AppendError, Appended};
use stormhook_shared::registry_notice;
use url::form_urlencoded;

use crate::access::{parameter, required};
use crate::app::App;
use crate::error::ApiError;
use crate::metrics::Reason;
use crate::{body, idempotency, kept_headers, prefer, redaction, signature, trigger_json};

/// The answer to a trigger that was appended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    r#type: &'static str,
    id: TriggerId,
    receiver_id: ReceiverId,
    group: &'a GroupKey,
    state: &'static str,
    links: Value,
}

/// `POST /v1-webhooks/endpoint?key=K&projectId=P`
pub(crate) async fn fire(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let result = accept(&app, &request, payload).await;
    if let Err(error) = &result {
        app.metrics
            .refused
            .get_or_create(&Reason { code: error.code() })
            .inc();
    }
    result
}

async fn accept(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let now = Timestamp::now();
    let receiver = called_receiver(app, request, now)?;
    let body = body::read(request, payload).await?;
    if let Some(secret) = &receiver.options.sign {
        signature::check(secret, request.headers(), &body, now)?;
    }
    let trigger = trigger(app, request, &receiver, body, now)?;
    let (id, group) = (trigger.id, trigger.group.clone());
    let appended = append(app, trigger).await?;
    if let Some(wait) = prefer::wait(request.headers())
        && let Some(answer) = outcome(app, request, &receiver, id, appended, wait).await
    {
        return Ok(answer);
    }
    let link = trigger_json::link(&app.base(request), &receiver.project, id);
    Ok(accepted(id, receiver.id, &group, &link))
}

/// Appends `trigger`, and counts it.
pub(crate) async fn append(app: &App, trigger: Trigger) -> Result<Appended, ApiError> {
    let started = Instant::now();
    let appended = app
        .backbone
        .triggers
        .append(trigger)
        .await
        .map_err(|error| match error {
            AppendError::Unavailable(error) => ApiError::from(error),
            AppendError::Unstorable(reason) => {
                ApiError::new(StatusCode::BAD_REQUEST, "InvalidBodyContent", reason)
            }
        })?;
    app.metrics
        .append_seconds
        .observe(started.elapsed().as_secs_f64());
    if appended.is_duplicate {
        app.metrics.duplicates.inc();
    } else {
        app.metrics.accepted.inc();
    }
    Ok(appended)
}

/// 202 for a trigger that was appended.
pub(crate) fn accepted(
    id: TriggerId,
    receiver_id: ReceiverId,
    group: &GroupKey,
    link: &str,
) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((LOCATION, link))
        .json(Accepted {
            r#type: "trigger",
            id,
            receiver_id,
            group,
            state: "accepted",
            links: json!({"self": link}),
        })
}

/// Who sent `request`.
pub(crate) fn source(request: &HttpRequest) -> Source {
    Source {
        address: request.peer_addr().map(|peer| peer.ip()),
        user_agent: header(request, USER_AGENT)
            .map(|agent| agent.chars().take(Source::USER_AGENT_CHARS).collect()),
    }
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// The receiver whose valid URL was called. Whatever is wrong with the key, the answer is the same, once it can be known.
fn called_receiver(
    app: &App,
    request: &HttpRequest,
    now: Timestamp,
) -> Result<Arc<Receiver>, ApiError> {
    let Some(key) = parameter(request, "key") else {
        if parameter(request, "token").is_some() {
            let message = "URLs with a token are those of Rancher 1.4 and are no longer valid; create a new receiver";
            return Err(ApiError::new(StatusCode::GONE, "Gone", message));
        }
        return Err(ApiError::missing("key"));
    };
    let project = required(request, "projectId")?;
    let refusal =
        || ApiError::forbidden("the key in this trigger URL is not valid, or not any more");
    let project: ProjectId = project.parse().map_err(|_| refusal())?;
    if ImportedKey::is_key(&key) {
        let digest = ImportedKey::digest(&key);
        let receiver = app.receivers()?.with_imported_key(&project, &digest);
        let is_valid = |receiver: &Arc<Receiver>| {
            let imported = receiver.keys.imported.as_ref();
            imported.is_some_and(|key| key.is_valid(now))
        };
        return receiver.filter(is_valid).ok_or_else(refusal);
    }
    let (receiver, version) = app.hook_keys.verify(&project, &key).ok_or_else(refusal)?;
    let receiver = app.receivers()?.get(receiver).ok_or_else(refusal)?;
    if receiver.project != project || !receiver.keys.accept(version, now) {
        return Err(refusal());
    }
    Ok(receiver)
}

fn trigger(
    app: &App,
    request: &HttpRequest,
    receiver: &Receiver,
    body: Vec<u8>,
    now: Timestamp,
) -> Result<Trigger, ApiError> {
    let headers = request.headers();
    let mut key = idempotency::key(headers)?;
    if key.is_none() && receiver.options.dedupe == Dedupe::Alert {
        let notification: Option<Value> = serde_json::from_slice(&body).ok();
        key = notification.and_then(|notification| alert::dedupe_key(&notification));
    }
    Ok(Trigger {
        id: match &key {
            Some(key) => TriggerId::derived(receiver.id, key),
            None => TriggerId::random(),
        },
        receiver_id: receiver.id,
        receiver_name: receiver.name.clone(),
        driver: receiver.kind.driver(),
        project: receiver.project.clone(),
        group: receiver.group(),
        accepted_at: now,
        source: source(request),
        idempotency_key: key,
        replay_of: None,
        ignores_cooldown: false,
        parent_id: None,
        parent_sequence: None,
        notice: notice(receiver, &body)?,
        query: query(receiver, request),
        registry_revision: app.directory.revision(),
        headers: kept_headers::of(headers),
        content_type: header(request, CONTENT_TYPE).map(str::to_owned),
        body: redaction::redact(&receiver.options.redact, body),
    })
}

/// What a registry tells in `body`, where the receiver waits for that.
fn notice(receiver: &Receiver, body: &[u8]) -> Result<Option<Notice>, ApiError> {
    let Kind::ServiceUpgrade(config) = &receiver.kind else {
        return Ok(None);
    };
    let notice = registry_notice::parse(config.payload_format, config.address_type, body)?;
    Ok(Some(notice))
}

/// The query without what belongs to the trigger URL, where the receiver passes it on.
fn query(receiver: &Receiver, request: &HttpRequest) -> Option<String> {
    let is_passed_on = matches!(receiver.kind, Kind::ForwardPost(_));
    is_passed_on
        .then(|| without_key(request.query_string()))
        .filter(|query| !query.is_empty())
}

/// `query` as it was written, without the pairs that belong to the trigger URL.
fn without_key(query: &str) -> String {
    let is_passed_on = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next();
        name.is_none_or(|(name, _)| name != "key" && name != "projectId")
    };
    let passed: Vec<_> = query.split('&').filter(is_passed_on).collect();
    passed.join("&")
}

/// The answer with the trigger's outcome, if it has one in time and before this ingress stops.
async fn outcome(
    app: &App,
    request: &HttpRequest,
    receiver: &Receiver,
    id: TriggerId,
    appended: Appended,
    wait: Duration,
) -> Option<HttpResponse> {
    let question = Question::Trigger {
        project: receiver.project.clone(),
        id,
        settled: Some(AwaitOutcome {
            sequence: appended.sequence,
            timeout: wait,
        }),
    };
    let answer = tokio::select! {
        answer = app.backbone.questions.ask(question) => answer,
        () = app.stop.cancelled() => return None,
    };
    let Ok(Answer::Trigger(detail)) = answer else {
        return None;
    };
    detail.item.outcome.as_ref()?;
    let link = trigger_json::link(&app.base(request), &receiver.project, id);
    Some(
        HttpResponse::Ok()
            .insert_header(("Preference-Applied", format!("wait={}", wait.as_secs())))
            .insert_header((LOCATION, link.as_str()))
            .json(trigger_json::item(&detail.item, &link)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_passed_on_as_it_was_written() {
        for (query, passed) in [
            ("key=k&projectId=1a5", ""),
            ("key=k&projectId=1a5&x=%20&y&z=", "x=%20&y&z="),
            ("a=1+2&key=k&projectId=1a5&b=%C3%A9", "a=1+2&b=%C3%A9"),
            ("k%65y=k&project%49d=1a5&keys=1", "keys=1"),
            ("key=k&projectId=1a5&a&&b", "a&&b"),
            ("key&projectId=1a5&=key", "=key"),
        ] {
            assert_eq!(without_key(query), passed, "{query}");
        }
    }
}
