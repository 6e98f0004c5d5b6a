//! What the users of Rancher's own receiver hooks complained of does not happen here: a test for each complaint that no
//! other story tells of. The numbers are those of rancher/rancher's issues.

use reqwest::{Method, StatusCode};
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

/// 10285: of several label pairs one was looked at. 10286: a pair without a value asks for the key. 7918: services
/// without containers made it fail.
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

/// 7983: after web9 came web1, over and over. And names were given twice.
#[tokio::test]
async fn host_names_count_on_past_nine_and_are_never_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for (hostname, role) in [("app9", "app"), ("app11", "other")] {
        let host = json!({"hostname": hostname, "digitaloceanConfig": {"size": "1gb"}, "labels": {"role": role}});
        up.cattle(Method::POST, "hosts", &host).await;
    }
    let more = json!({"hostSelector": {"role": "app"}, "amount": 2});
    let more = up.scaling_hosts("more", "up", more).await;
    for _ in 0..3 {
        let added = up.outcome(&more, "").await;
        assert_eq!(added["outcome"]["code"], "hostsAdded", "{added}");
    }
    let names: Vec<_> = up.hosts().await;
    let apps: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("app"))
        .collect();
    assert_eq!(
        apps,
        [
            "app10", "app11", "app12", "app13", "app14", "app15", "app16", "app9"
        ],
        "app11 is another group's"
    );
    up.stop().await;
}

/// 7891: the form sent deleteOption for both directions. 10453: a readonly key saw the secret URLs (told elsewhere).
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
