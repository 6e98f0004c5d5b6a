//! A push upgrades every service that waits for it, each once and one thing at a time. Numbers of issues are those of
//! rancher/rancher, where the original's users told of the defect that a test is about.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::stage::Stage;
use stormhook_tests::up::Up;
use stormhook_tests::wait;
use stormhook_tests::wire::Moment;

pub(crate) fn push(image: &str, tag: &str) -> String {
    json!({"push_data": {"tag": tag, "pusher": "someone"}, "repository": {"repo_name": image, "owner": "example"}})
        .to_string()
}

/// The call's action and its service, in the order of the record.
fn actions(calls: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    calls
        .iter()
        .filter(|call| call["status"].as_u64() < Some(300))
        .map(|call| (text(&call["action"]), text(&call["resource"])))
        .collect()
}

/// The actions that upgrade a service, once.
fn whole_upgrade(id: &str) -> [(String, String); 2] {
    ["upgrade", "finishupgrade"].map(|action| (action.to_owned(), id.to_owned()))
}

async fn image(up: &Up, service: &str) -> Value {
    let service = up
        .cattle(Method::GET, &format!("services/{service}"), &Value::Null)
        .await;
    service["launchConfig"]["imageUuid"].clone()
}

#[tokio::test]
async fn a_push_upgrades_what_waits_for_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let config =
        json!({"image": "example/web", "batchSize": 2, "intervalMillis": 150, "startFirst": true});
    let hook = up
        .upgrading("upgrade-shop", json!({"RELEASE": "shop"}), config)
        .await;

    let upgraded = up.outcome(&hook, &push("example/web", "v2")).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    assert_eq!(upgraded["group"], "upgrade/1a5/release=shop");
    let shop = up.cattle(Method::GET, "services/1s14", &Value::Null).await;
    assert_eq!(shop["state"], "active");
    assert_eq!(shop["launchConfig"]["imageUuid"], "docker:example/web:v2");
    // 8714, 11588: what the client did not know of was lost.
    assert_eq!(
        shop["launchConfig"]["environment"],
        json!({"MODE": "production"})
    );
    // 10468: a sidekick that does not carry the label was changed along.
    assert_eq!(
        shop["secondaryLaunchConfigs"][0]["imageUuid"],
        "docker:example/log:1"
    );
    let calls = up.calls().await;
    assert_eq!(
        actions(&calls),
        [
            ("upgrade".to_owned(), "1s14".to_owned()),
            ("finishupgrade".to_owned(), "1s14".to_owned())
        ]
    );
    // 10524: the configurations of receivers were mixed up.
    let strategy = &calls[0]["body"]["inServiceStrategy"];
    assert_eq!(strategy["batchSize"], 2);
    assert_eq!(strategy["intervalMillis"], 150);
    assert_eq!(strategy["startFirst"], true);

    let path = format!("triggers/{}", upgraded["id"].as_str().unwrap());
    let (_, parent) = up.api(Method::GET, &path, None).await;
    let children = parent["children"].as_array().unwrap();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0]["parentId"], upgraded["id"]);
    assert_eq!(children[0]["group"], "service/1a5/1s14");
    assert_eq!(children[0]["outcome"]["code"], "upgraded");

    for (image, tag, code) in [
        ("example/web", "v3", "tagMismatch"),
        ("somebody/else", "v2", "imageMismatch"),
    ] {
        let skipped = up.outcome(&hook, &push(image, tag)).await;
        assert_eq!(skipped["outcome"]["code"], code, "{skipped}");
    }
    let nobody = up
        .upgrading("nobody", json!({"release": "none"}), json!({}))
        .await;
    let skipped = up.outcome(&nobody, &push("example/web", "v2")).await;
    assert_eq!(
        skipped["outcome"]["code"], "noMatchingServices",
        "{skipped}"
    );
    assert_eq!(up.calls().await.len(), 2, "nothing else was called");
    up.stop().await;
}

/// 7932: sidekicks that wait for an image were not upgraded.
#[tokio::test]
async fn a_sidekick_is_upgraded_and_its_primary_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .upgrading("upgrade-log", json!({"app": "log"}), json!({}))
        .await;
    let upgraded = up.outcome(&hook, &push("example/log", "v2")).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    let shop = up.cattle(Method::GET, "services/1s14", &Value::Null).await;
    assert_eq!(
        shop["launchConfig"]["imageUuid"],
        "docker:example/shop:latest"
    );
    let sidekick = &shop["secondaryLaunchConfigs"][0];
    assert_eq!(sidekick["imageUuid"], "docker:example/log:v2");
    assert_eq!(
        sidekick["labels"]["io.rancher.container.pull_image"],
        "always"
    );
    up.stop().await;
}

/// 10258: services beyond the first hundred were not upgraded.
#[tokio::test]
async fn more_services_than_a_page_shows_are_all_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    // The driver asks for a thousand at a time: those that are waiting stand on the second page.
    up.add_services(&json!({"name": "filler", "count": 1_000}))
        .await;
    let many = json!({"name": "many", "count": 120, "labels": {"release": "many"}});
    let ids = up.add_services(&many).await;
    let hook = up
        .upgrading("many", json!({"release": "many"}), json!({}))
        .await;
    let upgraded = up.outcome(&hook, &push("example/many", "v2")).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    let calls = up.calls().await;
    let upgrades: Vec<_> = actions(&calls)
        .into_iter()
        .filter(|(action, _)| action == "upgrade")
        .collect();
    assert_eq!(upgrades.len(), ids.len(), "each once");
    for service in up.everything("services").await {
        if ids.contains(&service["id"].as_str().unwrap().to_owned()) {
            assert_eq!(
                service["launchConfig"]["imageUuid"],
                "docker:example/many:v2"
            );
            assert_eq!(service["state"], "active");
        }
    }
    up.stop().await;
}

/// One push of an image for several architectures is told up to a dozen times.
#[tokio::test]
async fn pushes_that_come_together_are_one_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .upgrading(
            "settle",
            json!({"release": "shop"}),
            json!({"settleSeconds": 1}),
        )
        .await;
    for _ in 0..12 {
        let (status, _) = up.post(&hook, &push("example/web", "v2"), &[]).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    up.settled().await;
    let triggers = up.history("&group=upgrade/1a5/release%3Dshop").await;
    let codes: Vec<_> = triggers
        .iter()
        .map(|trigger| trigger["outcome"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes[0], "upgraded");
    assert_eq!(codes[1..], ["superseded"; 11]);
    assert_eq!(actions(&up.calls().await).len(), 2);
    up.stop().await;
}

/// 8678: services were stuck in `upgraded`. Whatever state a service is met in, it ends active on the new image.
#[tokio::test]
async fn services_are_upgraded_from_the_state_that_they_are_met_in() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let many = json!({"name": "state", "count": 3, "labels": {"release": "states"}});
    let ids = up.add_services(&many).await;
    let by_hand = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "docker:by/hand:1", "labels": {"release": "states"}}}});
    for (id, actions, state) in [
        (&ids[0], &["upgrade"][..], "upgraded"),
        (&ids[1], &["upgrade", "cancelupgrade"], "canceled-upgrade"),
        (&ids[2], &["deactivate"], "inactive"),
    ] {
        for action in actions {
            let path = format!("services/{id}?action={action}");
            up.cattle(Method::POST, &path, &by_hand).await;
        }
        let path = format!("services/{id}");
        wait::until(state, || async {
            let service = up.cattle(Method::GET, &path, &Value::Null).await;
            if service["state"] == state {
                Ok(())
            } else {
                Err(service["state"].to_string())
            }
        })
        .await;
    }
    let hook = up
        .upgrading("states", json!({"release": "states"}), json!({}))
        .await;
    let upgraded = up.outcome(&hook, &push("example/web", "v2")).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    for id in &ids {
        assert_eq!(image(&up, id).await, "docker:example/web:v2");
    }
    up.stop().await;
}

/// 7879: one transient error stopped the upgrade before it was finished.
#[tokio::test]
async fn errors_on_the_way_do_not_stop_an_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"errorRate": 0.2, "errorAfterRate": 0.2}))
        .await;
    let hook = up
        .upgrading("faulty", json!({"release": "shop"}), json!({}))
        .await;
    let upgraded = up.outcome(&hook, &push("example/web", "v2")).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    up.tweak("knobs", &json!({"errorRate": 0.0, "errorAfterRate": 0.0}))
        .await;
    let shop = up.cattle(Method::GET, "services/1s14", &Value::Null).await;
    assert_eq!(shop["state"], "active");
    assert_eq!(shop["launchConfig"]["imageUuid"], "docker:example/web:v2");
    up.stop().await;
}

#[tokio::test]
async fn an_upgrade_without_end_fails_at_its_deadline_and_says_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    up.tweak("knobs", &json!({"stuckUpgrades": true})).await;
    let hook = up
        .create(&json!({
            "name": "stuck", "driver": "serviceUpgrade", "deadlineSeconds": 1,
            "serviceUpgradeConfig": {"serviceSelector": {"release": "shop"}, "tag": "v2", "settleSeconds": 0},
        }))
        .await;
    let failed = up.outcome(&hook, &push("example/web", "v2")).await;
    assert_eq!(failed["outcome"]["code"], "upgradeFailed", "{failed}");
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("shop is upgrading"), "{message}");
    up.stop().await;
}

#[tokio::test]
async fn a_process_killed_at_any_step_upgrades_each_service_once() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set(folder.path()).await;
    let mut up = stage.start().await;
    for (round, moment) in Moment::all(10).into_iter().enumerate() {
        let name = format!("five{round}");
        let labels = json!({"release": name});
        let five = json!({"name": name, "count": 5, "labels": labels});
        let ids = up.add_services(&five).await;
        let hook = up.upgrading(&name, labels, json!({})).await;
        let before = up.calls().await.len();

        let pushed = push("example/five", "v2");
        let (again, upgraded) = stage.killed_at(moment, up, &hook, &pushed).await;
        up = again;
        assert_eq!(
            upgraded["outcome"]["code"], "upgraded",
            "{moment:?}: {upgraded}"
        );
        let parts = upgraded["children"].as_array().unwrap();
        assert_eq!(parts.len(), 5, "{moment:?}: {upgraded}");
        for part in parts {
            assert_eq!(part["outcome"]["code"], "upgraded", "{moment:?}: {part}");
        }
        let triggers = up.history("").await.len();
        assert_eq!(triggers, 6 * (round + 1), "{moment:?}: each part once");
        let calls = up.calls().await.split_off(before);
        assert_eq!(calls.len(), 10, "{moment:?}: {calls:?}");
        for id in &ids {
            let mut done = actions(&calls);
            done.retain(|(_, service)| service == id);
            assert_eq!(done, whole_upgrade(id), "{moment:?}: each once");
            expect_upgraded(&up, id, "docker:example/five:v2").await;
        }
    }
    up.stop().await;
}

/// "latest" is pushed onto "latest": what runs does not tell whether the upgrade was begun, so whoever goes on makes it.
/// Twice at most, with the same goal.
#[tokio::test]
async fn a_process_killed_at_any_step_upgrades_a_service_to_the_tag_that_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set(folder.path()).await;
    let mut up = stage.start().await;
    for (round, moment) in Moment::all(2).into_iter().enumerate() {
        let name = format!("same{round}");
        let image = format!("docker:example/{name}:latest");
        let labels = json!({"release": name});
        let ids = up
            .add_services(&json!({"name": name, "labels": labels}))
            .await;
        let id = &ids[0];
        let hook = up.upgrading(&name, labels, json!({"tag": "latest"})).await;
        let before = up.calls().await.len();

        let pushed = push(&format!("example/{name}"), "latest");
        let (again, upgraded) = stage.killed_at(moment, up, &hook, &pushed).await;
        up = again;
        assert_eq!(
            upgraded["outcome"]["code"], "upgraded",
            "{moment:?}: {upgraded}"
        );
        let triggers = up.history("").await.len();
        assert_eq!(triggers, 2 * (round + 1), "{moment:?}: one and its part");
        expect_upgraded(&up, id, &image).await;
        let calls = up.calls().await.split_off(before);
        for call in calls.iter().filter(|call| call["action"] == "upgrade") {
            let strategy = &call["body"]["inServiceStrategy"];
            let goal = &strategy["launchConfig"]["imageUuid"];
            assert_eq!(*goal, image, "{moment:?}: {call}");
        }
        let done = actions(&calls);
        for one in done.chunks(2) {
            let whole = whole_upgrade(id);
            assert_eq!(one, whole, "{moment:?}: each is finished: {done:?}");
        }
        let most = match moment {
            // It had not arrived before the kill.
            Moment::Call(1) | Moment::Look { calls: 0, .. } => 1,
            _ => 2,
        };
        let upgrades = done.len() / 2;
        assert!((1..=most).contains(&upgrades), "{moment:?}: {done:?}");
    }
    up.stop().await;
}

/// The service runs `image`, which was pulled for it, and nothing of it is left to be done.
pub(crate) async fn expect_upgraded(up: &Up, id: &str, image: &str) {
    let path = format!("services/{id}");
    let service = up.cattle(Method::GET, &path, &Value::Null).await;
    assert_eq!(service["state"], "active", "{service}");
    let config = &service["launchConfig"];
    assert_eq!(config["imageUuid"], image, "{service}");
    let pull = &config["labels"]["io.rancher.container.pull_image"];
    assert_eq!(pull, "always", "{service}");
}

#[tokio::test]
async fn a_notification_that_its_registry_would_not_send_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .upgrading("strict", json!({"release": "shop"}), json!({}))
        .await;
    let deep = "[".repeat(100_000);
    let long = format!(
        r#"{{"repository": {{"repo_name": "a/b"}}, "x": "{}"}}"#,
        "x".repeat(1_000_000)
    );
    for (body, field) in [
        (deep.as_str(), "body"),
        (&long, "push_data.tag"),
        ("", "body"),
        ("pushed!", "body"),
        ("{}", "repository.repo_name"),
        (r#"{"repository": {"repo_name": "a/b"}}"#, "push_data.tag"),
        (
            r#"{"repository": {"repo_name": "a/b"}, "push_data": {"tag": 2}}"#,
            "push_data.tag",
        ),
        (
            r#"{"repository": {"repo_name": null}, "push_data": {"tag": "v2"}}"#,
            "repository.repo_name",
        ),
        (
            r#"{"repository": {"repo_name": "a/b"}, "push_data": {"tag": "-x"}}"#,
            "push_data.tag",
        ),
    ] {
        let (status, error) = up.post(&hook, body, &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {error}");
        assert_eq!(error["fieldName"], field, "{body}: {error}");
    }
    assert_eq!(
        up.history("").await,
        [Value::Null; 0],
        "nothing was accepted"
    );
    up.stop().await;
}
