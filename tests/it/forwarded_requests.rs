//! Requests are passed on to a service through the platform's proxy.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up};

fn receiver(project: &str, service: &str) -> Value {
    json!({
        "name": format!("pass-on-to-{service}"), "driver": "forwardPost",
        "forwardPostConfig": {"projectId": project, "serviceName": service, "port": "8080", "path": "/build/start"},
    })
}

#[tokio::test]
async fn a_request_arrives_with_body_content_type_and_query() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.create(&receiver("1a5", "api")).await;
    let with_query = Hook {
        path: format!("{}&branch=main%20line&dry&sum=1+1", hook.path),
        ..hook.clone()
    };
    let headers = [("prefer", "wait=60"), ("content-type", "text/x-build")];
    let (status, passed) = up.post(&with_query, "build it", &headers).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(passed["outcome"]["code"], "forwarded", "{passed}");
    assert_eq!(passed["group"], "forward/1a5/api:8080");
    let calls = up.calls().await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["path"], "/r/projects/1a5/api:8080/build/start");
    assert_eq!(calls[0]["body"], "build it");
    assert_eq!(calls[0]["contentType"], "text/x-build");
    assert_eq!(calls[0]["query"], "branch=main%20line&dry&sum=1+1");
    up.stop().await;
}

/// Requests of a group are passed on one after the other. Each is tried, however long those before it took.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waited_for_others_beyond_its_deadline_is_passed_on() {
    const REQUESTS: usize = 5;
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"slowServices": {"api": 600}}))
        .await;
    let mut hasty = receiver("1a5", "api");
    hasty["deadlineSeconds"] = json!(1);
    let hook = up.create(&hasty).await;
    for _ in 0..REQUESTS {
        up.fire(&hook).await.unwrap();
    }
    up.settled().await;
    let history = up.history("").await;
    for passed in &history {
        assert_eq!(passed["outcome"]["code"], "forwarded", "{passed}");
    }
    assert_eq!(
        (history.len(), up.calls().await.len()),
        (REQUESTS, REQUESTS)
    );
    up.stop().await;
}

/// What cannot be found in a body to be masked is not kept, and not passed on either.
#[tokio::test]
async fn a_body_that_cannot_be_masked_in_part_is_masked_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let mut masking = receiver("1a5", "api");
    masking["redact"] = json!(["/token"]);
    let hook = up.create(&masking).await;
    for (body, kept) in [
        (r#"{"token":"secret"}"#, r#"{"token":"***"}"#),
        ("token=secret&a=1", "***"),
        (r#"{"token":"secret""#, "***"),
    ] {
        let passed = up.outcome(&hook, body).await;
        assert_eq!(passed["outcome"]["code"], "forwarded", "{passed}");
        let path = format!("triggers/{}", passed["id"].as_str().unwrap());
        let (_, detail) = up.api(Method::GET, &path, None).await;
        assert_eq!(detail["body"], kept, "{detail}");
        let calls = up.calls().await;
        assert_eq!(calls[calls.len() - 1]["body"], kept, "{calls:?}");
    }
    up.stop().await;
}

#[tokio::test]
async fn where_requests_go_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.create(&receiver("1a5", "api")).await;
    let path = format!("receivers/{}", hook.receiver);
    for (field, value) in [
        ("projectId", "1a6"),
        ("serviceName", "web"),
        ("port", "8081"),
    ] {
        let mut config = json!({});
        config[field] = json!(value);
        let change = json!({"forwardPostConfig": config});
        let (status, error) = up.api(Method::PUT, &path, Some(&change)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}: {error}");
        assert_eq!(error["fieldName"], field, "{error}");
    }
    up.stop().await;
}

#[tokio::test]
async fn the_services_answer_decides() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.create(&receiver("1a5", "api")).await;
    up.tweak("knobs", &json!({"forwardStatus": 422})).await;
    let refused = up.outcome(&hook, "").await;
    assert_eq!(refused["outcome"]["status"], "rejected", "{refused}");
    assert_eq!(refused["outcome"]["code"], "targetRefused");
    assert_eq!(refused["outcome"]["attempts"], 1);

    up.tweak("knobs", &json!({"forwardStatus": 503})).await;
    let (_, accepted) = up.post(&hook, "again", &[]).await;
    stormhook_tests::wait::until("it is tried again", || async {
        let calls = up.calls().await.len();
        if calls >= 3 {
            Ok(())
        } else {
            Err(format!("{calls} calls"))
        }
    })
    .await;
    up.tweak("knobs", &json!({"forwardStatus": 200})).await;
    up.settled().await;
    let path = format!("triggers/{}", accepted["id"].as_str().unwrap());
    let (_, passed) = up.api(Method::GET, &path, None).await;
    assert_eq!(passed["outcome"]["code"], "forwarded", "{passed}");
    assert!(
        passed["outcome"]["attempts"].as_u64() >= Some(3),
        "{passed}"
    );

    let (status, error) = up
        .api(Method::POST, "receivers", Some(&receiver("1a6", "web")))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{error}");
    assert_eq!(error["fieldName"], "projectId");
    up.stop().await;
}
