//! Knobs make the practice platform answer as servers and proxies do on bad days.

use std::time::Duration;

use reqwest::header::{ACCEPT, LOCATION, RETRY_AFTER, USER_AGENT};
use reqwest::{Response, redirect};
use serde_json::{Value, json};
use stormhook_sandbox::Sandbox;

use super::{call, get, http, reaches, start};

async fn set(sandbox: &Sandbox, knobs: &Value) {
    let (status, error) = call(sandbox, "PUT", "sandbox/knobs", knobs.clone()).await;
    assert_eq!(status, 200, "{error}");
}

/// The answer to a GET as it comes, with all its headers.
async fn answer(sandbox: &Sandbox, path: &str) -> Response {
    let url = format!("http://{}/{path}", sandbox.address());
    let http = reqwest::Client::builder().redirect(redirect::Policy::none());
    http.build().unwrap().get(url).send().await.unwrap()
}

#[tokio::test]
async fn knobs_out_of_range_and_unknown_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    for knobs in [
        json!({"errorRate": 1.5}),
        json!({"latency": 5}),
        json!({"eventMs": 0}),
        json!({"forwardStatus": 99}),
        json!({"slowServices": {"api": 600_001}}),
        json!({"answerLateMs": 600_001}),
        json!({"evacuationsEnd": "active"}),
        json!({"fault": {}}),
        json!({"fault": {"status": 99}}),
        json!({"fault": {"status": 500, "times": 0}}),
        json!({"fault": {"status": 500, "colour": "red"}}),
        json!({"fault": {"status": 200, "paddedToBytes": 1_000_000_000}}),
        json!([]),
    ] {
        let (status, _) = call(&sandbox, "PUT", "sandbox/knobs", knobs.clone()).await;
        assert_eq!(status, 400, "{knobs}");
    }
    set(&sandbox, &json!({"outage": true})).await;
    let (status, _) = call(&sandbox, "GET", "v2-beta/services", Value::Null).await;
    assert_eq!(status, 503);
    let (status, _) = call(&sandbox, "GET", "v2-beta/subscribe", Value::Null).await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn a_fault_is_given_to_so_many_calls_and_has_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let fault = json!({"times": 2, "method": "PUT", "status": 405, "message": "not now"});
    set(&sandbox, &json!({"fault": fault})).await;
    let service = "v2-beta/services/1s5";
    assert_eq!(get(&sandbox, service).await["scale"], 1, "only PUT fails");
    for expected in [405, 405, 200] {
        let left = get(&sandbox, "sandbox/knobs").await["fault"]["times"].clone();
        let (status, body) = call(&sandbox, "PUT", service, json!({"scale": 7})).await;
        assert_eq!(status, expected, "{left} left: {body}");
        if status == 405 {
            assert_eq!(body["code"], "MethodNotAllowed");
            assert_eq!(body["message"], "not now");
            assert_eq!(get(&sandbox, service).await["scale"], 1, "without effect");
        }
    }
    let calls = get(&sandbox, "sandbox/calls").await;
    assert_eq!(calls["data"][1]["status"], 405, "recorded all the same");
    assert_eq!(calls["data"][1]["effect"], Value::Null);
}

#[tokio::test]
async fn a_fault_is_as_it_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let redirect = json!({"status": 307, "location": "http://127.0.0.1:1/", "retryAfter": "5"});
    set(&sandbox, &json!({"fault": redirect})).await;
    let found = answer(&sandbox, "v2-beta/services").await;
    assert_eq!(found.status(), 307);
    assert_eq!(found.headers()[LOCATION], "http://127.0.0.1:1/");
    assert_eq!(found.headers()[RETRY_AFTER], "5");
    for (body, text) in [
        (json!("<p>Hello"), "<p>Hello  "),
        (json!({"a": 1}), "{\"a\":1}   "),
    ] {
        let fault = json!({"status": 200, "body": body, "paddedToBytes": 10});
        set(&sandbox, &json!({"fault": fault})).await;
        let found = answer(&sandbox, "v2-beta/services").await;
        assert_eq!(found.text().await.unwrap(), text);
    }
    let found = answer(&sandbox, "v2-beta/services").await;
    assert_eq!(found.status(), 200, "each was given once");
}

/// As Cattle's `RequestUtils.isBrowser` has it.
#[tokio::test]
async fn browsers_are_shown_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let url = format!("{}/services/1s5", sandbox.url());
    let is_page = async |agent: &str, accept: &str| {
        let request = http().get(&url).header(USER_AGENT, agent);
        let answer = request.header(ACCEPT, accept).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap().starts_with("<!DOCTYPE html>")
    };
    let everything = "text/html,*/*;q=0.8";
    for (agent, accept, expected) in [
        ("Mozilla/5.0", everything, true),
        ("Mozilla/5.0", "application/json", false),
        ("curl/8.0", "*/*", false),
    ] {
        assert_eq!(is_page(agent, accept).await, expected, "{agent} {accept}");
    }
    set(&sandbox, &json!({"pagesForAll": true})).await;
    assert!(is_page("curl/8.0", "*/*").await);
    assert!(!is_page("curl/8.0", "application/json").await);
}

#[tokio::test]
async fn an_evacuation_ends_where_the_knob_says() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let states = ["removed", "purged", "inactive", "deactivating"];
    for (host, end) in ["1h1", "1h2", "1h3", "1h4"].into_iter().zip(states) {
        set(&sandbox, &json!({"evacuationsEnd": end})).await;
        let event = json!({"eventType": "host.evacuate", "hostId": host, "deleteHost": true});
        let (status, _) = call(&sandbox, "POST", "v2-beta/externalHostEvents", event).await;
        assert_eq!(status, 201);
        reaches(&sandbox, &format!("v2-beta/hosts/{host}"), end).await;
    }
    let listed = get(&sandbox, "v2-beta/hosts").await;
    let left = listed["data"].as_array().unwrap().iter();
    let left: Vec<_> = left.map(|host| host["state"].clone()).collect();
    assert_eq!(left, ["inactive", "deactivating"]);
}

#[tokio::test]
async fn a_host_that_was_added_by_hand_is_there_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let new = json!({"name": "rack-8", "labels": {"role": "db"}});
    let (status, made) = call(&sandbox, "POST", "sandbox/hosts", new).await;
    assert_eq!((status, &made["id"]), (200, &json!("1h5")));
    let host = get(&sandbox, "v2-beta/hosts/1h5").await;
    assert_eq!(host["state"], "active");
    assert_eq!(host["driver"], Value::Null);
    assert_eq!(host["labels"], json!({"role": "db"}));
}

#[tokio::test]
async fn later_pages_begin_too_early() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    set(&sandbox, &json!({"pageShift": 2})).await;
    let ids = async |query: &str| {
        let page = get(&sandbox, &format!("v2-beta/hosts?{query}")).await;
        let hosts = page["data"].as_array().unwrap().iter();
        let ids: Vec<_> = hosts.map(|host| host["id"].clone()).collect();
        (ids, page["pagination"]["next"].clone())
    };
    let (first, next) = ids("limit=3").await;
    assert_eq!(first, ["1h1", "1h2", "1h3"]);
    assert!(next.as_str().unwrap().ends_with("marker=m3"), "{next}");
    let (second, next) = ids("limit=3&marker=m3").await;
    assert_eq!(second, ["1h2", "1h3", "1h4"]);
    assert_eq!(next, Value::Null);
    let (second, _) = ids("limit=1&marker=m1").await;
    assert_eq!(second, ["1h2"], "it leads on all the same");
}

#[tokio::test]
async fn below_its_path_the_api_is_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let status = async |method: &str, path: &str| {
        let (status, _) = call(&sandbox, method, path, Value::Null).await;
        status
    };
    for (prefixed, root, below) in [(false, 200, 404), (true, 404, 200)] {
        set(&sandbox, &json!({"prefixed": prefixed})).await;
        for (method, path) in [
            ("GET", "v2-beta"),
            ("GET", "v2-beta/projects/1a5/hosts"),
            ("POST", "r/projects/1a5/api:80/x"),
        ] {
            assert_eq!(status(method, path).await, root, "{prefixed} {path}");
            let path = format!("rancher/{path}");
            assert_eq!(status(method, &path).await, below, "{prefixed} {path}");
        }
    }
    let service = get(&sandbox, "rancher/v2-beta/services/1s5").await;
    let own = service["links"]["self"].as_str().unwrap();
    assert!(own.contains("/rancher/v2-beta/"), "{own}");
}

#[tokio::test]
async fn a_slow_answer_comes_after_its_effect() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(folder.path()).await;
    let slow = json!({"answerLateMs": 600_000, "slowServices": {"api": 600_000}});
    set(&sandbox, &slow).await;
    for (method, path, total) in [
        ("PUT", "v2-beta/services/1s5", 1),
        ("POST", "r/projects/1a5/api:80/x", 2),
    ] {
        let mut slow = std::pin::pin!(call(&sandbox, method, path, json!({"scale": 3})));
        tokio::select! {
            (status, _) = &mut slow => panic!("{path} was answered with {status}"),
            () = recorded(&sandbox, total) => {}
        }
        let answered = tokio::time::timeout(Duration::from_millis(50), slow).await;
        assert!(answered.is_err(), "{path}: {answered:?}");
    }
    let (status, _) = call(&sandbox, "POST", "r/projects/1a5/web:80/x", Value::Null).await;
    assert_eq!(status, 200, "another service is quick");
    assert_eq!(get(&sandbox, "v2-beta/services/1s5").await["scale"], 3);
}

/// Returns when so many calls are recorded.
async fn recorded(sandbox: &Sandbox, total: u64) {
    while get(sandbox, "sandbox/calls").await["total"] != total {
        tokio::task::yield_now().await;
    }
}
