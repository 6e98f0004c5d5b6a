//! Of upgrades.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::Up;

use super::{push, service};

/// 10285: of several label pairs one was looked at. 10286: a pair without a value asks for the key. Services without
/// containers stand between those that match.
#[tokio::test]
async fn all_label_pairs_count() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let both = up
        .add_services(&json!({"name": "both", "labels": {"release": "pairs", "tier": "front", "blue": "yes"}}))
        .await;
    up.add_services(&json!({"name": "one", "labels": {"release": "pairs", "tier": "back"}}))
        .await;
    let selector = json!({"RELEASE": "Pairs", "tier": "front", "blue": ""});
    let hook = up.upgrading("pairs", selector, json!({})).await;
    let upgraded = up.outcome(&hook, &push("example/pairs")).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    let calls = up.calls().await;
    assert!(
        calls
            .iter()
            .all(|call| call["resource"] == both[0].as_str()),
        "{calls:?}"
    );

    up.cattle(
        Method::PUT,
        "hosts/1h2",
        &json!({"labels": {"role": "web", "rack": "b"}}),
    )
    .await;
    let selector = json!({"hostSelector": {"role": "web", "rack": "b"}, "max": 3});
    let more = up.scaling_hosts("more", "up", selector).await;
    let added = up.outcome(&more, "").await;
    assert_eq!(
        added["outcome"]["from"], 1,
        "only one host has both: {added}"
    );
    up.stop().await;
}

/// 10524: services that were upgraded at the same time got each other's configuration.
#[tokio::test]
async fn configurations_are_not_mixed_up() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let mut hooks = Vec::new();
    for number in 0..8 {
        let name = format!("mix-{number}");
        let labels = json!({"release": name, "own": name});
        let id = up
            .add_services(&json!({"name": name, "labels": labels}))
            .await;
        let config = json!({"batchSize": number + 1, "intervalMillis": 100 + number});
        let hook = up.upgrading(&name, json!({"release": name}), config).await;
        hooks.push((hook, name, id[0].clone(), number));
    }
    let fired = hooks.iter().map(|(hook, name, _, _)| {
        let (up, body) = (&up, push(&format!("example/{name}")));
        async move { up.outcome(hook, &body).await }
    });
    for upgraded in futures::future::join_all(fired).await {
        assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    }
    let calls = up.calls().await;
    for (_, name, id, number) in &hooks {
        let found = service(&up, id).await;
        assert_eq!(
            found["launchConfig"]["imageUuid"],
            format!("docker:example/{name}:v2")
        );
        assert_eq!(found["launchConfig"]["labels"]["own"], name.as_str());
        let upgrade = calls
            .iter()
            .find(|call| call["resource"] == id.as_str() && call["action"] == "upgrade")
            .unwrap();
        assert_eq!(
            upgrade["body"]["inServiceStrategy"]["batchSize"],
            number + 1
        );
    }
    up.stop().await;
}

/// 8463: every service with the label got whatever image was pushed. So it is by design, but a receiver can say which
/// repository is meant.
#[tokio::test]
async fn only_pushes_of_the_image_that_is_meant_act() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let labels = json!({"environment": "test"});
    let mut ids = Vec::new();
    for name in ["server", "database"] {
        let new = json!({"name": name, "labels": labels});
        ids.extend(up.add_services(&new).await);
    }
    let meant = json!({"image": "example/server"});
    let hook = up.upgrading("server", labels, meant).await;
    let skipped = up.outcome(&hook, &push("example/database")).await;
    assert_eq!(skipped["outcome"]["code"], "imageMismatch", "{skipped}");
    assert_eq!(up.calls().await, [Value::Null; 0]);

    let upgraded = up.outcome(&hook, &push("example/server")).await;
    assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
    for id in &ids {
        let found = service(&up, id).await;
        let image = &found["launchConfig"]["imageUuid"];
        assert_eq!(image, "docker:example/server:v2", "both carry the label");
    }
    up.stop().await;
}

/// 8446, 9796: patterns for tags were wanted; a pattern was taken for a tag, which nobody pushes.
#[tokio::test]
async fn a_pattern_is_not_taken_for_a_tag() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for tag in ["v*", "^v[0-9]+$", "v1|v2", ".*"] {
        let receiver = json!({
            "name": "pattern", "driver": "serviceUpgrade",
            "serviceUpgradeConfig": {"serviceSelector": {"release": "shop"}, "tag": tag},
        });
        let (status, error) = up.api(Method::POST, "receivers", Some(&receiver)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{tag}: {error}");
        assert_eq!(error["fieldName"], "tag", "{tag}: {error}");
    }
    up.stop().await;
}

/// 8445: what one's own registry tells was not understood. 9175: nor what Alibaba's tells; 10654: and then its images
/// were taken from the public address only. 10639: nor what Azure's tells.
#[tokio::test]
async fn what_other_registries_tell_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let distribution = json!({"events": [
        {"action": "pull", "target": {"repository": "example/web", "tag": "v2"}},
        {
            "action": "push", "request": {"host": "registry.example.org:5000"},
            "target": {"repository": "example/web", "tag": "v2", "digest": "sha256:80f0"},
        },
    ]});
    let alicloud = json!({
        "push_data": {"tag": "v2", "digest": "sha256:80f0"},
        "repository": {"region": "cn-beijing", "repo_full_name": "example/web"},
    });
    let azure = json!({
        "action": "push", "request": {"host": "example.azurecr.io"},
        "target": {"repository": "web", "tag": "v2", "digest": "sha256:80f0"},
    });
    let aliyun = |address: &str| format!("{address}.cn-beijing.aliyuncs.com/example/web");
    let (public, internal, vpc) = ("registry", "registry-internal", "registry-vpc");
    for (format, address, told, image) in [
        (
            "distribution",
            None,
            &distribution,
            "registry.example.org:5000/example/web".to_owned(),
        ),
        ("alicloud", None, &alicloud, aliyun(public)),
        ("alicloud", Some(internal), &alicloud, aliyun(internal)),
        ("alicloud", Some(vpc), &alicloud, aliyun(vpc)),
        ("azure", None, &azure, "example.azurecr.io/web".to_owned()),
    ] {
        let name = format!("{format}-{}", address.unwrap_or("plain"));
        let labels = json!({"release": name});
        let new = json!({"name": name, "labels": labels});
        let ids = up.add_services(&new).await;
        let config = json!({"payloadFormat": format, "addressType": address});
        let hook = up.upgrading(&name, labels, config).await;
        let upgraded = up.outcome(&hook, &told.to_string()).await;
        assert_eq!(upgraded["outcome"]["code"], "upgraded", "{upgraded}");
        let found = service(&up, &ids[0]).await;
        let expected = format!("docker:{image}:v2");
        assert_eq!(found["launchConfig"]["imageUuid"], expected, "{name}");
    }
    up.stop().await;
}

/// 17004, 19917, 7953: the caller was told 200, and nothing came of it.
#[tokio::test]
async fn nothing_is_told_as_done_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .upgrading("shop", json!({"release": "shop"}), json!({}))
        .await;
    up.tweak("knobs", &json!({"settleMs": 2_000})).await;
    let brief = [("prefer", "wait=1")];
    let (status, trigger) = up.post(&hook, &push("example/shop"), &brief).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{trigger}");
    let told = up.history("&status=succeeded").await;
    assert_eq!(told, [Value::Null; 0], "it is still going on");
    up.settled().await;
    for told in up.history("").await {
        assert_eq!(told["outcome"]["code"], "upgraded", "{told}");
    }
    let shop = service(&up, "1s14").await;
    assert_eq!(shop["state"], "active");
    assert_eq!(shop["launchConfig"]["imageUuid"], "docker:example/shop:v2");

    let fault = json!({"times": 9, "method": "POST", "status": 403, "code": "Forbidden"});
    up.tweak("knobs", &json!({"fault": fault})).await;
    let failed = up.outcome(&hook, &push("example/shop")).await;
    assert_eq!(failed["outcome"]["status"], "failed", "{failed}");
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("403"), "{message}");
    up.stop().await;
}
