//! From a receiver to the API's JSON.

use serde_json::{Value, json};

use super::{config, config_field};
use crate::domain::receiver::{Activity, Receiver};
use crate::domain::time::Timestamp;

/// How a receiver is shown.
pub struct Rendering<'a> {
    /// Its trigger URL; `None` where the caller may not see it.
    pub url: Option<String>,
    /// The address of the resource itself.
    pub self_link: &'a str,
    /// The time now: a receiver may be disabled until then.
    pub now: Timestamp,
}

/// `receiver` as the API shows it.
pub fn render(receiver: &Receiver, rendering: &Rendering<'_>) -> Value {
    let options = &receiver.options;
    let is_active = receiver.activity.is_active(rendering.now);
    let disabled_until = match receiver.activity {
        Activity::Disabled { until } if !is_active => until,
        _ => None,
    };
    let mut rendered = json!({
        "type": "receiver",
        "id": receiver.id,
        "name": receiver.name,
        "driver": receiver.kind.driver(),
        "state": if is_active { "active" } else { "inactive" },
        "disabledUntil": disabled_until,
        "url": rendering.url,
        "cooldownSeconds": options.cooldown.as_secs(),
        "groupCooldownSeconds": options.group_cooldown.as_secs(),
        "onLimit": options.on_limit,
        "onResolved": options.on_resolved,
        "onRepeat": options.on_repeat,
        "dedupe": options.dedupe,
        "filter": options.filter,
        "sign": options.sign.as_ref().map(|_| json!({})),
        "redact": options.redact,
        "deadlineSeconds": options.deadline.as_secs(),
        "imported": receiver.keys.imported.is_some(),
        "revision": receiver.revision,
        "created": receiver.created_at,
        "links": {"self": rendering.self_link},
    });
    rendered[config_field(receiver.kind.driver())] = config::render(&receiver.kind);
    rendered
}
