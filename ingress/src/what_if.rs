//! What would have been if a receiver had been another. Answered by workers, from the record; nothing changes.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::{Answer, Question, WhatIfQuery};
use stormhook_shared::receiver_json;

use crate::access::{Need, authorize, parameter};
use crate::app::App;
use crate::error::ApiError;
use crate::{body, receivers};

/// How many triggers are shown one by one, where the caller does not say.
const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1_000;

/// `POST /v1-webhooks/receivers/{id}/what-if`
pub(crate) async fn compare(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Read)?;
    let receiver = receivers::find(&app, &grant, &id)?;
    let change = body::read_json(&request, payload).await?;
    let rendered = receivers::shown(&app, &request, &grant, &receiver);
    let definition = receiver_json::changed(&receiver, rendered, change)?;
    if let Kind::ServiceUpgrade(_) = definition.kind {
        let message = "what a receiver that upgrades services would have done cannot be told from the record: it depends on what ran then";
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "InvalidReference",
            message,
        )
        .about("driver"));
    }
    let (since, until) = (time(&request, "since")?, time(&request, "until")?);
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        let message = format!("until ({until}) is before since ({since})");
        return Err(ApiError::invalid("InvalidOption", "until", message));
    }
    let changed = Receiver {
        name: definition.name,
        kind: definition.kind,
        options: definition.options,
        revision: receiver.revision + 1,
        ..(*receiver).clone()
    };
    let query = WhatIfQuery {
        project: grant.project,
        receiver: Box::new(changed),
        since,
        until,
        after: Sequence(number(&request, "after", u64::MAX)?.unwrap_or(0)),
        limit: limit(&request)?,
    };
    let Answer::WhatIf(comparison) = app.ask(Question::WhatIf(query)).await? else {
        return Err(ApiError::unavailable("the worker answered something else"));
    };
    let mut shown = json!(comparison);
    shown["type"] = json!("whatIf");
    shown["links"] = json!({"self": format!("{}{}", app.base(&request), request.uri())});
    Ok(HttpResponse::Ok().json(shown))
}

fn time(request: &HttpRequest, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
    match parameter(request, name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| ApiError::invalid("InvalidFormat", name, format!("{name}: {error}"))),
    }
}

fn limit(request: &HttpRequest) -> Result<usize, ApiError> {
    let limit = number(request, "limit", LARGEST_LIMIT as u64)?;
    Ok(limit.map_or(DEFAULT_LIMIT, |limit| {
        usize::try_from(limit).unwrap_or(LARGEST_LIMIT)
    }))
}

fn number(request: &HttpRequest, name: &'static str, most: u64) -> Result<Option<u64>, ApiError> {
    let Some(text) = parameter(request, name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) if number <= most => Ok(Some(number)),
        _ => {
            let message = format!("{name}: {text:?} is not a whole number from 0 to {most}");
            Err(ApiError::invalid("InvalidOption", name, message))
        }
    }
}
