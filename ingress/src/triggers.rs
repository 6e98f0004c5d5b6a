//! History: pages of triggers, and one trigger with everything that is known of it. Answered by workers.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, Sequence};
use stormhook_shared::ports::questions::{
    Answer, HistoryQuery, Order, Question, StatusFilter, TriggerDetail,
};
use url::form_urlencoded::{self, Serializer};

use crate::access::{Grant, Need, authorize};
use crate::app::App;
use crate::error::ApiError;
use crate::marker::Marker;
use crate::trigger_json;

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1_000;

/// `GET /v1-webhooks/triggers`
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let query = parse(&request, grant.project.clone())?;
    let limit = query.limit;
    let asked = wanted(&query);
    let Answer::Triggers(page) = app.ask(Question::Triggers(query)).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let base = app.base(&request);
    let last = page.triggers.last().map(|item| item.trigger.sequence);
    let next = last
        .filter(|_| page.has_more)
        .map(|last| next_page(&base, &request, Marker::new(last.0, &asked)));
    let data: Vec<_> = page
        .triggers
        .iter()
        .map(|item| trigger_json::item_for(&app, &grant, &base, item))
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "trigger",
        "links": {"self": format!("{base}{}", request.uri())},
        "pagination": {"limit": limit, "partial": page.has_more, "next": next},
        "data": data,
    })))
}

/// `GET /v1-webhooks/triggers/{id}`
pub(crate) async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let detail = find(&app, &grant, &id).await?;
    let shown = trigger_json::detail(&app, &grant, &app.base(&request), &detail);
    Ok(HttpResponse::Ok().json(shown))
}

/// The trigger with this id, if it belongs to the granted project.
pub(crate) async fn find(
    app: &App,
    grant: &Grant,
    id: &str,
) -> Result<Box<TriggerDetail>, ApiError> {
    let missing = || ApiError::not_found("there is no such trigger in this project");
    let question = Question::Trigger {
        project: grant.project.clone(),
        id: id.parse().map_err(|_| missing())?,
        settled: None,
    };
    match app.ask(question).await? {
        Answer::Trigger(detail) => Ok(detail),
        _ => Err(missing()),
    }
}

fn parse(request: &HttpRequest, project: ProjectId) -> Result<HistoryQuery, ApiError> {
    let mut query = HistoryQuery::of(project, DEFAULT_LIMIT);
    let mut marker = None;
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        let invalid = |code, message: String| {
            Err(ApiError::invalid(code, &name, format!("{name}: {message}")))
        };
        match &*name {
            "projectId" => {}
            _ if value.is_empty() => {}
            "receiverId" => match value.parse() {
                Ok(receiver) => query.receiver = Some(receiver),
                Err(error) => return invalid("InvalidFormat", error.to_string()),
            },
            "group" => query.group = Some(GroupKey::named(&value)),
            "status" if value == "pending" => query.status = Some(StatusFilter::Pending),
            "status" => match value.parse() {
                Ok(status) => query.status = Some(StatusFilter::Settled(status)),
                Err(error) => return invalid("InvalidOption", format!("{error}, or pending")),
            },
            "since" | "until" => match value.parse() {
                Ok(at) if name == "since" => query.since = Some(at),
                Ok(at) => query.until = Some(at),
                Err(error) => return invalid("InvalidFormat", format!("{error}")),
            },
            "limit" => match value.parse() {
                Ok(limit) if (1..=LARGEST_LIMIT).contains(&limit) => query.limit = limit,
                _ => {
                    let message =
                        format!("{value:?} is not a whole number from 1 to {LARGEST_LIMIT}");
                    return invalid("InvalidOption", message);
                }
            },
            "code" => match value.parse() {
                Ok(code) => query.code = Some(code),
                Err(error) => return invalid("InvalidOption", error.to_string()),
            },
            "idempotencyKey" => query.key = Some(value.into_owned()),
            "replayOf" => match value.parse() {
                Ok(origin) => query.replay_of = Some(origin),
                Err(error) => return invalid("InvalidFormat", error.to_string()),
            },
            "order" => match &*value {
                "asc" => query.order = Order::OldestFirst,
                "desc" => query.order = Order::NewestFirst,
                other => return invalid("InvalidOption", format!("{other:?} is not asc or desc")),
            },
            "marker" => marker = Some(value.into_owned()),
            _ => {
                return invalid(
                    "InvalidOption",
                    "this is not a filter that is known here".to_owned(),
                );
            }
        }
    }
    if let (Some(since), Some(until)) = (query.since, query.until)
        && until < since
    {
        let message = format!("until ({until}) is before since ({since})");
        return Err(ApiError::invalid("InvalidOption", "until", message));
    }
    if let Some(marker) = marker {
        query.beyond = Some(Sequence(Marker::place_in(&marker, &wanted(&query))?));
    }
    Ok(query)
}

/// The query without what differs from page to page.
fn wanted(query: &HistoryQuery) -> HistoryQuery {
    HistoryQuery {
        beyond: None,
        limit: 0,
        ..query.clone()
    }
}

fn next_page(base: &str, request: &HttpRequest, marker: Marker) -> String {
    let mut parameters = Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        if name != "marker" {
            parameters.append_pair(&name, &value);
        }
    }
    parameters.append_pair("marker", &marker.to_string());
    format!("{base}{}?{}", request.path(), parameters.finish())
}
