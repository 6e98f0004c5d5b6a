//! A service's or node's tasks: what is wanted of them, what became of them.

use serde_json::{Value, json};
use stormhook_shared::ports::platform::PlatformError;

use super::connection::Connection;

/// States of a task that has a node and has not come to its end.
const ON_A_NODE: [&str; 6] = [
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
];

/// The tasks of a service, with those of the past that Swarm still knows of.
pub(super) async fn of_service(
    connection: &Connection,
    id: &str,
) -> Result<Vec<Value>, PlatformError> {
    let filters = json!({"service": [id]}).to_string();
    connection.list("tasks", &[("filters", &filters)]).await
}

/// The tasks that a node was given, with those of the past that Swarm still knows of.
pub(super) async fn on_node(
    connection: &Connection,
    id: &str,
) -> Result<Vec<Value>, PlatformError> {
    let filters = json!({"node": [id]}).to_string();
    connection.list("tasks", &[("filters", &filters)]).await
}

/// Whether a task is wanted to run, now or once it can.
pub(super) fn is_wanted(task: &Value) -> bool {
    matches!(
        task["DesiredState"].as_str(),
        Some("running" | "ready" | "accepted")
    )
}

/// Whether a task is on its node and has not come to its end.
pub(super) fn is_there(task: &Value) -> bool {
    let state = task["Status"]["State"].as_str().unwrap_or_default();
    ON_A_NODE.contains(&state)
}

/// What a task failed by.
pub(super) fn error(task: &Value) -> Option<String> {
    let error = task["Status"]["Err"].as_str()?;
    (!error.is_empty()).then(|| error.to_owned())
}
