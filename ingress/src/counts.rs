//! Counts of triggers for charts: by status and hour, or of each receiver by the minute. Answered by workers.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::{
    Answer, CountsQuery, HourCounts, Question, ReceiverCount, ReceiverCountsQuery,
};

use crate::access::{Grant, Need, authorize, parameter};
use crate::app::App;
use crate::error::ApiError;

/// How long back is told of, unless the query says.
const DEFAULT_SPAN: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: u64 = 60 * 60;

/// `GET /v1-webhooks/counts`
pub(crate) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    match parameter(&request, "by").as_deref() {
        None | Some("" | "hour") => by_hour(&app, &request, grant).await,
        Some("receiver") => by_receiver(&app, &request, grant).await,
        Some(other) => {
            let message = format!("by: {other:?} is not hour or receiver");
            Err(ApiError::invalid("InvalidOption", "by", message))
        }
    }
}

async fn by_hour(app: &App, request: &HttpRequest, grant: Grant) -> Result<HttpResponse, ApiError> {
    let until = time(request, "until")?.unwrap_or_else(Timestamp::now);
    let before = Timestamp::from_millis(
        until
            .as_millis()
            .saturating_sub(i64::try_from(DEFAULT_SPAN.as_millis()).unwrap_or(0)),
    );
    let since = time(request, "since")?.unwrap_or(before);
    check(since, until)?;
    let question = Question::Counts(CountsQuery {
        project: grant.project,
        since,
        until,
    });
    let Answer::Counts(hours) = app.ask(question).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let base = app.base(request);
    let data: Vec<_> = hours.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "count",
        "links": {"self": format!("{base}{}", request.uri())},
        "data": data,
    })))
}

async fn by_receiver(
    app: &App,
    request: &HttpRequest,
    grant: Grant,
) -> Result<HttpResponse, ApiError> {
    for name in ["since", "until"] {
        if time(request, name)?.is_some() {
            let message = format!("{name}: receivers are counted for the last hour; leave it out");
            return Err(ApiError::invalid("InvalidOption", name, message));
        }
    }
    let question = Question::ReceiverCounts(ReceiverCountsQuery {
        project: grant.project,
        until: Timestamp::now(),
    });
    let Answer::ReceiverCounts(counts) = app.ask(question).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let base = app.base(request);
    let data: Vec<_> = counts.receivers.iter().map(shown_of_receiver).collect();
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "receiverCount",
        "links": {"self": format!("{base}{}", request.uri())},
        "since": counts.since,
        "through": counts.through,
        "data": data,
    })))
}

fn shown_of_receiver(of: &ReceiverCount) -> serde_json::Value {
    json!({
        "type": "receiverCount",
        "receiverId": of.receiver,
        "succeeded": of.succeeded,
        "rejected": of.rejected,
        "skipped": of.skipped,
        "failed": of.failed,
        "minutes": of.minutes,
        "newest": of.newest,
    })
}

fn shown(of: &HourCounts) -> serde_json::Value {
    json!({
        "type": "count",
        "hour": of.hour,
        "succeeded": of.succeeded,
        "rejected": of.rejected,
        "skipped": of.skipped,
        "failed": of.failed,
    })
}

fn time(request: &HttpRequest, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let given = parameter(request, name).filter(|text| !text.is_empty());
    let parsed = given.map(|text| text.parse());
    parsed
        .transpose()
        .map_err(|error| ApiError::invalid("InvalidFormat", name, format!("{name}: {error}")))
}

fn check(since: Timestamp, until: Timestamp) -> Result<(), ApiError> {
    if until < since {
        let message = format!("until ({until}) is before since ({since})");
        return Err(ApiError::invalid("InvalidOption", "until", message));
    }
    let most = CountsQuery::MOST_HOURS;
    if until.since(since).as_secs() / HOUR >= most {
        let message = format!("from since ({since}) to until ({until}) are more than {most} hours");
        return Err(ApiError::invalid("InvalidOption", "since", message));
    }
    Ok(())
}
