//! Writes down that somebody replays triggers of some time: which, how many, and how. What is sent again then is recorded
//! trigger by trigger, as redeliveries with the replay's name in their key.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::domain::management::{Call, Subject};
use stormhook_shared::domain::outcome::Status;
use stormhook_shared::domain::time::Timestamp;

use crate::access::{Need, authorize, required};
use crate::app::App;
use crate::body;
use crate::error::ApiError;
use crate::record::record;

/// No group has a longer name.
const LONGEST_GROUP: usize = 1_000;
/// A longer name would not fit into the keys of what is sent.
const LONGEST_ID: usize = 100;

/// What is replayed, as the record keeps it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Replay {
    /// Names the replay: what it sends is sent once, however often it is begun.
    id: String,
    /// How many triggers are chosen.
    triggers: u64,
    /// Accepted then or later.
    since: Timestamp,
    /// Accepted before then.
    until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiver_id: Option<ReceiverId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(default)]
    ignores_cooldown: bool,
    /// How many are sent a second.
    rate: u32,
}

/// `POST /v1-webhooks/triggers?action=replay`
pub(crate) async fn act(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let grant = authorize(&app, &request, Need::Write)?;
    let action = required(&request, "action")?;
    if action != "replay" {
        let message = format!("{action:?} is no action; the triggers have replay");
        return Err(ApiError::invalid("InvalidAction", "action", message));
    }
    let asked = body::read_json(&request, payload).await?;
    let replay: Replay = serde_json::from_value(asked).map_err(|error| {
        let message = format!("the body does not say what is replayed: {error}");
        ApiError::invalid("InvalidFormat", "body", message)
    })?;
    if replay.id.is_empty() || replay.id.len() > LONGEST_ID {
        let message = format!("id: it has 1 to {LONGEST_ID} characters");
        return Err(ApiError::invalid("InvalidOption", "id", message));
    }
    let group = replay.group.as_ref();
    if group.is_some_and(|group| group.as_str().len() > LONGEST_GROUP) {
        let message = format!("group: it has at most {LONGEST_GROUP} characters");
        return Err(ApiError::invalid("InvalidOption", "group", message));
    }
    if replay.until < replay.since {
        let (since, until) = (replay.since, replay.until);
        let message = format!("until ({until}) is before since ({since})");
        return Err(ApiError::invalid("InvalidOption", "until", message));
    }
    let what = (Call::Replay, Subject::Triggers);
    let id = replay.id.clone();
    // Whoever asked carries it out, trigger by trigger.
    let _recorded = record(&app, &request, &grant, what, (None, Some(json!(replay)))).await?;
    Ok(HttpResponse::Accepted().json(json!({"type": "replay", "id": id})))
}
