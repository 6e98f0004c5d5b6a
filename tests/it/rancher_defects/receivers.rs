//! Of receivers, and of requests that are passed on.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Up, read};
use stormhook_tests::wait;

/// 7891: the form sent deleteOption for both directions.
#[tokio::test]
async fn what_belongs_to_the_other_direction_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let receiver = json!({
        "name": "more", "driver": "scaleHost",
        "scaleHostConfig": {
            "hostSelector": {"role": "web"}, "action": "up", "amount": 1, "min": 1, "max": 9,
            "deleteOption": "mostRecent",
        },
    });
    let (status, error) = up.api(Method::POST, "receivers", Some(&receiver)).await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("deleteOption"))
    );
    up.stop().await;
}

/// 10453: whoever may only read could create, change and delete receivers, and saw their URLs.
#[tokio::test]
async fn whoever_may_only_read_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stormhook.toml");
    // SHA-256 of "secret".
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let key = |name: &str, role: &str| {
        format!(
            "[[api_keys]]\naccess_key = \"{name}\"\nsecret_sha256 = \"{digest}\"\nrole = \"{role}\"\nprojects = [\"1a5\"]\n"
        )
    };
    let keys = [key("member", "member"), key("reader", "readonly")];
    std::fs::write(&config, keys.concat()).unwrap();
    let data = folder.path().join("data");
    let up = Up::start_with(&data, &["--config", config.to_str().unwrap()]).await;
    let call = async |user: &str, method: Method, path: &str| {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("/v1-webhooks/{path}{separator}projectId=1a5");
        let request = up.request(method.clone(), &path);
        let request = request.basic_auth(user, Some("secret"));
        let request = match method {
            Method::GET => request,
            _ => request.json(&json!({"name": "changed"})),
        };
        read(request).await
    };
    let (_, list) = call("member", Method::GET, "receivers").await;
    let before = &list["data"][0];
    let path = format!("receivers/{}", before["id"].as_str().unwrap());
    for (method, path) in [
        (Method::POST, "receivers".to_owned()),
        (Method::PUT, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}?action=rotate")),
        (Method::POST, format!("{path}?action=disable")),
    ] {
        let (status, error) = call("reader", method.clone(), &path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {error}");
    }
    let (status, shown) = call("reader", Method::GET, &path).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    assert_eq!(shown["url"], Value::Null);
    let (_, after) = call("member", Method::GET, &path).await;
    for field in ["name", "state", "revision", "url"] {
        assert_eq!(after[field], before[field], "{field} is as it was");
    }
    up.stop().await;
}

/// 7996, 8320: a clone of whatever receiver became one that scales a service.
#[tokio::test]
async fn a_clone_is_of_the_same_kind() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (driver, config) in [
        (
            "scaleService",
            json!({"serviceId": "1s6", "action": "down", "amount": 2, "min": 1, "max": 9}),
        ),
        (
            "scaleHost",
            json!({
                "hostSelector": {"role": "web"}, "action": "down", "amount": 1, "min": 1, "max": 9,
                "deleteOption": "mostRecent",
            }),
        ),
        (
            "serviceUpgrade",
            json!({"serviceSelector": {"release": "shop"}, "tag": "v2", "payloadFormat": "azure"}),
        ),
        (
            "forwardPost",
            json!({"projectId": "1a5", "serviceName": "api", "port": "8080", "path": "/x"}),
        ),
    ] {
        let field = format!("{driver}Config");
        let mut receiver = json!({"name": driver, "driver": driver, "cooldownSeconds": 7});
        receiver[&field] = config;
        let hook = up.create(&receiver).await;
        let path = format!("receivers/{}", hook.receiver);
        let (_, original) = up.api(Method::GET, &path, None).await;
        // The form is filled with what is shown, and gets another name.
        let mut form = original.clone();
        form["name"] = json!(format!("{driver}-copy"));
        let (status, clone) = up.api(Method::POST, "receivers", Some(&form)).await;
        assert_eq!(status, StatusCode::OK, "{clone}");
        for same in ["driver", "cooldownSeconds", &field] {
            assert_eq!(clone[same], original[same], "{driver}: {same}");
        }
        for own in ["id", "url"] {
            assert_ne!(clone[own], original[own], "{driver}: {own}");
        }
    }
    up.stop().await;
}

/// 9959: requests are passed on to a service of one's own. One that takes its time keeps nobody else waiting.
#[tokio::test]
async fn a_slow_service_keeps_nobody_else_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"slowServices": {"api": 4_000}}))
        .await;
    let passing_on = up
        .create(&json!({
            "name": "pass-on", "driver": "forwardPost",
            "forwardPostConfig": {"projectId": "1a5", "serviceName": "api", "port": "80", "path": "/"},
        }))
        .await;
    let scaling = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    up.post(&passing_on, "build it", &[]).await;
    wait::until("the request to arrive", || async {
        let calls = up.calls().await;
        if calls.len() == 1 {
            Ok(())
        } else {
            Err(format!("{calls:?}"))
        }
    })
    .await;
    let scaled = up.outcome(&scaling, "").await;
    assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
    let waiting = up.history("&status=pending").await;
    assert_eq!(waiting.len(), 1, "the service has not answered yet");

    up.settled().await;
    let settled = up.history("").await;
    let is_passed_on = |trigger: &&Value| trigger["id"] == waiting[0]["id"];
    let passed = settled.iter().find(is_passed_on).unwrap();
    assert_eq!(passed["outcome"]["code"], "forwarded", "{passed}");
    let calls = up.calls().await;
    assert_eq!(calls.len(), 2, "it arrived once: {calls:?}");
    assert_eq!(calls[0]["body"], "build it");
    up.stop().await;
}
