//! What changing calls do to a resource. Nothing here is written yet: that is the caller's.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::error::CattleError;
use crate::process;
use crate::resource::Kind;

/// States in which a change is stored, and yet refused.
const STORED_BUT_REFUSED: [&str; 4] = ["registering", "deactivating", "restarting", "removing"];
/// States that a change of scale leads back to `active` from.
const RECONCILED: [&str; 3] = ["active", "updating-active", "activating"];

/// What a call did, and its answer's status if there was no error.
pub(crate) struct Done {
    pub(crate) status: StatusCode,
    pub(crate) effect: Value,
    /// The change is stored, but the answer is this error.
    pub(crate) refusal: Option<CattleError>,
}

/// `PUT`: changes what can be changed, ignores the rest.
pub(crate) fn put(
    kind: Kind,
    resource: &mut Value,
    body: &Value,
    now: i64,
    settle_ms: u64,
) -> Result<Done, CattleError> {
    let mut effect = json!({});
    if let Some(scale) = body
        .get("scale")
        .filter(|scale| kind == Kind::Service && !scale.is_null())
    {
        let is_whole = scale
            .as_u64()
            .is_some_and(|scale| i32::try_from(scale).is_ok());
        if !is_whole {
            let message = "must be a whole number that is not negative";
            return Err(CattleError::field("InvalidFormat", "scale", message));
        }
    }
    for field in kind.writable() {
        if let Some(value) = body.get(*field).filter(|value| **value != resource[*field]) {
            effect[*field] = json!({"from": resource[*field], "to": value});
            resource[*field] = value.clone();
        }
    }
    let state = resource["state"].as_str().unwrap_or_default().to_owned();
    let has_changed = effect.as_object().is_some_and(|effect| !effect.is_empty());
    let refusal = (has_changed && STORED_BUT_REFUSED.contains(&state.as_str()))
        .then(|| CattleError::new(StatusCode::CONFLICT, "Conflict", ""));
    if effect.get("scale").is_some() && RECONCILED.contains(&state.as_str()) {
        process::pass_through(resource, "updating-active", "active", now, settle_ms);
    }
    Ok(Done {
        status: StatusCode::OK,
        effect,
        refusal,
    })
}

/// `POST ?action=…`
pub(crate) fn act(
    kind: Kind,
    resource: &mut Value,
    action: &str,
    body: &Value,
    now: i64,
    settle_ms: u64,
) -> Result<Done, CattleError> {
    if !process::exists(kind, action) {
        return Err(CattleError::field("InvalidAction", "action", action));
    }
    if !process::actions(kind, resource).any(|possible| possible == action) {
        return Err(CattleError::field("ActionNotAvailable", "action", action));
    }
    if action == "upgrade" {
        upgrade(resource, body)?;
    }
    let before = resource["state"].clone();
    process::begin(kind, resource, action, now, settle_ms);
    Ok(Done {
        status: StatusCode::ACCEPTED,
        effect: json!({"state": {"from": before, "to": resource["state"]}}),
        refusal: None,
    })
}

/// `DELETE`
pub(crate) fn delete(
    kind: Kind,
    resource: &mut Value,
    now: i64,
    settle_ms: u64,
) -> Result<Done, CattleError> {
    if kind == Kind::Host && resource["state"] == "active" {
        return Err(CattleError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the host is active",
        ));
    }
    process::pass_through(resource, "removing", "removed", now, settle_ms);
    Ok(Done {
        status: StatusCode::OK,
        effect: json!({"state": "removing"}),
        refusal: None,
    })
}

/// The launch configuration is replaced wholesale by the one of the request.
fn upgrade(resource: &mut Value, body: &Value) -> Result<(), CattleError> {
    let strategy = &body["inServiceStrategy"];
    let configs = ["launchConfig", "secondaryLaunchConfigs"];
    if configs.iter().all(|config| strategy[*config].is_null()) {
        let message = "launchConfig or secondaryLaunchConfigs must be given";
        return Err(CattleError::field("InvalidOption", "launchConfig", message));
    }
    if strategy["startFirst"] == true && resource["retainIp"] == true {
        let message = "a service that retains its IP cannot start first";
        return Err(CattleError::field("InvalidOption", "startFirst", message));
    }
    for config in configs {
        if !strategy[config].is_null() {
            resource[config] = strategy[config].clone();
        }
    }
    resource["upgrade"] = json!({"inServiceStrategy": strategy});
    Ok(())
}
