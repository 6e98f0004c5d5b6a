//! The receiver hooks that Rancher's own service kept as generic objects, as receivers of ours.

use serde_json::{Value, json};
use stormhook_shared::domain::kind::Driver;
use stormhook_shared::domain::receiver::ImportedKey;
use stormhook_shared::receiver_json::config_field;

const KIND: &str = "webhookReceiver";
/// What is in one of these states does not act any more, or soon will not.
const GONE_STATES: [&str; 4] = ["removing", "removed", "purging", "purged"];

/// A hook of Rancher's own service.
#[derive(Debug, Clone, PartialEq)]
pub struct OldHook {
    /// Its name, as a receiver would have it.
    pub name: String,
    /// The SHA-256 of its key, in hex: what a receiver that brought the key along tells.
    pub key_sha256: String,
    /// The receiver that does the same, as the API takes it; or why there is none.
    pub receiver: Result<Value, String>,
}

/// The hooks among these generic objects.
pub(super) fn among(objects: &[Value]) -> Vec<OldHook> {
    objects
        .iter()
        .filter(|object| object["kind"] == KIND && is_there(object))
        .map(|object| {
            let name = name(object);
            let key = object["key"].as_str().unwrap_or_default();
            OldHook {
                receiver: receiver(&name, key, &object["resourceData"]),
                key_sha256: ImportedKey::digest(key),
                name,
            }
        })
        .collect()
}

fn is_there(object: &Value) -> bool {
    let state = object["state"].as_str().unwrap_or_default();
    object["removed"].is_null() && !GONE_STATES.contains(&state)
}

/// Its name, without what a receiver's name loses at its ends; its id if it has none.
fn name(object: &Value) -> String {
    [&object["name"], &object["id"]]
        .into_iter()
        .filter_map(Value::as_str)
        .map(str::trim)
        .find(|name| !name.is_empty())
        .unwrap_or_default()
        .to_owned()
}

fn receiver(name: &str, key: &str, data: &Value) -> Result<Value, String> {
    if !ImportedKey::is_key(key) {
        return Err("its key is not one of 40 letters and digits".to_owned());
    }
    let driver = data["driver"].as_str().unwrap_or_default();
    let driver: Driver = driver
        .parse()
        .map_err(|_| format!("its driver {driver:?} is not known here"))?;
    let mut config = data["config"].clone();
    if !config.is_object() {
        return Err("it has no config".to_owned());
    }
    adapt(driver, &mut config)?;
    Ok(json!({
        "name": name,
        "driver": driver,
        config_field(driver): config,
        "importedKey": key,
    }))
}

/// What meant something else there.
fn adapt(driver: Driver, config: &mut Value) -> Result<(), String> {
    if let Some(fields) = config.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && *value != "");
    }
    match driver {
        Driver::ScaleHost => {
            if config["hostSelector"].is_null() {
                return Err("it names no host labels, but a host template".to_owned());
            }
            // The form sent it for both directions.
            if let (true, Some(fields)) = (config["action"] == "up", config.as_object_mut()) {
                fields.remove("deleteOption");
            }
        }
        // There, the field was in seconds, whatever it was called.
        Driver::ServiceUpgrade => {
            if let Some(seconds) = config["intervalMillis"].as_u64() {
                config["intervalMillis"] = json!(seconds.saturating_mul(1_000).max(100));
            }
        }
        Driver::ScaleService | Driver::ForwardPost => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(driver: &str, config: &Value) -> Value {
        json!({
            "id": "1go1", "name": "old", "kind": KIND, "key": "k".repeat(40), "removed": null,
            "resourceData": {"url": "https://rancher.example.org", "driver": driver, "config": config},
        })
    }

    fn adapted(driver: &str, config: &Value) -> Result<Value, String> {
        among(&[object(driver, config)]).remove(0).receiver
    }

    #[test]
    fn a_hook_becomes_the_receiver_that_does_the_same() {
        let config = json!({"serviceId": "1s5", "action": "up", "amount": 1, "min": 1, "max": 4});
        let receiver = adapted("scaleService", &config).unwrap();
        assert_eq!(
            receiver,
            json!({
                "name": "old", "driver": "scaleService", "scaleServiceConfig": config,
                "importedKey": "k".repeat(40),
            })
        );
    }

    #[test]
    fn what_meant_something_else_is_adapted() {
        let upgrade = json!({"serviceSelector": {"a": "b"}, "tag": "v1", "intervalMillis": 2, "addressType": ""});
        let receiver = adapted("serviceUpgrade", &upgrade).unwrap();
        let config = &receiver["serviceUpgradeConfig"];
        assert_eq!(config["intervalMillis"], 2_000);
        assert_eq!(config["addressType"], Value::Null);
        let hosts =
            json!({"hostSelector": {"a": "b"}, "action": "up", "deleteOption": "mostRecent"});
        let receiver = adapted("scaleHost", &hosts).unwrap();
        assert_eq!(receiver["scaleHostConfig"]["deleteOption"], Value::Null);
    }

    #[test]
    fn names_are_those_that_receivers_would_have() {
        for (name, expected) in [
            (json!(" old\t"), "old"),
            (json!("  "), "1go1"),
            (json!(null), "1go1"),
        ] {
            let mut named = object("scaleService", &json!({}));
            named["name"] = name;
            let hook = among(&[named]).remove(0);
            assert_eq!(hook.name, expected);
            assert_eq!(hook.receiver.unwrap()["name"], expected);
            assert_eq!(hook.key_sha256, ImportedKey::digest(&"k".repeat(40)));
        }
    }

    #[test]
    fn what_is_being_removed_is_left_out() {
        for (field, value, is_left_out) in [
            ("state", "active", false),
            ("state", "activating", false),
            ("state", "removing", true),
            ("state", "removed", true),
            ("state", "purging", true),
            ("state", "purged", true),
            ("removed", "2017-03-01T00:00:00Z", true),
        ] {
            let mut hook = object("scaleService", &json!({}));
            hook[field] = json!(value);
            assert_eq!(among(&[hook]).is_empty(), is_left_out, "{field}: {value}");
        }
    }

    #[test]
    fn what_cannot_be_taken_over_is_told() {
        let template = json!({"hostTemplateId": "1ht1", "action": "up"});
        assert!(
            adapted("scaleHost", &template)
                .unwrap_err()
                .contains("template")
        );
        assert!(
            adapted("scaleMoon", &json!({}))
                .unwrap_err()
                .contains("scaleMoon")
        );
        let mut other = object("scaleService", &json!({}));
        other["kind"] = json!("setting");
        assert_eq!(among(&[other]), []);
    }
}
