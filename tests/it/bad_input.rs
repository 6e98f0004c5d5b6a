//! Wrong input gets the status, the code and the field that the interface promises, and changes nothing.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up, read};

fn receiver(change: &Value) -> Value {
    let mut body = json!({
        "name": "r", "driver": "scaleService",
        "scaleServiceConfig": {"serviceId": "1s5", "action": "up", "amount": 1, "min": 1, "max": 4},
    });
    for (pointer, value) in change.as_object().into_iter().flatten() {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    body
}

#[tokio::test]
async fn receivers_that_cannot_be_are_refused_with_their_field() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.scaling("taken", "1s5", "up", (1, 4), json!({})).await;
    for (change, status, code, field) in [
        (
            json!({"/scaleServiceConfig/amount": 1.5}),
            400,
            "InvalidFormat",
            "amount",
        ),
        (
            json!({"/scaleServiceConfig/amount": 0}),
            400,
            "MinLimitExceeded",
            "amount",
        ),
        (
            json!({"/scaleServiceConfig/min": null}),
            400,
            "MissingRequired",
            "min",
        ),
        (
            json!({"/scaleServiceConfig/min": 4}),
            400,
            "InvalidOption",
            "min",
        ),
        (json!({"/name": null}), 400, "MissingRequired", "name"),
        (
            json!({"/driver": "scaleMoon"}),
            400,
            "InvalidOption",
            "driver",
        ),
        (
            json!({"/cooldownSecond": 5}),
            400,
            "InvalidOption",
            "cooldownSecond",
        ),
        (
            json!({"/redact": ["/status"]}),
            400,
            "InvalidOption",
            "redact",
        ),
        (json!({"/redact": ["/a~2"]}), 400, "InvalidFormat", "redact"),
        (json!({"/name": "taken"}), 409, "NotUnique", "name"),
        (
            json!({"/scaleServiceConfig/serviceId": "1s999"}),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            json!({"/scaleServiceConfig/serviceId": "1s9"}),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            json!({"/scaleServiceConfig/serviceId": "1s10"}),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            json!({"/scaleServiceConfig/serviceId": "1s12"}),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            json!({"/scaleServiceConfig/serviceId": "1s13"}),
            422,
            "InvalidReference",
            "serviceId",
        ),
    ] {
        let (found, error) = up
            .api(Method::POST, "receivers", Some(&receiver(&change)))
            .await;
        assert_eq!(found.as_u16(), status, "{change}: {error}");
        assert_eq!(error["type"], "error");
        assert_eq!(error["status"], status);
        assert_eq!(
            (error["code"].as_str(), error["fieldName"].as_str()),
            (Some(code), Some(field)),
            "{error}"
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| message.len() > 10),
            "{error}"
        );
    }
    let (_, list) = up.api(Method::GET, "receivers", None).await;
    assert_eq!(
        list["data"].as_array().unwrap().len(),
        2,
        "the demo's and the first"
    );

    let post = |content_type: Option<&'static str>, body: &'static str| {
        let request = up
            .admin_request(Method::POST, "/v1-webhooks/receivers?projectId=1a5")
            .body(body);
        read(match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        })
    };
    assert_eq!(
        post(Some("application/json"), "{").await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(post(None, "{}").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        post(Some("text/plain"), "{}").await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let change = json!({"scaleServiceConfig": {"serviceId": "1s6"}});
    let taken = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "taken")
        .unwrap();
    let (status, error) = up
        .api(
            Method::PUT,
            &format!("receivers/{}", taken["id"].as_str().unwrap()),
            Some(&change),
        )
        .await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("serviceId"))
    );
    up.stop().await;
}

#[tokio::test]
async fn trigger_urls_that_are_not_valid_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .scaling(
            "up",
            "1s5",
            "up",
            (1, 4),
            json!({"sign": {"secret": "0123456789abcdef"}}),
        )
        .await;
    let garbled = hook.path.replace("key=A", "key=B");
    let other_project = hook.path.replace("1a5", "1a6");
    for (path, status) in [
        (garbled.as_str(), 403),
        (other_project.as_str(), 403),
        ("/v1-webhooks/endpoint?key=garbage&projectId=1a5", 403),
        ("/v1-webhooks/endpoint?projectId=1a5", 400),
        ("/v1-webhooks/endpoint?token=x&projectId=1a5", 410),
        (hook.path.split('&').next().unwrap(), 400),
        (hook.path.as_str(), 401),
    ] {
        let (found, error) = read(up.request(Method::POST, path)).await;
        assert_eq!(found.as_u16(), status, "{path}: {error}");
        assert_eq!(error["type"], "error");
    }
    assert_eq!(
        read(up.request(Method::GET, &hook.path)).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let too_large = "x".repeat(1024 * 1024 + 1);
    let (status, error) = up.post(&hook, &too_large, &[]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{error}");
    let signature = [("x-hub-signature-256", "sha256=00")];
    assert_eq!(
        up.post(&hook, "", &signature).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert!(up.history("").await.is_empty(), "no trigger came of it");
    up.stop().await;
}

#[tokio::test]
async fn credentials_roles_and_projects_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stormhook.toml");
    // SHA-256 of "secret".
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let key = |name: &str, role: &str, project: &str| {
        format!(
            "[[api_keys]]\naccess_key = \"{name}\"\nsecret_sha256 = \"{digest}\"\nrole = \"{role}\"\nprojects = [\"{project}\"]\n"
        )
    };
    let text = [
        key("member", "member", "1a5"),
        key("reader", "readonly", "1a5"),
        key("other", "admin", "1a9"),
    ];
    std::fs::write(&config, text.concat()).unwrap();
    let data = folder.path().join("data");
    let up = Up::start_with(&data, &["--config", config.to_str().unwrap()]).await;
    let call = |user: &'static str, secret: &'static str, method: Method, path: &'static str| {
        let body = receiver(&json!({}));
        let request = up
            .request(method.clone(), path)
            .basic_auth(user, Some(secret));
        read(if method == Method::POST {
            request.json(&body)
        } else {
            request
        })
    };
    const RECEIVERS: &str = "/v1-webhooks/receivers?projectId=1a5";
    let (status, created) = call("member", "secret", Method::POST, RECEIVERS).await;
    assert_eq!(status, StatusCode::OK, "{created}");
    Hook::of(&created);
    assert_eq!(
        call("reader", "secret", Method::POST, RECEIVERS).await.0,
        StatusCode::FORBIDDEN
    );
    let (status, list) = call("reader", "secret", Method::GET, RECEIVERS).await;
    assert_eq!(
        (status, &list["data"][0]["url"]),
        (StatusCode::OK, &Value::Null)
    );
    assert_eq!(
        call("other", "secret", Method::GET, RECEIVERS).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        call("member", "wrong", Method::GET, RECEIVERS).await.0,
        StatusCode::UNAUTHORIZED
    );
    let (status, error) = call("member", "secret", Method::GET, "/v1-webhooks/receivers").await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("projectId"))
    );
    assert_eq!(
        read(up.request(Method::GET, RECEIVERS)).await.0,
        StatusCode::UNAUTHORIZED
    );
    up.stop().await;
}

#[tokio::test]
async fn questions_that_make_no_sense_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (path, status, field) in [
        ("triggers?limit=0", 400, Some("limit")),
        ("triggers?limit=1001", 400, Some("limit")),
        ("triggers?status=done", 400, Some("status")),
        ("triggers?since=yesterday", 400, Some("since")),
        (
            "triggers?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
            400,
            Some("until"),
        ),
        ("triggers?marker=x", 400, Some("marker")),
        ("triggers?colour=red", 400, Some("colour")),
        ("triggers/not-an-id", 404, None),
        ("receivers/not-an-id", 404, None),
        ("targets?kind=moon", 400, Some("kind")),
        ("nowhere", 404, None),
    ] {
        let (found, error) = up.api(Method::GET, path, None).await;
        assert_eq!(found.as_u16(), status, "{path}: {error}");
        assert_eq!(error["fieldName"].as_str(), field, "{path}");
    }
    let (status, _) = up.api(Method::DELETE, "triggers", None).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    up.stop().await;
}

#[tokio::test]
async fn actions_are_taken_literally() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s6", "up", (1, 4), json!({})).await;
    let path = format!("receivers/{}", hook.receiver);
    for (action, options, field) in [
        ("rotate", json!({"overlap": 60}), "overlap"),
        ("rotate", json!({"overlapSeconds": -1}), "overlapSeconds"),
        (
            "rotate",
            json!({"overlapSeconds": 604_801}),
            "overlapSeconds",
        ),
        ("disable", json!({"seconds": 0}), "seconds"),
        ("disable", json!({"seconds": 1.5}), "seconds"),
        ("disable", json!({"until": "2020-01-01T00:00:00Z"}), "until"),
        ("disable", json!({"until": "tomorrow"}), "until"),
        ("disable", json!({"until": 5}), "until"),
        (
            "disable",
            json!({"seconds": 5, "until": "2099-01-01T00:00:00Z"}),
            "until",
        ),
        ("disable", json!([]), "body"),
        ("enable", json!({"seconds": 5}), "seconds"),
        ("paint", json!({}), "action"),
    ] {
        let (status, error) = up
            .api(
                Method::POST,
                &format!("{path}?action={action}"),
                Some(&options),
            )
            .await;
        assert_eq!(
            status,
            StatusCode::BAD_REQUEST,
            "{action} {options}: {error}"
        );
        assert_eq!(error["fieldName"], field, "{action} {options}: {error}");
    }
    let url = format!("/v1-webhooks/{path}?action=disable&projectId=1a5");
    let form = up
        .admin_request(Method::POST, &url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("seconds=5");
    assert_eq!(read(form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let other_driver = json!({"driver": "scaleHost"});
    let (status, error) = up.api(Method::PUT, &path, Some(&other_driver)).await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("driver"))
    );
    let empty = "/v1-webhooks/receivers?projectId=";
    let (status, error) = read(up.admin_request(Method::GET, empty)).await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("projectId"))
    );
    let (_, shown) = up.api(Method::GET, &path, None).await;
    assert_eq!(
        (&shown["revision"], &shown["state"]),
        (&json!(1), &json!("active")),
        "nothing changed"
    );
    up.stop().await;
}
