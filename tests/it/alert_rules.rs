//! Alertmanager's notifications under each rule that a receiver can have: what acts, what is
//! skipped, and which rule is told where several apply.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up};

/// A notification of two alerts as Alertmanager sends it.
fn notification(status: &str, reason: &str) -> Value {
    let ends = match status {
        "resolved" => "2026-11-23T21:04:00Z",
        _ => "0001-01-01T00:00:00Z",
    };
    let alert = |instance: &str, fingerprint: &str| {
        json!({
            "status": status,
            "labels": {
                "alertname": "LoadHigh", "severity": "critical", "zone": "fra1",
                "instance": instance,
            },
            "annotations": {"summary": "the load is high"},
            "startsAt": "2026-11-23T21:00:00Z",
            "endsAt": ends,
            "generatorURL": "http://prometheus:9090/graph?g0.expr=load",
            "fingerprint": fingerprint,
        })
    };
    json!({
        "version": "4",
        "receiver": "scale",
        "status": status,
        "groupKey": "{}/{team=\"shop\"}:{alertname=\"LoadHigh\"}",
        "truncatedAlerts": 0,
        "groupLabels": {"alertname": "LoadHigh"},
        "commonLabels": {"alertname": "LoadHigh", "severity": "critical", "zone": "fra1"},
        "commonAnnotations": {"summary": "the load is high"},
        "externalURL": "http://alertmanager-0:9093",
        "alerts": [
            alert("10.0.0.7:9100", "8b3f6a2c41d90e57"),
            alert("10.0.0.8:9100", "e1c07d5596fa2b34"),
        ],
        "notification_reason": reason,
    })
}

fn firing() -> Value {
    notification("firing", "first notification")
}

fn repeated() -> Value {
    notification("firing", "repeat interval elapsed")
}

fn resolved() -> Value {
    notification("resolved", "all alerts resolved")
}

/// Sends `body` as Alertmanager does, and returns the trigger with its outcome.
async fn notify(up: &Up, hook: &Hook, body: &Value) -> Value {
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", "Alertmanager/0.28"),
        ("prefer", "wait=60"),
    ];
    let (status, trigger) = up.post(hook, &body.to_string(), &headers).await;
    assert_eq!(status, StatusCode::OK, "{trigger}");
    trigger
}

/// Sends one body after the other; each comes to its code, and its sentence has these words.
async fn expect(up: &Up, hook: &Hook, steps: &[(Value, &str, &str)]) {
    for (body, code, words) in steps {
        let trigger = notify(up, hook, body).await;
        let outcome = &trigger["outcome"];
        let message = outcome["message"].as_str().unwrap_or_default();
        assert_eq!(outcome["code"], *code, "{trigger}");
        assert_eq!(outcome["status"], status_of(code), "{trigger}");
        assert!(message.contains(*words), "{words:?}: {trigger}");
    }
}

/// The status that a code of these stories belongs to.
fn status_of(code: &str) -> &'static str {
    match code {
        "scaled" => "succeeded",
        "aboveMax" | "belowMin" => "rejected",
        _ => "skipped",
    }
}

#[tokio::test]
async fn a_resolved_alert_changes_nothing_unless_the_receiver_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let usual = up.scaling("usual", "1s6", "up", (1, 9), json!({})).await;
    // The version and the status alone make a notification.
    let bare = json!({"version": "4", "status": "resolved"});
    let steps = [
        (firing(), "scaled", "scaled api from 2 to 3"),
        (resolved(), "alertResolved", "the alert is resolved"),
        (bare, "alertResolved", "the alert is resolved"),
    ];
    expect(&up, &usual, &steps).await;
    assert_eq!(up.scale("1s6").await, 3, "it is untouched");

    let options = json!({"onResolved": "trigger"});
    let eager = up.scaling("eager", "1s6", "up", (1, 9), options).await;
    let steps = [
        (resolved(), "scaled", "scaled api from 3 to 4"),
        (firing(), "scaled", "scaled api from 4 to 5"),
    ];
    expect(&up, &eager, &steps).await;
    assert_eq!(up.scale("1s6").await, 5);
    up.stop().await;
}

#[tokio::test]
async fn a_resolved_alert_takes_a_step_back_within_the_same_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let reverse = || json!({"onResolved": "reverse"});
    let more = up.scaling("more", "1s6", "up", (2, 4), reverse()).await;
    let steps = [
        (firing(), "scaled", "scaled api from 2 to 3"),
        (resolved(), "scaled", "scaled api from 3 to 2"),
        (resolved(), "belowMin", "2 − 1 is below the minimum of 2"),
    ];
    expect(&up, &more, &steps).await;
    assert_eq!(up.scale("1s6").await, 2);

    let fewer = up.scaling("fewer", "1s5", "down", (1, 2), reverse()).await;
    let steps = [
        (firing(), "belowMin", "1 − 1 is below the minimum of 1"),
        (resolved(), "scaled", "scaled web from 1 to 2"),
        (resolved(), "aboveMax", "2 + 1 is above the maximum of 2"),
        (firing(), "scaled", "scaled web from 2 to 1"),
    ];
    expect(&up, &fewer, &steps).await;
    assert_eq!(up.scale("1s5").await, 1);
    up.stop().await;
}

#[tokio::test]
async fn repeats_ask_for_more_unless_the_receiver_ignores_them() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let more = up.scaling("more", "1s6", "up", (1, 9), json!({})).await;
    let steps = [
        (firing(), "scaled", "scaled api from 2 to 3"),
        (repeated(), "scaled", "scaled api from 3 to 4"),
    ];
    expect(&up, &more, &steps).await;

    let options = json!({"onRepeat": "ignore"});
    let once = up.scaling("once", "1s5", "up", (1, 9), options).await;
    // An older Alertmanager gives no reason.
    let mut unexplained = firing();
    let fields = unexplained.as_object_mut().unwrap();
    fields.remove("notification_reason");
    let steps = [
        (firing(), "scaled", "scaled web from 1 to 2"),
        (repeated(), "alertRepeated", "receiver ignores repeats"),
        (unexplained, "scaled", "scaled web from 2 to 3"),
    ];
    expect(&up, &once, &steps).await;
    assert_eq!((up.scale("1s6").await, up.scale("1s5").await), (4, 3));
    up.stop().await;
}

#[tokio::test]
async fn what_a_filter_does_not_let_through_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let conditions = [
        (
            "equals",
            json!({"pointer": "/commonLabels/severity", "equals": "critical"}),
            "warning",
            r#"/commonLabels/severity to be "critical", but it is "warning""#,
        ),
        (
            "in",
            json!({"pointer": "/alerts/0/labels/zone", "in": ["fra1", "fra2"]}),
            "ams1",
            r#"/alerts/0/labels/zone to be one of ["fra1","fra2"], but it is "ams1""#,
        ),
        (
            "glob",
            json!({"pointer": "/groupLabels/alertname", "glob": "Load*"}),
            "DiskFull",
            r#"/groupLabels/alertname to be a text like "Load*", but it is "DiskFull""#,
        ),
    ];
    for (number, (name, condition, other, why)) in conditions.into_iter().enumerate() {
        let pointer = condition["pointer"].as_str().unwrap().to_owned();
        let filter = json!({"filter": [condition]});
        let hook = up.scaling(name, "1s5", "up", (1, 9), filter).await;
        let scaled = format!("scaled web from {} to {}", number + 1, number + 2);
        let mut foreign = firing();
        *foreign.pointer_mut(&pointer).unwrap() = json!(other);
        let steps = [
            (foreign, "filtered", why),
            (firing(), "scaled", scaled.as_str()),
        ];
        expect(&up, &hook, &steps).await;
    }

    // Of several conditions all count.
    let filter = json!({"filter": [
        {"pointer": "/status", "equals": "firing"},
        {"pointer": "/commonLabels/team", "equals": "shop"},
    ]});
    let both = up.scaling("both", "1s5", "up", (1, 9), filter).await;
    let why = "needs /commonLabels/team, which the body does not have";
    expect(&up, &both, &[(firing(), "filtered", why)]).await;
    let skipped = up.outcome(&both, "the load is high").await;
    assert_eq!(skipped["outcome"]["code"], "filtered", "{skipped}");
    let message = skipped["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("not JSON"), "{message}");
    assert_eq!(up.scale("1s5").await, 4);
    up.stop().await;
}

#[tokio::test]
async fn a_step_that_is_too_long_goes_to_the_bound_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let more = up.create(&leaping("more", "up", "clamp")).await;
    let fewer = up.create(&leaping("fewer", "down", "clamp")).await;
    let strict = up.create(&leaping("strict", "up", "reject")).await;
    let steps = [
        (firing(), "scaled", "scaled api from 2 to 4"),
        (firing(), "atLimit", "at 4 already, with a limit of 4"),
    ];
    expect(&up, &more, &steps).await;
    let steps = [
        (firing(), "scaled", "scaled api from 4 to 1"),
        (firing(), "atLimit", "at 1 already, with a limit of 1"),
    ];
    expect(&up, &fewer, &steps).await;
    let steps = [(firing(), "aboveMax", "1 + 5 is above the maximum of 4")];
    expect(&up, &strict, &steps).await;

    // What somebody put beyond the bound is not taken back by a step towards it.
    up.tweak("services/1s6", &json!({"scale": 10})).await;
    let steps = [(firing(), "atLimit", "at 10 already, with a limit of 4")];
    expect(&up, &more, &steps).await;
    assert_eq!(up.scale("1s6").await, 10);
    up.stop().await;
}

/// A receiver that scales api by five at once, between 1 and 4.
fn leaping(name: &str, action: &str, on_limit: &str) -> Value {
    json!({
        "name": name, "driver": "scaleService", "onLimit": on_limit,
        "scaleServiceConfig": {
            "serviceId": "1s6", "action": action, "amount": 5, "min": 1, "max": 4,
        },
    })
}

#[tokio::test]
async fn a_down_does_not_chase_the_up_of_another_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hour = || json!({"groupCooldownSeconds": 3_600});
    let full = up.scaling("full", "1s6", "up", (1, 2), json!({})).await;
    let more = up.scaling("more", "1s6", "up", (1, 9), json!({})).await;
    let fewer = up.scaling("fewer", "1s6", "down", (1, 9), hour()).await;
    let other = up.scaling("other", "1s5", "up", (1, 9), hour()).await;

    // What was refused was not performed, and nothing has to cool down.
    let steps = [(firing(), "aboveMax", "2 + 1 is above the maximum of 2")];
    expect(&up, &full, &steps).await;
    let steps = [(firing(), "scaled", "scaled api from 2 to 1")];
    expect(&up, &fewer, &steps).await;
    let steps = [(firing(), "scaled", "scaled api from 1 to 2")];
    expect(&up, &more, &steps).await;

    let steps = [(firing(), "coolingDown", "the group acted a moment ago")];
    expect(&up, &fewer, &steps).await;
    let skipped = notify(&up, &fewer, &firing()).await;
    let message = skipped["outcome"]["message"].as_str().unwrap();
    let left = message.split_whitespace().rev().nth(1).unwrap();
    let left: f64 = left.parse().unwrap();
    assert!((3_000.0..=3_600.0).contains(&left), "{message}");
    assert_eq!(up.scale("1s6").await, 2);

    // Neither receivers without that rule have to wait, nor other groups.
    let steps = [(firing(), "scaled", "scaled api from 2 to 3")];
    expect(&up, &more, &steps).await;
    let steps = [(firing(), "scaled", "scaled web from 1 to 2")];
    expect(&up, &other, &steps).await;
    up.stop().await;
}

#[tokio::test]
async fn of_several_rules_that_apply_the_first_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let filter = || json!({"filter": [{"pointer": "/status", "equals": "firing"}]});

    // That a receiver is disabled comes before its filter and the alert's status.
    let off = up.scaling("off", "1s5", "up", (1, 9), filter()).await;
    let disable = format!("receivers/{}?action=disable", off.receiver);
    let (status, disabled) = up.api(Method::POST, &disable, None).await;
    assert_eq!(status, StatusCode::OK, "{disabled}");
    let steps = [(resolved(), "receiverDisabled", "off is disabled")];
    expect(&up, &off, &steps).await;

    // The filter comes before the alert's status.
    let narrow = up.scaling("narrow", "1s5", "up", (1, 9), filter()).await;
    let steps = [(resolved(), "filtered", r#"but it is "resolved""#)];
    expect(&up, &narrow, &steps).await;

    // The alert's status comes before the cooldown, and that before the bounds.
    let options = json!({"cooldownSeconds": 3_600});
    let cool = up.scaling("cool", "1s6", "up", (1, 3), options).await;
    let steps = [
        (firing(), "scaled", "scaled api from 2 to 3"),
        (resolved(), "alertResolved", "the alert is resolved"),
        (firing(), "coolingDown", "the receiver acted a moment ago"),
    ];
    expect(&up, &cool, &steps).await;
    let hasty = up.scaling("hasty", "1s6", "up", (1, 3), json!({})).await;
    let steps = [(firing(), "aboveMax", "3 + 1 is above the maximum of 3")];
    expect(&up, &hasty, &steps).await;
    assert_eq!((up.scale("1s5").await, up.scale("1s6").await), (1, 3));
    up.stop().await;
}

#[tokio::test]
async fn redundant_alertmanagers_act_once() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let options = json!({"dedupe": "alert"});
    let once = up.scaling("once", "1s6", "up", (1, 20), options).await;
    let each = up.scaling("each", "1s5", "up", (1, 20), json!({})).await;
    let of = |hook: &Hook| format!("&receiverId={}", hook.receiver);

    // Another Alertmanager tells the same under its own address, and in its own order.
    let one = firing();
    let mut same = one.clone();
    same["externalURL"] = json!("http://alertmanager-1:9093");
    same["alerts"].as_array_mut().unwrap().reverse();
    let (first, second) = tokio::join!(notify(&up, &once, &one), notify(&up, &once, &same));
    assert_eq!(first["id"], second["id"], "{first} {second}");
    assert_eq!(first["outcome"]["message"], "scaled api from 2 to 3");
    assert_eq!(first["outcome"], second["outcome"]);
    assert_eq!(up.history(&of(&once)).await.len(), 1);

    // Whoever does not ask for that gets both.
    tokio::join!(notify(&up, &each, &one), notify(&up, &each, &same));
    assert_eq!(up.history(&of(&each)).await.len(), 2);

    // Whatever tells something else is a trigger of its own.
    let others = [
        ("/receiver", "scale-more"),
        ("/groupKey", "{}:{alertname=\"LoadHigh\"}"),
        ("/alerts/0/fingerprint", "0123456789abcdef"),
        ("/alerts/0/status", "resolved"),
        ("/alerts/0/startsAt", "2026-11-23T22:00:00Z"),
        ("/notification_reason", "repeat interval elapsed"),
    ];
    for (number, (pointer, value)) in others.into_iter().enumerate() {
        let mut other = firing();
        *other.pointer_mut(pointer).unwrap() = json!(value);
        notify(&up, &once, &other).await;
        let count = up.history(&of(&once)).await.len();
        assert_eq!(count, number + 2, "{pointer}");
    }
    assert_eq!((up.scale("1s6").await, up.scale("1s5").await), (9, 3));
    up.stop().await;
}
