//! The receiver hooks that Rancher's own service kept as generic objects, as receivers of ours.

use serde_json::{Value, json};
use stormhook_shared::domain::kind::Driver;
use stormhook_shared::domain::receiver::ImportedKey;
use stormhook_shared::receiver_json::config_field;

const KIND: &str = "webhookReceiver";

/// A hook of Rancher's own service.
#[derive(Debug, Clone, PartialEq)]
pub struct OldHook {
    /// Its name.
    pub name: String,
    /// The receiver that does the same, as the API takes it; or why there is none.
    pub receiver: Result<Value, String>,
}

/// The hooks among these generic objects.
pub(super) fn among(objects: &[Value]) -> Vec<OldHook> {
    objects
        .iter()
        .filter(|object| object["kind"] == KIND && object["removed"].is_null())
        .map(|object| {
            let name = object["name"].as_str().or(object["id"].as_str());
            let name = name.unwrap_or_default().to_owned();
            let receiver = receiver(&name, object);
            OldHook { name, receiver }
        })
        .collect()
}

fn receiver(name: &str, object: &Value) -> Result<Value, String> {
    let key = object["key"].as_str().unwrap_or_default();
    if !ImportedKey::is_key(key) {
        return Err("its key is not one of 40 letters and digits".to_owned());
    }
    let data = &object["resourceData"];
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
