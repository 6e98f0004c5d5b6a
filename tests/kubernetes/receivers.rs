//! Receivers are kept as objects in the cluster, and nobody calls the API.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::custom_resources::{CustomResources, Sort};
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::up::{Hook, Up};
use stormhook_tests::{project, wait};

const TOP: &str = "public_url = \"https://hooks.example.org\"";
const ON: &str = "namespaces = [\"shop\"]\nreceiver_resources = true";

async fn cluster() -> CustomResources {
    let sort = |group, plural, kind, scale| Sort {
        group,
        versions: vec!["v1"],
        plural,
        kind,
        scale,
    };
    let cluster = CustomResources::start(&[
        sort("stormhook.io", "receivers", "Receiver", None),
        sort("example.org", "fleets", "Fleet", Some("ships")),
    ])
    .await;
    let fleet = json!({"metadata": {}, "spec": {"ships": 2}});
    cluster.create("fleets", "shop", "north", fleet);
    cluster
}

fn spec(max: u32) -> Value {
    json!({"driver": "scaleService", "scaleServiceConfig": {
        "serviceId": "fleets.example.org/shop/north", "action": "up", "amount": 1, "min": 1, "max": max}})
}

fn create(cluster: &CustomResources, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "stormhook.io/v1", "kind": "Receiver", "metadata": {}, "spec": spec,
    });
    cluster.create("receivers", "shop", name, object);
}

fn object(cluster: &CustomResources, name: &str) -> Value {
    cluster.get("receivers", "shop", name).unwrap()
}

/// Waits until an object says of its newest state that it is ready, or for which reason not; its status then.
async fn told(cluster: &CustomResources, name: &str, reason: &str) -> Value {
    wait::until(reason, || async {
        let object = object(cluster, name);
        let (status, generation) = (&object["status"], &object["metadata"]["generation"]);
        let condition = &status["conditions"][0];
        if status["observedGeneration"] == *generation && condition["reason"] == reason {
            let is_ready = condition["status"] == "True";
            assert_eq!(is_ready, reason == "Registered", "{object}");
            Ok(status.clone())
        } else {
            Err(object.to_string())
        }
    })
    .await
}

fn message(status: &Value) -> &str {
    status["conditions"][0]["message"].as_str().unwrap()
}

/// The URL in a Secret.
fn url(cluster: &CustomResources, secret: &str) -> Option<String> {
    let secret = cluster.get("secrets", "shop", secret)?;
    let bytes = STANDARD.decode(secret["data"]["url"].as_str()?).unwrap();
    Some(String::from_utf8(bytes).unwrap())
}

async fn hook(cluster: &CustomResources, name: &str) -> Hook {
    let status = told(cluster, name, "Registered").await;
    let secret = status["urlSecretName"].as_str().unwrap();
    let url = url(cluster, secret).unwrap();
    assert!(
        url.starts_with("https://hooks.example.org/v1-webhooks/endpoint?key="),
        "{url}"
    );
    Hook::of(&json!({"url": url, "id": status["receiverId"]}))
}

async fn receiver(up: &Up, hook: &Hook) -> (StatusCode, Value) {
    let path = format!("receivers/{}", hook.receiver);
    up.api(Method::GET, &path, None).await
}

/// Waits until the receiver of `hook` is as `is_right` wants it.
async fn receiver_becomes(up: &Up, hook: &Hook, is_right: impl Fn(StatusCode, &Value) -> bool) {
    wait::until("the receiver to be changed", || async {
        let (status, found) = receiver(up, hook).await;
        if is_right(status, &found) {
            Ok(())
        } else {
            Err(format!("{status}: {found}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_a_receiver_from_its_creation_to_its_deletion() {
    let cluster = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up_with(folder.path(), TOP, ON).await;
    create(&cluster, "grow", &spec(9));
    let grow = hook(&cluster, "grow").await;
    let fired = up.outcome(&grow, "").await;
    assert_eq!(fired["outcome"]["message"], "scaled shop/north from 2 to 3");
    assert_eq!(fired["receiverName"], "grow");
    let secret = cluster.get("secrets", "shop", "grow-url").unwrap();
    let owner = &secret["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], object(&cluster, "grow")["metadata"]["uid"]);

    // What is changed in the object is changed in the receiver, under the same URL.
    let change = json!({"spec": {"cooldownSeconds": 0, "scaleServiceConfig": {"max": 3}}});
    cluster.merge("receivers", "shop", "grow", &change);
    receiver_becomes(&up, &grow, |_, found| {
        found["scaleServiceConfig"]["max"] == 3
    })
    .await;
    assert_eq!(hook(&cluster, "grow").await.path, grow.path);
    let fired = up.outcome(&grow, "").await;
    assert_eq!(fired["outcome"]["status"], "rejected", "{fired}");

    // A restart finds it as it was, and makes no second one.
    up.stop().await;
    let up = cluster.up_with(folder.path(), TOP, ON).await;
    let change = json!({"spec": {"urlSecretName": "elsewhere"}});
    cluster.merge("receivers", "shop", "grow", &change);
    wait::until("the URL to be moved", || async {
        match (url(&cluster, "elsewhere"), url(&cluster, "grow-url")) {
            (Some(url), None) => {
                assert!(url.ends_with(&grow.path), "{url}");
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let (_, all) = up.api(Method::GET, "receivers", None).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");

    cluster.delete("receivers", "shop", "grow");
    wait::until("the object to go", || async {
        let left = cluster.get("receivers", "shop", "grow");
        left.map_or(Ok(()), |left| Err(left.to_string()))
    })
    .await;
    assert_eq!(receiver(&up, &grow).await.0, StatusCode::NOT_FOUND);
    assert_eq!(up.fire(&grow).await.unwrap().0, StatusCode::FORBIDDEN);
    assert_eq!(cluster.get("secrets", "shop", "elsewhere"), None);

    // All of it stands in the record, with the object as who asked.
    let calls = up.api(Method::GET, "audit/calls", None).await.1;
    let made: Vec<_> = calls["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| {
            (
                call["accessKey"].as_str().unwrap(),
                call["call"].as_str().unwrap(),
            )
        })
        .collect();
    let asker = "receivers.stormhook.io/shop/grow";
    assert_eq!(
        made,
        [(asker, "delete"), (asker, "update"), (asker, "create")],
        "{calls}"
    );
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_changes_is_set_back_but_for_what_only_it_can_change() {
    let cluster = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up_with(folder.path(), TOP, ON).await;
    create(&cluster, "grow", &spec(9));
    let grow = hook(&cluster, "grow").await;
    let path = format!("receivers/{}", grow.receiver);
    let drift = json!({"name": "mine", "scaleServiceConfig": {"max": 50}});
    let (status, answer) = up.api(Method::PUT, &path, Some(&drift)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    receiver_becomes(&up, &grow, |_, found| {
        found["scaleServiceConfig"]["max"] == 9 && found["name"] == "grow"
    })
    .await;

    // In an emergency it can be disabled and given another URL; neither is in the object.
    let disable = format!("{path}?action=disable");
    assert_eq!(up.api(Method::POST, &disable, None).await.0, StatusCode::OK);
    let rotate = format!("{path}?action=rotate");
    let (_, rotated) = up.api(Method::POST, &rotate, None).await;
    let rotated = Hook::of(&rotated);
    wait::until("the new URL to be in the Secret", || async {
        match url(&cluster, "grow-url") {
            Some(url) if url.ends_with(&rotated.path) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(receiver(&up, &grow).await.1["state"], "inactive");

    // Deleted by the API, it is made again; the URLs that it had stay invalid.
    assert_eq!(
        up.api(Method::DELETE, &path, None).await.0,
        StatusCode::NO_CONTENT
    );
    receiver_becomes(&up, &grow, |status, _| status == StatusCode::OK).await;
    let again = wait::until("another URL", || async {
        match url(&cluster, "grow-url") {
            Some(url) if !url.ends_with(&rotated.path) => Ok(url),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    for old in [&grow, &rotated] {
        assert_eq!(up.fire(old).await.unwrap().0, StatusCode::FORBIDDEN);
    }
    let again = Hook::of(&json!({"url": again, "id": grow.receiver}));
    assert_eq!(up.fire(&again).await.unwrap().0, StatusCode::ACCEPTED);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_told_in_the_status() {
    let cluster = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let up = cluster.up_with(folder.path(), TOP, ON).await;
    up.scaling(
        "taken",
        "fleets.example.org/shop/north",
        "up",
        (1, 9),
        json!({}),
    )
    .await;
    let mut unknown = spec(9);
    unknown["scaleServiceConfig"]["serviceId"] = json!("fleets.example.org/shop/south");
    let mut unsigned = spec(9);
    unsigned["sign"] = json!({"secretRef": {"name": "keys", "key": "hook"}});
    for (name, spec, reason, says) in [
        (
            "taken",
            spec(9),
            "NameTaken",
            "already has a receiver named \"taken\"",
        ),
        ("small", spec(0), "InvalidSpec", "spec: max: "),
        (
            "south",
            unknown,
            "TargetUnusable",
            "spec: serviceId: there is no",
        ),
        ("signed", unsigned, "InvalidSpec", "there is no Secret keys"),
    ] {
        create(&cluster, name, &spec);
        let status = told(&cluster, name, reason).await;
        assert!(message(&status).contains(says), "{status}");
        assert_eq!(status["receiverId"], Value::Null, "{status}");
        assert_eq!(cluster.get("secrets", "shop", &format!("{name}-url")), None);
    }

    // A Secret that somebody else made is left alone; mended, the object is ready.
    let theirs = json!({"metadata": {}, "data": {"password": "eA=="}});
    cluster.create("secrets", "shop", "grow-url", theirs);
    create(&cluster, "grow", &spec(9));
    let status = told(&cluster, "grow", "SecretTaken").await;
    assert!(
        message(&status).contains("name another one as urlSecretName"),
        "{status}"
    );
    assert_eq!(url(&cluster, "grow-url"), None);
    let change = json!({"spec": {"urlSecretName": "hook"}});
    cluster.merge("receivers", "shop", "grow", &change);
    let grow = hook(&cluster, "grow").await;

    // A target is for good, here as in the API.
    let change =
        json!({"spec": {"scaleServiceConfig": {"serviceId": "fleets.example.org/shop/east"}}});
    cluster.merge("receivers", "shop", "grow", &change);
    let status = told(&cluster, "grow", "Unchangeable").await;
    assert!(message(&status).contains("serviceId"), "{status}");
    assert_eq!(status["receiverId"], json!(grow.receiver), "{status}");
    let (_, kept) = receiver(&up, &grow).await;
    assert_eq!(
        kept["scaleServiceConfig"]["serviceId"],
        "fleets.example.org/shop/north"
    );
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_makes_them_at_a_time_and_another_goes_on_when_it_is_gone() {
    let cluster = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let nats = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let project = format!("{}{ON}\n", cluster.project(folder.path()));
    let mut fleet = Fleet::new(folder.path(), (&nats.url(), ""), TOP, &project);
    fleet.ingresses.push(None);
    fleet.start_ingress(0).await;
    for number in 0..3 {
        fleet.start_worker(number).await;
    }
    for worker in fleet.workers.iter().flatten() {
        wait::until("the work to be shared out", || async {
            match worker.metric("stormhook_partitions_owned").await? {
                owned @ 10..=11 => Ok(owned),
                owned => Err(format!("{owned} partitions")),
            }
        })
        .await;
    }
    create(&cluster, "first", &spec(9));
    told(&cluster, "first", "Registered").await;
    let makers = |fleet: &Fleet| -> Vec<usize> {
        let says = "receivers are made of custom resources here";
        let makes = |number: &usize| fleet.log("stormhook-worker", *number).contains(says);
        (0..3).filter(makes).collect()
    };
    // Workers hand over to those that come after them.
    let maker = *makers(&fleet).last().unwrap();
    fleet.kill_worker(maker).await;
    create(&cluster, "second", &spec(9));
    told(&cluster, "second", "Registered").await;
    let (_, calls) = fleet.ingress().api(Method::GET, "audit/calls", None).await;
    let made = calls["data"].as_array().unwrap().len();
    assert_eq!(made, 2, "each was made once: {calls}");
}

/// The fields of an object that is not a list or a map.
fn fields(schema: &Value) -> BTreeSet<String> {
    let properties = schema["properties"].as_object().unwrap();
    properties.keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_definition_has_the_fields_that_the_api_takes() {
    let path = project::path("deploy/kubernetes/base/receivers.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let definition: Value = serde_saphyr::from_str(&text).unwrap();
    let version = &definition["spec"]["versions"][0];
    let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let (_, schemas) = up.api(Method::GET, "schemas", None).await;
    let taken = |id: &str| -> BTreeSet<String> {
        let all = schemas["data"].as_array().unwrap();
        let schema = all.iter().find(|schema| schema["id"] == id).unwrap();
        let fields = schema["resourceFields"].as_object().unwrap().iter();
        let writable = fields.filter(|(_, field)| field["create"] == true);
        writable.map(|(name, _)| name.clone()).collect()
    };
    let mut expected = taken("receiver");
    expected.insert("urlSecretName".to_owned());
    assert_eq!(fields(spec), expected);
    for driver in ["scaleService", "scaleHost", "serviceUpgrade", "forwardPost"] {
        let config = &spec["properties"][format!("{driver}Config")];
        assert_eq!(fields(config), taken(driver), "{driver}");
    }
    up.stop().await;
}
