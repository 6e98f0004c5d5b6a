//! Hosts that are to go, and what may come between: they are purged without a word, or left half-way.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_shared::domain::ledger::{Action, HostRef};
use stormhook_shared::ports::platform::{Notes, Platform, Step};

use super::{PATIENCE, Practice, notes};

fn removal(id: &str) -> Action {
    Action::ScaleHosts {
        from: 4,
        to: 3,
        create: Vec::new(),
        remove: vec![HostRef {
            id: id.to_owned(),
            name: "web01".to_owned(),
        }],
        activate: Vec::new(),
        drain: Vec::new(),
        pool: None,
    }
}

impl Practice {
    /// Returns when the host has come to this state.
    async fn host_is(&self, id: &str, state: &str) {
        let path = format!("v2-beta/hosts/{id}");
        let reached = async {
            while self.call(Method::GET, &path, &Value::Null).await["state"] != state {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{id} never was {state}");
    }

    /// Takes a step of an action that is not over.
    async fn step_underway(&self, action: &Action, notes: &mut Notes) {
        let step = self.rancher.pursue(action, notes).await.unwrap();
        assert!(matches!(step, Step::Underway { .. }), "{step:?}");
    }

    /// The methods of the changing calls so far.
    async fn methods(&self) -> Vec<Value> {
        let calls = self.calls().await;
        calls.iter().map(|call| call["method"].clone()).collect()
    }
}

/// rancher/rancher issue 7913: a host that was removed and purged at once looked inactive for ever, as nobody was told.
#[tokio::test]
async fn a_purged_host_is_gone() {
    let practice = Practice::start().await;
    practice.set(json!({"evacuationsEnd": "purged"})).await;
    let (action, mut notes) = (removal("1h1"), notes());
    practice.step_underway(&action, &mut notes).await;
    practice.host_is("1h1", "purged").await;
    let step = practice.rancher.pursue(&action, &mut notes).await;
    assert_eq!(step, Ok(Step::Done));
    assert_eq!(practice.methods().await, ["POST"]);
}

/// While it may still be going on, nobody meddles with an evacuation; Cattle gives one up without a word.
#[tokio::test]
async fn an_evacuation_that_was_given_up_is_brought_to_its_end() {
    let practice = Practice::start().await;
    practice.set(json!({"evacuationsEnd": "inactive"})).await;
    let (action, mut notes) = (removal("1h1"), notes());
    practice.step_underway(&action, &mut notes).await;
    practice.host_is("1h1", "inactive").await;
    practice.step_underway(&action, &mut notes).await;
    assert_eq!(practice.methods().await, ["POST"], "it may be on its way");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(600)).await;
    tokio::time::resume();
    practice.step_underway(&action, &mut notes).await;
    practice.host_is("1h1", "removed").await;
    let step = practice.rancher.pursue(&action, &mut notes).await;
    assert_eq!(step, Ok(Step::Done));
    assert_eq!(practice.methods().await, ["POST", "DELETE"]);
}

/// Whoever takes the plan over knows nothing of when the evacuation began.
#[tokio::test]
async fn whoever_takes_over_removes_what_is_inactive() {
    let practice = Practice::start().await;
    practice.set(json!({"evacuationsEnd": "inactive"})).await;
    let action = removal("1h1");
    practice.step_underway(&action, &mut notes()).await;
    practice.host_is("1h1", "inactive").await;
    let mut others = notes();
    others.is_resumed = true;
    practice.step_underway(&action, &mut others).await;
    practice.host_is("1h1", "removed").await;
    let step = practice.rancher.pursue(&action, &mut others).await;
    assert_eq!(step, Ok(Step::Done));
}

/// What was removed since it was looked at cannot be evacuated: Cattle answers 422, and it is gone all the same.
#[tokio::test]
async fn a_host_that_goes_between_the_look_and_the_call_is_gone() {
    let practice = Practice::start().await;
    let event = json!({"eventType": "host.evacuate", "hostId": "1h1", "deleteHost": true});
    let events = "v2-beta/externalHostEvents";
    practice.call(Method::POST, events, &event).await;
    practice.host_is("1h1", "removed").await;
    let before = json!({"id": "1h1", "name": "web01", "state": "active", "removed": null});
    let list = json!({"type": "collection", "data": [before]});
    let fault = json!({"method": "GET", "status": 200, "body": list});
    practice.set(json!({"fault": fault})).await;
    let action = removal("1h1");
    let step = practice.rancher.pursue(&action, &mut notes()).await;
    assert_eq!(step, Ok(Step::Done));
    let calls = practice.calls().await;
    assert_eq!(calls[1]["status"], 422, "{calls:?}");
}
