//! The Secret that a trigger URL is written to. It belongs to its object, and goes with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stormhook_shared::ports::platform::PlatformError;

use super::object::{GROUP, Object, SecretKey};
use super::reconciliation::Obstacle;
use crate::platforms::kubernetes::answer::optional;
use crate::platforms::kubernetes::connection::{Connection, Patch};

/// The key in the Secret's data.
const KEY: &str = "url";

/// The Secrets of one object.
pub(super) struct Secrets<'a> {
    pub(super) connection: &'a Connection,
    pub(super) object: Object<'a>,
}

impl Secrets<'_> {
    /// Writes `url` to the Secret with this name, unless it is there.
    pub(super) async fn write(&self, name: &str, url: &str) -> Result<(), Obstacle> {
        let encoded = json!(STANDARD.encode(url));
        let Some(there) = self.read(name).await? else {
            return self.create(name, &encoded).await;
        };
        self.require_own(name, &there)?;
        if there["data"][KEY] == encoded {
            return Ok(());
        }
        let version = &there["metadata"]["resourceVersion"];
        let change = json!({"metadata": {"resourceVersion": version}, "data": {KEY: encoded}});
        let path = self.path(name);
        let changed = self.connection.patch(&path, Patch::Merge, &change).await;
        changed.map_err(|failure| obstacle(failure.of_change()))?;
        Ok(())
    }

    /// Removes the Secret with this name, if it is there and belongs to the object.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Obstacle> {
        let there = self.read(name).await?;
        let Some(there) = there.filter(|there| self.is_own(there)) else {
            return Ok(());
        };
        let uid = &there["metadata"]["uid"];
        let deleted = self.connection.delete(&self.path(name), uid).await;
        optional(deleted).map_err(obstacle)?;
        Ok(())
    }

    /// The text that somebody keeps in a Secret.
    pub(super) async fn text(&self, place: &SecretKey) -> Result<String, Obstacle> {
        let SecretKey { name, key } = place;
        let missing =
            |what: String| Obstacle::refused("InvalidSpec", format!("spec: sign: {what}"));
        let there = self.read(name).await?;
        let there = there.ok_or_else(|| missing(format!("there is no Secret {name}")))?;
        let encoded = there["data"][key].as_str();
        let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| missing(format!("the Secret {name} has no text under the key {key}")))
    }

    async fn read(&self, name: &str) -> Result<Option<Value>, Obstacle> {
        optional(self.connection.get(&self.path(name)).await).map_err(obstacle)
    }

    async fn create(&self, name: &str, encoded: &Value) -> Result<(), Obstacle> {
        let Object(object) = self.object;
        let namespace = self.object.namespace();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": name, "namespace": namespace,
                "labels": {"app.kubernetes.io/managed-by": "stormhook"},
                "ownerReferences": [{
                    "apiVersion": format!("{GROUP}/v1"), "kind": "Receiver", "controller": true,
                    "name": object.metadata.name, "uid": object.metadata.uid,
                }],
            },
            "data": {KEY: encoded},
        });
        let list = format!("/api/v1/namespaces/{namespace}/secrets");
        let created = self.connection.create(&list, &secret).await;
        created.map_err(|failure| obstacle(failure.into_error()))?;
        Ok(())
    }

    fn require_own(&self, name: &str, there: &Value) -> Result<(), Obstacle> {
        if self.is_own(there) {
            return Ok(());
        }
        Err(Obstacle::refused(
            "SecretTaken",
            format!(
                "the Secret {name} is there, but was not made for this object: name another one as urlSecretName"
            ),
        ))
    }

    fn is_own(&self, there: &Value) -> bool {
        let owners = there["metadata"]["ownerReferences"].as_array();
        let uid = self.object.uid();
        owners
            .into_iter()
            .flatten()
            .any(|owner| owner["uid"] == uid.as_str())
    }

    fn path(&self, name: &str) -> String {
        format!(
            "/api/v1/namespaces/{}/secrets/{name}",
            self.object.namespace()
        )
    }
}

/// What an API server's error means for an object: a right that is missing is told, and may be given later.
pub(super) fn obstacle(error: PlatformError) -> Obstacle {
    match error {
        PlatformError::Refused { message } => Obstacle::refused("Refused", message),
        passing => Obstacle::Passing(passing.to_string()),
    }
}
