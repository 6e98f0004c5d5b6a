//! Recognises Alertmanager notifications (webhook format version "4") in a trigger's body.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::trigger::Trigger;

/// What a decision needs of an Alertmanager notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// All alerts of its group have ended.
    pub is_resolved: bool,
    /// It tells nothing new, but was sent again because the repeat interval passed.
    pub is_repeat: bool,
}

impl Notification {
    /// The notification in `trigger`'s body, if it is one.
    pub fn in_trigger(trigger: &Trigger) -> Option<Self> {
        // Most bodies are short texts or nothing at all; parsing is only for what may be an object.
        if !trigger.body.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        Self::in_body(&serde_json::from_slice(&trigger.body).ok()?)
    }

    /// The notification that `body` is, if it is one.
    pub fn in_body(body: &Value) -> Option<Self> {
        if body.get("version")?.as_str()? != "4" {
            return None;
        }
        let is_resolved = match body.get("status")?.as_str()? {
            "firing" => false,
            "resolved" => true,
            _ => return None,
        };
        Some(Self {
            is_resolved,
            is_repeat: reason(body).to_ascii_lowercase().contains("repeat"),
        })
    }
}

/// The idempotency key that identifies a notification whichever Alertmanager sent it: receiver, groupKey, the
/// sorted (fingerprint, status, startsAt) of its alerts, and the reason. None if `body` is no notification, or does not
/// list its alerts: what would be left does not tell one from the next.
pub fn dedupe_key(body: &Value) -> Option<String> {
    Notification::in_body(body)?;
    let text = |value: &Value, field: &str| {
        value
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut alerts: Vec<_> = body
        .get("alerts")?
        .as_array()?
        .iter()
        .map(|alert| {
            (
                text(alert, "fingerprint"),
                text(alert, "status"),
                text(alert, "startsAt"),
            )
        })
        .collect();
    alerts.sort();
    let identity = (
        text(body, "receiver"),
        text(body, "groupKey"),
        alerts,
        reason(body),
    );
    let digest = Sha256::digest(serde_json::to_vec(&identity).ok()?);
    Some(format!("alert:{}", hex::encode(digest)))
}

/// Why a notification was sent, under either of its names; empty where it does not say.
fn reason(body: &Value) -> &str {
    ["notification_reason", "notificationReason"]
        .into_iter()
        .find_map(|field| body.get(field)?.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn notification(alerts: &Value) -> Value {
        json!({"version": "4", "status": "firing", "receiver": "up", "groupKey": "{}:{}", "alerts": alerts})
    }

    #[test]
    fn only_version_4_that_fires_or_is_resolved_is_a_notification() {
        for (status, is_resolved) in [("firing", false), ("resolved", true)] {
            let expected = Some(Notification {
                is_resolved,
                is_repeat: false,
            });
            let bare = json!({"version": "4", "status": status});
            assert_eq!(Notification::in_body(&bare), expected, "{bare}");
            assert_eq!(dedupe_key(&bare), None, "{bare}");
            let mut usual = notification(&json!([]));
            usual["status"] = json!(status);
            assert_eq!(Notification::in_body(&usual), expected, "{usual}");
        }
        for other in [
            json!({}),
            json!({"version": 4, "status": "firing", "alerts": []}),
            json!({"version": "5", "status": "firing", "alerts": []}),
            json!({"version": "4", "alerts": []}),
            json!({"version": "4", "status": "open", "alerts": []}),
        ] {
            assert_eq!(Notification::in_body(&other), None, "{other}");
        }
    }

    #[test]
    fn the_order_of_alerts_does_not_change_the_key() {
        let one =
            json!({"fingerprint": "a", "status": "firing", "startsAt": "2026-01-01T00:00:00Z"});
        let two =
            json!({"fingerprint": "b", "status": "firing", "startsAt": "2026-01-01T00:00:00Z"});
        let key = |alerts| dedupe_key(&notification(&alerts)).unwrap();
        assert_eq!(key(json!([one, two])), key(json!([two, one])));
        assert_ne!(key(json!([one, two])), key(json!([one])));
        assert_eq!(dedupe_key(&json!({"a": 1})), None);
    }

    #[test]
    fn a_repeat_is_one_under_either_name_of_the_reason() {
        let first = notification(&json!([]));
        let keys = ["notification_reason", "notificationReason"].map(|field| {
            let mut repeat = first.clone();
            repeat[field] = json!("repeat interval");
            assert!(Notification::in_body(&repeat).unwrap().is_repeat, "{field}");
            dedupe_key(&repeat)
        });
        assert_eq!(keys[0], keys[1]);
        assert_ne!(keys[0], dedupe_key(&first));
    }
}
