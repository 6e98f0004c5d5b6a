//! Counts of triggers by status and hour, for charts. Answered by workers.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::{Answer, CountsQuery, HourCounts, Question};

use crate::access::{Need, authorize, parameter};
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
    let until = time(&request, "until")?.unwrap_or_else(Timestamp::now);
    let before = Timestamp::from_millis(
        until
            .as_millis()
            .saturating_sub(i64::try_from(DEFAULT_SPAN.as_millis()).unwrap_or(0)),
    );
    let since = time(&request, "since")?.unwrap_or(before);
    check(since, until)?;
    let question = Question::Counts(CountsQuery {
        project: grant.project,
        since,
        until,
    });
    let Answer::Counts(hours) = app.ask(question).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let base = app.base(&request);
    let data: Vec<_> = hours.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({
        "type": "collection",
        "resourceType": "count",
        "links": {"self": format!("{base}{}", request.uri())},
        "data": data,
    })))
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
