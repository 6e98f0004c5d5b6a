//! A `Receiver` object: what it asks for, and how its status tells what has become of that. Pure.

use kube::ResourceExt;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use stormhook_shared::domain::ids::{ProjectId, ReceiverId};
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::receiver_json::{self, Definition};

use super::reconciliation::Obstacle;

/// The group of what is named here.
pub(super) const GROUP: &str = "stormhook.io";
/// What ends in the Secret's name where the object names none.
const SECRET_SUFFIX: &str = "-url";
/// Where its trigger URL is wanted: the name of a Secret.
const SECRET_FIELD: &str = "urlSecretName";

/// How the API server calls the objects.
pub(super) fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Receiver"))
}

/// A `Receiver` object that was read.
#[derive(Clone, Copy)]
pub(super) struct Object<'a>(pub(super) &'a DynamicObject);

/// Where in a Secret something is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SecretKey {
    pub(super) name: String,
    pub(super) key: String,
}

/// What has become of an object.
pub(super) struct Standing<'a> {
    pub(super) receiver: Option<&'a Receiver>,
    pub(super) secret: Option<&'a str>,
    pub(super) obstacle: Option<&'a Obstacle>,
}

impl Object<'_> {
    pub(super) fn name(self) -> String {
        self.0.name_any()
    }

    pub(super) fn namespace(self) -> String {
        self.0.namespace().unwrap_or_default()
    }

    pub(super) fn uid(self) -> String {
        self.0.uid().unwrap_or_default()
    }

    /// Its path.
    pub(super) fn path(self) -> String {
        let (namespace, name) = (self.namespace(), self.name());
        format!("/apis/{GROUP}/v1/namespaces/{namespace}/receivers/{name}")
    }

    /// As whom it asks, in the record of management calls.
    pub(super) fn asker(self) -> String {
        format!("receivers.{GROUP}/{}/{}", self.namespace(), self.name())
    }

    /// The id of the receiver that is made for it.
    pub(super) fn receiver_id(self, project: &ProjectId) -> ReceiverId {
        ReceiverId::of_resource(project, &self.uid())
    }

    /// The name of the Secret that its trigger URL is wanted in.
    pub(super) fn secret_name(self) -> String {
        let wanted = self.0.data["spec"][SECRET_FIELD].as_str();
        wanted.map_or_else(|| format!("{}{SECRET_SUFFIX}", self.name()), str::to_owned)
    }

    /// Where the secret is that its requests must be signed with, if it is not in the object itself.
    pub(super) fn sign_secret(self) -> Option<SecretKey> {
        let reference = &self.0.data["spec"]["sign"]["secretRef"];
        Some(SecretKey {
            name: reference["name"].as_str()?.to_owned(),
            key: reference["key"].as_str()?.to_owned(),
        })
    }

    /// The receiver of `project` that it asks for, by the same rules as the API's. `sign`: what was found where
    /// [`Self::sign_secret`] says.
    pub(super) fn definition(
        self,
        project: &ProjectId,
        sign: Option<String>,
    ) -> Result<Definition, Obstacle> {
        let mut wanted = self.0.data["spec"].clone();
        if let Value::Object(fields) = &mut wanted {
            fields.remove(SECRET_FIELD);
            fields.entry("name").or_insert_with(|| json!(self.name()));
            if let Some(Value::Object(config)) = fields.get_mut("forwardPostConfig") {
                // Requests are passed on within the project, which whoever writes the object need not know.
                config.entry("projectId").or_insert_with(|| json!(project));
            }
            if let Some(sign) = sign {
                fields.insert("sign".to_owned(), json!({"secret": sign}));
            }
        }
        let field_prefix = |error: receiver_json::FieldError| {
            let message = format!("spec: {}: {error}", error.field);
            Obstacle::refused("InvalidSpec", message)
        };
        receiver_json::parse(wanted).map_err(field_prefix)
    }

    /// The Secret that the trigger URL was last written to.
    pub(super) fn told_secret(self) -> Option<String> {
        let name = self.0.data["status"][SECRET_FIELD].as_str()?;
        Some(name.to_owned())
    }

    /// Whether a receiver was made for it, as far as that was told.
    pub(super) fn was_registered(self) -> bool {
        self.0.data["status"]["receiverId"].is_string()
    }

    /// Whether its status says that it is ready as it is now.
    fn is_told_ready(self) -> bool {
        let status = &self.0.data["status"];
        status["observedGeneration"] == json!(self.0.metadata.generation)
            && status["conditions"][0]["status"] == "True"
    }

    /// The change of its status that tells how it stands, if that is told differently now. What passes by itself is not told
    /// of an object that was ready.
    pub(super) fn status(self, standing: &Standing<'_>, now: Timestamp) -> Option<Value> {
        if standing.obstacle.is_some_and(Obstacle::is_passing) && self.is_told_ready() {
            return None;
        }
        let told = &self.0.data["status"];
        let (state, reason, message) = match standing.obstacle {
            None => ("True", "Registered", self.ready_message(standing)),
            Some(obstacle) => (obstacle.state(), obstacle.reason(), obstacle.to_string()),
        };
        let generation = self.0.metadata.generation;
        let before = &told["conditions"][0];
        let since = match &before["lastTransitionTime"] {
            Value::String(since) if before["status"] == state => since.clone(),
            _ => seconds(now),
        };
        let status = json!({
            "observedGeneration": generation,
            "receiverId": standing.receiver.map(|receiver| receiver.id),
            SECRET_FIELD: standing.secret.map_or_else(|| told[SECRET_FIELD].clone(), |name| json!(name)),
            "conditions": [{
                "type": "Ready", "status": state, "reason": reason, "message": message,
                "observedGeneration": generation, "lastTransitionTime": since,
            }],
        });
        let fields = status.as_object()?;
        let is_told = fields.iter().all(|(field, value)| told[field] == *value);
        (!is_told).then(|| json!({"status": status}))
    }

    fn ready_message(self, standing: &Standing<'_>) -> String {
        let secret = standing.secret.unwrap_or_default();
        format!("the trigger URL is in the Secret {secret}, under the key url")
    }
}

/// RFC 3339 in whole seconds, which is all that API servers keep of a time.
fn seconds(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(status: &Value) -> DynamicObject {
        let text = json!({
            "apiVersion": "stormhook.io/v1", "kind": "Receiver",
            "metadata": {"namespace": "shop", "name": "scale-web", "uid": "u-1", "generation": 3},
            "spec": {
                "driver": "scaleService",
                "scaleServiceConfig": {"serviceId": "deployments/shop/web", "action": "up", "amount": 1, "min": 1, "max": 4},
            },
            "status": status,
        });
        serde_json::from_value(text).unwrap()
    }

    fn told(object: &DynamicObject, obstacle: Option<&Obstacle>) -> Option<Value> {
        let standing = Standing {
            receiver: None,
            secret: Some("scale-web-url"),
            obstacle,
        };
        Object(object).status(&standing, Timestamp::from_millis(1_500))
    }

    fn definition(object: &DynamicObject, sign: Option<&str>) -> Result<Definition, Obstacle> {
        let project = "shop".parse().unwrap();
        Object(object).definition(&project, sign.map(str::to_owned))
    }

    #[test]
    fn an_object_asks_for_a_receiver_of_its_own_name_unless_it_names_one() {
        let mut plain = object(&Value::Null);
        assert_eq!(definition(&plain, None).unwrap().name, "scale-web");
        assert_eq!(Object(&plain).secret_name(), "scale-web-url");
        plain.data["spec"]["name"] = json!("more web");
        plain.data["spec"]["urlSecretName"] = json!("hook");
        plain.data["spec"]["sign"] = json!({"secretRef": {"name": "keys", "key": "hook"}});
        let named = Object(&plain);
        assert_eq!(named.sign_secret().unwrap().name, "keys");
        let definition = definition(&plain, Some("sixteen letters!")).unwrap();
        assert_eq!(definition.name, "more web");
        assert!(definition.options.sign.is_some());
        assert_eq!(named.secret_name(), "hook");
    }

    #[test]
    fn a_mistake_is_told_with_its_field() {
        let mut wrong = object(&Value::Null);
        wrong.data["spec"]["scaleServiceConfig"]["min"] = json!(9);
        let obstacle = definition(&wrong, None).unwrap_err();
        assert_eq!(obstacle.reason(), "InvalidSpec");
        assert!(
            obstacle.to_string().starts_with("spec: min: "),
            "{obstacle}"
        );
    }

    #[test]
    fn a_status_is_written_when_it_tells_something_new() {
        let first = told(&object(&Value::Null), None).unwrap();
        let status = &first["status"];
        assert_eq!(status["observedGeneration"], 3);
        let condition = &status["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("True"), &json!("Registered"))
        );
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:00:01Z");
        let ready = object(status);
        assert_eq!(told(&ready, None), None);

        let passing = Obstacle::Passing("no answer in time".to_owned());
        assert_eq!(told(&ready, Some(&passing)), None);
        let unknown = told(&object(&Value::Null), Some(&passing)).unwrap();
        assert_eq!(unknown["status"]["conditions"][0]["status"], "Unknown");
        let refused = Obstacle::refused("NameTaken", "another has it".to_owned());
        let refused = told(&ready, Some(&refused)).unwrap();
        assert_eq!(refused["status"]["conditions"][0]["status"], "False");
    }
}
