//! What the users of Rancher's own receiver hooks complained of does not happen here: a test for each complaint that no
//! other story tells of. The numbers are those of rancher/rancher's issues.

mod hosts;
mod receivers;
mod services;
mod upgrades;

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_tests::up::Up;
use stormhook_tests::wait;

fn push(image: &str) -> String {
    json!({"push_data": {"tag": "v2"}, "repository": {"repo_name": image}}).to_string()
}

async fn service(up: &Up, id: &str) -> Value {
    let path = format!("services/{id}");
    up.cattle(Method::GET, &path, &Value::Null).await
}

async fn state_of(up: &Up, id: &str, state: &str) {
    wait::until(state, || async {
        let found = service(up, id).await["state"].clone();
        if found == state {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await;
}
