//! Of services that are scaled.

use reqwest::{Method, StatusCode};
use serde_json::json;
use stormhook_tests::up::Up;

use super::{service, state_of};

/// 7210, 7211: a service went below one container, to none, or to a negative scale.
#[tokio::test]
async fn the_scale_never_goes_below_one() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let down = up.scaling("down", "1s6", "down", (1, 9), json!({})).await;
    let clamped = json!({"onLimit": "clamp"});
    let clamped = up.scaling("clamped", "1s6", "down", (1, 9), clamped).await;
    for _ in 0..5 {
        up.fire(&down).await.unwrap();
        up.fire(&clamped).await.unwrap();
    }
    up.settled().await;
    assert_eq!(up.scale("1s6").await, 1);
    let goals: Vec<_> = up
        .calls()
        .await
        .iter()
        .map(|call| call["body"]["scale"].clone())
        .collect();
    assert_eq!(goals, [json!(1)], "one write, and none below one");
    let (status, error) = up
        .api(
            Method::POST,
            "receivers",
            Some(&json!({
                "name": "to-none", "driver": "scaleService",
                "scaleServiceConfig": {"serviceId": "1s6", "action": "down", "amount": 1, "min": 0, "max": 9},
            })),
        )
        .await;
    assert_eq!(
        (status, &error["fieldName"]),
        (StatusCode::BAD_REQUEST, &json!("min"))
    );
    up.stop().await;
}

/// 7629 global, 7636 no image, 7212 alias and external, and those that their own policy scales: refused when the
/// receiver is made, and when the service becomes one later.
#[tokio::test]
async fn services_that_cannot_be_scaled_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (id, why) in [
        ("1s9", "global"),
        ("1s13", "no image"),
        ("1s10", "dnsService"),
        ("1s11", "externalService"),
        ("1s12", "scale policy"),
    ] {
        let receiver = json!({
            "name": id, "driver": "scaleService",
            "scaleServiceConfig": {"serviceId": id, "action": "up", "amount": 1, "min": 1, "max": 9},
        });
        let (status, error) = up.api(Method::POST, "receivers", Some(&receiver)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{error}");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let policy = json!({"scalePolicy": {"min": 1, "max": 3}});
    up.cattle(Method::PUT, "services/1s6", &policy).await;
    let rejected = up.outcome(&hook, "").await;
    assert_eq!(rejected["outcome"]["code"], "unsupported", "{rejected}");
    assert_eq!(up.scale("1s6").await, 2);
    up.stop().await;
}

/// A hook of a service that was deleted went on, and failed in another way each time.
#[tokio::test]
async fn a_deleted_service_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    up.cattle(Method::DELETE, "services/1s6", &json!({})).await;
    for _ in 0..2 {
        let rejected = up.outcome(&hook, "").await;
        assert_eq!(rejected["outcome"]["status"], "rejected", "{rejected}");
        assert_eq!(rejected["outcome"]["code"], "serviceRemoved");
    }
    up.stop().await;
}

/// 7103: an inactive service has a scale, which it has when it is started.
#[tokio::test]
async fn an_inactive_service_keeps_its_new_scale() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.cattle(Method::POST, "services/1s6?action=deactivate", &json!({}))
        .await;
    state_of(&up, "1s6", "inactive").await;
    let hook = up.scaling("up", "1s6", "up", (1, 9), json!({})).await;
    let scaled = up.outcome(&hook, "").await;
    assert_eq!(scaled["outcome"]["to"], 3, "{scaled}");
    assert_eq!(service(&up, "1s6").await["state"], "inactive");
    up.cattle(Method::POST, "services/1s6?action=activate", &json!({}))
        .await;
    state_of(&up, "1s6", "active").await;
    assert_eq!(service(&up, "1s6").await["currentScale"], 3);
    up.stop().await;
}

/// A write that was answered with 409 may be stored all the same: whoever adds to what he finds adds twice.
#[tokio::test]
async fn a_conflict_that_was_stored_is_not_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .scaling("up", "1s6", "up", (1, 9), json!({"deadlineSeconds": 60}))
        .await;
    up.tweak("knobs", &json!({"conflictRate": 1.0})).await;
    let scaled = up.outcome(&hook, "").await;
    assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
    assert_eq!(up.scale("1s6").await, 3);
    assert_eq!(up.calls().await.len(), 1);

    state_of(&up, "1s6", "active").await;
    // In this state every write would be stored and refused: it is waited out.
    up.tweak("knobs", &json!({"conflictRate": 0.0, "settleMs": 300}))
        .await;
    up.cattle(Method::POST, "services/1s6?action=restart", &json!({}))
        .await;
    let scaled = up.outcome(&hook, "").await;
    assert_eq!(scaled["outcome"]["to"], 4, "{scaled}");
    let statuses: Vec<_> = up
        .calls()
        .await
        .iter()
        .map(|call| call["status"].clone())
        .collect();
    assert_eq!(
        statuses,
        [409, 202, 200],
        "the conflict, the restart, one write"
    );
    up.stop().await;
}
