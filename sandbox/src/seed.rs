//! The small environment that a new sandbox comes with.

use serde_json::{Value, json};

use crate::resource::Kind;
use crate::world::time;

/// The environment's id.
pub(crate) const PROJECT: &str = "1a5";

/// Everything in it.
pub(crate) fn resources(now: i64) -> Vec<(Kind, Value)> {
    let service = |id: &str, name: &str, stack: &str, change: Value| {
        let mut service = service(now, id, name, stack, 1);
        merge(&mut service, change);
        (Kind::Service, service)
    };
    let host = |id: &str, name: &str, driver: Option<&str>, age_ms: i64| {
        (Kind::Host, host(now - age_ms, id, name, driver))
    };
    vec![
        (Kind::Stack, stack(now, "1st1", "demo")),
        (Kind::Stack, stack(now, "1st2", "infrastructure")),
        service("1s5", "web", "1st1", json!({})),
        service("1s6", "api", "1st1", json!({"scale": 2, "currentScale": 2})),
        service(
            "1s7",
            "worker",
            "1st1",
            json!({"launchConfig": {"labels": {"tier": "background"}}}),
        ),
        service(
            "1s8",
            "lb",
            "1st1",
            json!({"type": "loadBalancerService", "kind": "loadBalancerService"}),
        ),
        service(
            "1s9",
            "agent",
            "1st2",
            json!({
                "system": true,
                "launchConfig": {"labels": {"io.rancher.scheduler.global": "true"}},
            }),
        ),
        service(
            "1s10",
            "alias",
            "1st1",
            json!({"type": "dnsService", "kind": "dnsService", "launchConfig": null}),
        ),
        service(
            "1s11",
            "elsewhere",
            "1st1",
            json!({"type": "externalService", "kind": "externalService", "launchConfig": null}),
        ),
        service(
            "1s12",
            "elastic",
            "1st1",
            json!({"scalePolicy": {"min": 1, "max": 5, "increment": 1}}),
        ),
        service(
            "1s13",
            "selector",
            "1st1",
            json!({"launchConfig": {"imageUuid": "docker:rancher/none"}}),
        ),
        service(
            "1s14",
            "shop",
            "1st1",
            json!({
                "scale": 2, "currentScale": 2,
                "launchConfig": {"labels": {"release": "shop"}, "environment": {"MODE": "production"}},
                "secondaryLaunchConfigs": [{
                    "name": "shop-log", "imageUuid": "docker:example/log:1", "labels": {"app": "log"},
                }],
            }),
        ),
        hook(
            now,
            "1go1",
            "scale-api",
            "OLDk3yOfAScaleServiceHook000000000000001",
            json!({
                "driver": "scaleService",
                "config": {"serviceId": "1s6", "amount": 1, "action": "up", "min": 1, "max": 5, "type": "scaleService"},
            }),
        ),
        hook(
            now,
            "1go2",
            "more-hosts",
            "OLDk3yOfAScaleHostHook000000000000000002",
            json!({
                "driver": "scaleHost",
                "config": {
                    "hostSelector": {"role": "web"}, "amount": 1, "action": "up", "min": 1, "max": 6,
                    "deleteOption": "leastRecent", "type": "scaleHost",
                },
            }),
        ),
        hook(
            now,
            "1go3",
            "upgrade-shop",
            "OLDk3yOfAServiceUpgradeHook0000000000003",
            json!({
                "driver": "serviceUpgrade",
                "config": {
                    "serviceSelector": {"release": "shop"}, "tag": "latest", "batchSize": 1, "intervalMillis": 2,
                    "startFirst": false, "payloadFormat": "dockerhub", "type": "serviceUpgrade",
                },
            }),
        ),
        hook(
            now,
            "1go4",
            "scale-gone",
            "OLDk3yOfAHookOfAServiceThatIsGone0000004",
            json!({
                "driver": "scaleService",
                "config": {"serviceId": "1s99", "amount": 1, "action": "up", "min": 1, "max": 5, "type": "scaleService"},
            }),
        ),
        host("1h1", "web01", Some("digitalocean"), 3_000),
        host("1h2", "web02", Some("digitalocean"), 2_000),
        host("1h3", "web03", Some("digitalocean"), 1_000),
        host("1h4", "rack-7", None, 4_000),
    ]
}

/// A service like any other.
pub(crate) fn service(now: i64, id: &str, name: &str, stack: &str, scale: u32) -> Value {
    json!({
        "id": id, "type": "service", "kind": "service", "name": name, "accountId": PROJECT, "stackId": stack,
        "state": "active", "transitioning": "no", "transitioningMessage": null, "healthState": "healthy",
        "system": false, "scale": scale, "currentScale": scale, "scalePolicy": null, "startOnCreate": true,
        "created": time(now), "createdTS": now, "removed": null, "metadata": {},
        "launchConfig": {
            "type": "launchConfig", "imageUuid": format!("docker:example/{name}:latest"),
            "labels": {"app": name}, "environment": {},
        },
        "secondaryLaunchConfigs": [], "upgrade": null, "demand": 0.5,
    })
}

/// A host that is there, made by a machine driver or added by hand.
pub(crate) fn host(created: i64, id: &str, name: &str, driver: Option<&str>) -> Value {
    json!({
        "id": id, "type": "host", "kind": "docker", "name": name, "hostname": name, "accountId": PROJECT,
        "state": "active", "agentState": "active", "transitioning": "no", "driver": driver,
        "digitaloceanConfig": driver.map(|_| json!({"region": "fra1", "size": "1gb"})),
        "labels": {"role": "web"}, "created": time(created), "createdTS": created, "removed": null,
    })
}

/// A receiver hook as Rancher's own service for webhooks kept it. Its interval was meant in seconds.
fn hook(now: i64, id: &str, name: &str, key: &str, mut data: Value) -> (Kind, Value) {
    data["url"] = json!(format!(
        "https://rancher.example.org/v1-webhooks/endpoint?key={key}&projectId={PROJECT}"
    ));
    let object = json!({
        "id": id, "type": "genericObject", "name": name, "key": key, "kind": "webhookReceiver",
        "accountId": PROJECT, "state": "active", "transitioning": "no", "created": time(now), "createdTS": now,
        "removed": null, "resourceData": data,
    });
    (Kind::GenericObject, object)
}

fn stack(now: i64, id: &str, name: &str) -> Value {
    json!({
        "id": id, "type": "stack", "name": name, "accountId": PROJECT, "state": "active", "transitioning": "no",
        "created": time(now), "createdTS": now, "removed": null,
    })
}

fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (field, value) in change {
                merge(target.entry(field).or_insert(Value::Null), value);
            }
        }
        (target, change) => *target = change,
    }
}
