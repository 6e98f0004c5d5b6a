//! What programs rely on that were made for Rancher 1.x: its shapes, its schemas, and the trigger URLs that it gave out.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up, run};

#[tokio::test]
async fn schemas_tell_fields_with_their_defaults_and_limits() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let (status, schemas) = up.api(Method::GET, "schemas", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(schemas["type"], "collection");
    assert_eq!(schemas["resourceType"], "schema");
    let ids: Vec<_> = schemas["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|schema| schema["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "receiver",
            "scaleService",
            "scaleHost",
            "serviceUpgrade",
            "forwardPost",
            "trigger"
        ]
    );
    let (_, receiver) = up.api(Method::GET, "schemas/receiver", None).await;
    let fields = &receiver["resourceFields"];
    assert_eq!(fields["scaleServiceConfig"]["type"], "scaleService");
    assert_eq!(fields["driver"]["update"], false);
    let (_, scaling) = up.api(Method::GET, "schemas/scaleService/", None).await;
    let amount = &scaling["resourceFields"]["amount"];
    assert_eq!((&amount["min"], &amount["default"]), (&json!(1), &json!(1)));
    let (status, _) = up.api(Method::GET, "schemas/scaleMoon", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let answer = up
        .admin_request(Method::GET, "/v1-webhooks/receivers/?projectId=1a5")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "a trailing slash is fine");
    let header = answer.headers()["x-api-schemas"].to_str().unwrap();
    assert_eq!(
        header,
        format!("{}/v1-webhooks/schemas?projectId=1a5", up.address)
    );
    let schemas = up
        .admin_request(Method::GET, header.strip_prefix(&up.address).unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(schemas.status(), StatusCode::OK, "the address leads there");
    up.stop().await;
}

/// A receiver of each kind, as Rancher's clients send it, comes back with the same configuration.
#[tokio::test]
async fn every_kind_keeps_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (driver, config) in [
        (
            "scaleService",
            json!({"serviceId": "1s5", "action": "down", "amount": 2, "min": 1, "max": 9}),
        ),
        (
            "scaleHost",
            json!({
                "hostSelector": {"Role": "web", "zone": ""}, "action": "down", "amount": 1, "min": 1, "max": 9,
                "deleteOption": "mostRecent",
            }),
        ),
        (
            "serviceUpgrade",
            json!({
                "serviceSelector": {"release": "shop"}, "tag": "latest", "image": null, "payloadFormat": "alicloud",
                "addressType": "registry-vpc", "batchSize": 2, "intervalMillis": 500, "startFirst": true,
                "settleSeconds": 0,
            }),
        ),
        (
            "forwardPost",
            json!({"projectId": "1a5", "serviceName": "api", "port": "8080", "path": "/x"}),
        ),
    ] {
        let field = format!("{driver}Config");
        let mut receiver = json!({"name": driver, "driver": driver});
        receiver[&field] = config.clone();
        let hook = up.create(&receiver).await;
        let (_, shown) = up
            .api(Method::GET, &format!("receivers/{}", hook.receiver), None)
            .await;
        let mut expected = config;
        expected["type"] = json!(driver);
        assert_eq!(shown[&field], expected, "{driver}");

        let mut other_target = json!({});
        let (target, value) = match driver {
            "scaleService" => ("serviceId", json!("1s6")),
            "scaleHost" => ("hostSelector", json!({"role": "db"})),
            "serviceUpgrade" => ("serviceSelector", json!({"release": "other"})),
            _ => ("serviceName", json!("web")),
        };
        other_target[&field][target] = value;
        let path = format!("receivers/{}", hook.receiver);
        let (status, error) = up.api(Method::PUT, &path, Some(&other_target)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{driver}: {error}");
        assert_eq!(error["fieldName"], target);
    }
    up.stop().await;
}

/// Many clients change what they read: none of them has to wait for what comes before, or to ask again.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_receiver_at_once_are_all_made() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let path = format!("receivers/{}", hook.receiver);
    let changing = (0..12).map(|number| {
        let (up, path) = (&up, &path);
        async move {
            match number % 3 {
                0 => {
                    let change = json!({"cooldownSeconds": number});
                    up.api(Method::PUT, path, Some(&change)).await
                }
                1 => {
                    let disable = format!("{path}?action=disable");
                    up.api(Method::POST, &disable, None).await
                }
                _ => {
                    let rotate = format!("{path}?action=rotate");
                    up.api(Method::POST, &rotate, None).await
                }
            }
        }
    });
    let begun = Instant::now();
    for (status, answer) in futures::future::join_all(changing).await {
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(4), "{taken:?}");
    let (_, changed) = up.api(Method::GET, &path, None).await;
    assert_eq!(changed["revision"], 13, "{changed}");
    assert_eq!(changed["state"], "inactive", "{changed}");
    up.stop().await;
}

/// An empty selector matched every service there is.
#[tokio::test]
async fn a_selector_that_would_match_everything_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (driver, config, field) in [
        (
            "scaleHost",
            json!({"hostSelector": {}, "action": "up", "amount": 1, "min": 1, "max": 2}),
            "hostSelector",
        ),
        (
            "serviceUpgrade",
            json!({"serviceSelector": {}, "tag": "v1"}),
            "serviceSelector",
        ),
        ("serviceUpgrade", json!({"tag": "v1"}), "serviceSelector"),
    ] {
        let mut receiver = json!({"name": "all", "driver": driver});
        receiver[format!("{driver}Config")] = config;
        let (status, error) = up.api(Method::POST, "receivers", Some(&receiver)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");
        assert_eq!(error["fieldName"], field);
    }
    up.stop().await;
}

#[tokio::test]
async fn hooks_are_taken_over_and_their_old_urls_work() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let rancher = format!("{}/v2-beta", up.sandbox);
    let import = ["receivers", "import", "--rancher-url", &rancher];

    let dry = [&import[..], &["--dry-run"]].concat();
    let namesake = up
        .scaling("scale-api", "1s6", "up", (1, 9), json!({}))
        .await;
    let (_, told, _) = run(folder.path(), &dry).await;
    assert!(told.contains("another receiver has this name"), "{told}");
    let path = format!("receivers/{}", namesake.receiver);
    up.api(Method::DELETE, &path, None).await;

    let (code, told, error) = run(folder.path(), &dry).await;
    assert_eq!(code, 1, "one of them cannot be taken over");
    assert_eq!(told.matches("would be created").count(), 3, "{told}");
    assert!(told.contains("there is no service 1s99"), "{told}");
    assert!(error.contains("1 of 4 hooks cannot"), "{error}");
    let (_, receivers) = up.api(Method::GET, "receivers", None).await;
    assert_eq!(
        receivers["data"].as_array().unwrap().len(),
        1,
        "only the demo's"
    );

    for (expected, count) in [("created", 3), ("is there already", 3)] {
        let (_, told, _) = run(folder.path(), &import).await;
        assert_eq!(told.matches(expected).count(), count, "{told}");
    }
    let old = Hook {
        path: "/v1-webhooks/endpoint?key=OLDk3yOfAScaleServiceHook000000000000001&projectId=1a5"
            .to_owned(),
        receiver: String::new(),
    };
    let scaled = up.outcome(&old, "").await;
    assert_eq!(scaled["outcome"]["message"], "scaled api from 2 to 3");
    for wrong in [
        old.path.replace("0001&", "0009&"),
        old.path.replace("1a5", "1a6"),
    ] {
        let (status, _) = up
            .post(
                &Hook {
                    path: wrong,
                    ..old.clone()
                },
                "",
                &[],
            )
            .await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }

    // A new URL ends the old one, as with any other.
    let receiver = scaled["receiverId"].as_str().unwrap();
    let rotate = format!("receivers/{receiver}?action=rotate");
    let (_, rotated) = up.api(Method::POST, &rotate, None).await;
    assert_eq!(up.post(&old, "", &[]).await.0, StatusCode::FORBIDDEN);
    assert_eq!(
        up.post(&Hook::of(&rotated), "", &[]).await.0,
        StatusCode::ACCEPTED
    );
    up.stop().await;
}

#[tokio::test]
async fn a_trigger_is_delivered_again_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let first = up.outcome(&hook, "once more").await;
    let path = format!("triggers/{}", first["id"].as_str().unwrap());
    let (status, again) = up
        .api(Method::POST, &format!("{path}?action=redeliver"), None)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{again}");
    up.settled().await;
    let (_, repeated) = up
        .api(
            Method::GET,
            &format!("triggers/{}", again["id"].as_str().unwrap()),
            None,
        )
        .await;
    assert_eq!(repeated["replayOf"], first["id"]);
    assert_eq!(repeated["body"], "once more");
    assert_eq!(repeated["outcome"]["to"], 4);
    let (status, error) = up
        .api(Method::POST, &format!("{path}?action=undo"), None)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");
    assert_eq!(error["code"], "InvalidAction");
    let (status, _) = up
        .api(Method::POST, "triggers/nothing?action=redeliver", None)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        up.calls()
            .await
            .iter()
            .filter(|call| **call != Value::Null)
            .count(),
        2
    );
    up.stop().await;
}
