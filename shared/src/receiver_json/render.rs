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
    let imported = receiver.keys.imported.as_ref();
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
        "imported": imported.is_some(),
        "revision": receiver.revision,
        "created": receiver.created_at,
        "links": {"self": rendering.self_link},
    });
    // By this, whoever has a URL of Rancher's can tell whose it is here: for those who may see URLs, while it is valid.
    let valid = imported.filter(|key| key.is_valid(rendering.now));
    if let (Some(key), Some(_)) = (valid, &rendering.url) {
        rendered["importedKeySha256"] = json!(key.sha256);
    }
    rendered[config_field(receiver.kind.driver())] = config::render(&receiver.kind);
    rendered
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::ids::ReceiverId;
    use crate::domain::receiver::{ImportedKey, KeyVersions};
    use crate::receiver_json::{changed, parse};

    fn imported() -> Receiver {
        let definition = parse(json!({
            "name": "scale-web", "driver": "scaleService",
            "scaleServiceConfig": {"serviceId": "1s5", "amount": 1, "action": "up", "min": 1, "max": 4},
        }))
        .unwrap();
        Receiver {
            id: ReceiverId::from_bytes([1; 12]),
            project: "1a5".parse().unwrap(),
            name: definition.name,
            kind: definition.kind,
            options: definition.options,
            activity: Activity::Active,
            keys: KeyVersions {
                imported: Some(ImportedKey::new(&"k".repeat(40))),
                ..KeyVersions::FIRST
            },
            revision: 1,
            created_at: Timestamp::from_millis(0),
        }
    }

    fn rendered(receiver: &Receiver, url: Option<&str>) -> Value {
        let rendering = Rendering {
            url: url.map(str::to_owned),
            self_link: "https://hooks.example.org/v1-webhooks/receivers/1",
            now: Timestamp::from_millis(0),
        };
        render(receiver, &rendering)
    }

    #[test]
    fn whose_key_it_is_is_told_to_those_who_see_urls_while_it_is_valid() {
        let mut receiver = imported();
        let shown = rendered(&receiver, Some("https://hooks.example.org"));
        assert_eq!(
            shown["importedKeySha256"],
            ImportedKey::digest(&"k".repeat(40))
        );
        let shown = rendered(&receiver, None);
        assert_eq!(shown["imported"], true);
        assert_eq!(shown["importedKeySha256"], Value::Null);

        let before = Timestamp::from_millis(-1_000);
        receiver.keys = receiver.keys.rotated(Duration::from_secs(1), before);
        let shown = rendered(&receiver, Some("https://hooks.example.org"));
        assert_eq!(shown["importedKeySha256"], Value::Null);
    }

    #[test]
    fn what_is_sent_back_as_it_was_shown_changes_nothing() {
        let receiver = imported();
        let mut shown = rendered(&receiver, Some("https://hooks.example.org"));
        shown["actions"] = json!({"rotate": "https://hooks.example.org"});
        let same = changed(&receiver, shown.clone(), shown).unwrap();
        assert_eq!(
            (same.name, same.kind, same.options),
            (receiver.name, receiver.kind, receiver.options)
        );
    }
}
