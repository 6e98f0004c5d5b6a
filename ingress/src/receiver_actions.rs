//! The actions on a receiver: a new trigger URL, and whether it acts.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;
use stormhook_shared::domain::management::Call;
use stormhook_shared::domain::receiver::{Activity, Receiver};
use stormhook_shared::domain::time::Timestamp;

use crate::access::{Need, authorize, required};
use crate::app::App;
use crate::body;
use crate::error::ApiError;
use crate::receivers::{Asked, alter, find, shown};

/// The longest overlap of two trigger URLs: a week.
const LONGEST_OVERLAP_SECONDS: u64 = 7 * 86_400;
/// The longest time for which a receiver is disabled by seconds: a year.
const LONGEST_DISABLED_SECONDS: u64 = 366 * 86_400;

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
    let asked = |call| Asked::new(&app, &request, &grant, call);
    let changed = match action.as_str() {
        "rotate" => {
            only(&options, &["overlapSeconds"])?;
            let overlap = seconds(&options, "overlapSeconds", 0, LONGEST_OVERLAP_SECONDS)?;
            let overlap = Duration::from_secs(overlap.unwrap_or(0));
            alter(&asked(Call::Rotate), &id, |receiver| {
                Ok(Receiver {
                    keys: receiver.keys.rotated(overlap, now),
                    ..receiver.clone()
                })
            })
            .await?
        }
        "enable" => {
            only(&options, &[])?;
            set_activity(&asked(Call::Enable), &id, Activity::Active).await?
        }
        "disable" => {
            let until = disabled_until(&options, now)?;
            set_activity(&asked(Call::Disable), &id, Activity::Disabled { until }).await?
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
    asked: &Asked<'_>,
    id: &str,
    activity: Activity,
) -> Result<Receiver, ApiError> {
    alter(asked, id, |receiver| {
        Ok(Receiver {
            activity,
            ..receiver.clone()
        })
    })
    .await
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
