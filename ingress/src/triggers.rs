//! History: pages of triggers, and one trigger with everything that is known of it. Answered by workers.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, Sequence, TriggerId};
use stormhook_shared::ports::questions::{Answer, HistoryQuery, Question, StatusFilter};
use url::form_urlencoded::{self, Serializer};

use crate::access::{Need, authorize};
use crate::app::App;
use crate::error::ApiError;
use crate::trigger_json;

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1_000;
/// What a marker begins with; then follows the sequence of the last trigger before the page.
const MARKER: char = 'm';

/// `GET /v1-webhooks/triggers`
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let query = parse(&request, grant.project)?;
    let (project, limit) = (query.project.clone(), query.limit);
    let Answer::Triggers(page) = app.ask(Question::Triggers(query)).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let base = app.base(&request);
    let last = page.triggers.last().map(|item| item.trigger.sequence);
    let next = last
        .filter(|_| page.has_more)
        .map(|last| next_page(&base, &request, last));
    let data: Vec<_> = page
        .triggers
        .iter()
        .map(|item| {
            let link = trigger_json::link(&base, &project, item.trigger.id);
            trigger_json::item(item, &link)
        })
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
    let missing = || ApiError::not_found("there is no such trigger in this project");
    let id: TriggerId = id.parse().map_err(|_| missing())?;
    let project = grant.project.clone();
    let question = Question::Trigger {
        project,
        id,
        settled: None,
    };
    match app.ask(question).await? {
        Answer::Trigger(detail) => {
            let link = trigger_json::link(&app.base(&request), &grant.project, id);
            Ok(HttpResponse::Ok().json(trigger_json::detail(&detail, &link)))
        }
        _ => Err(missing()),
    }
}

fn parse(request: &HttpRequest, project: ProjectId) -> Result<HistoryQuery, ApiError> {
    let mut query = HistoryQuery {
        project,
        receiver: None,
        group: None,
        status: None,
        since: None,
        until: None,
        before: None,
        limit: DEFAULT_LIMIT,
    };
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
            "marker" => match value
                .strip_prefix(MARKER)
                .and_then(|marker| marker.parse().ok())
            {
                Some(before) => query.before = Some(Sequence(before)),
                None => {
                    return invalid(
                        "InvalidFormat",
                        format!("{value:?} is not the marker of a page"),
                    );
                }
            },
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
    Ok(query)
}

fn next_page(base: &str, request: &HttpRequest, last: Sequence) -> String {
    let mut parameters = Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        if name != "marker" {
            parameters.append_pair(&name, &value);
        }
    }
    parameters.append_pair("marker", &format!("{MARKER}{last}"));
    format!("{base}{}?{}", request.path(), parameters.finish())
}
