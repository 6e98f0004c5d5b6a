//! The receiver hooks of a Rancher 1.x are taken over with the keys of their URLs, and what is told of each of them is so.

use std::path::Path;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up, run};
use stormhook_tests::wait;

#[tokio::test]
async fn an_old_url_of_every_kind_does_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    for (driver, config) in [
        (
            "scaleService",
            json!({"serviceId": "1s6", "action": "up", "amount": 1, "min": 1, "max": 5}),
        ),
        (
            "scaleHost",
            json!({
                "hostSelector": {"role": "web"}, "action": "up", "amount": 1, "min": 1, "max": 6,
                "deleteOption": "leastRecent",
            }),
        ),
        (
            "serviceUpgrade",
            json!({
                "serviceSelector": {"release": "shop"}, "tag": "v2", "payloadFormat": "dockerhub",
                "batchSize": 1, "intervalMillis": 1, "startFirst": true,
            }),
        ),
        (
            "forwardPost",
            json!({"projectId": "1a5", "serviceName": "api", "port": "8080", "path": "/build"}),
        ),
    ] {
        make(&up, driver, &key(driver), &data(driver, config)).await;
    }

    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.code, 0, "{}", told.error);
    assert_eq!(
        told.results(),
        [
            ("scaleService", "created"),
            ("scaleHost", "created"),
            ("serviceUpgrade", "created"),
            ("forwardPost", "created")
        ]
    );

    let push = json!({"push_data": {"tag": "v2"}, "repository": {"repo_name": "example/shop"}});
    let push = push.to_string();
    for (driver, body, message) in [
        ("scaleService", "", "scaled api from 2 to 3"),
        ("scaleHost", "", "added web04 (4 → 5 hosts)"),
        ("serviceUpgrade", &push, "upgraded shop to example/shop:v2"),
        ("forwardPost", "build it", "passed on to api:8080/build"),
    ] {
        let fired = up.outcome(&old_url(&key(driver)), body).await;
        assert_eq!(fired["outcome"]["message"], message, "{fired}");
    }
    assert_eq!(up.scale("1s6").await, 3);
    assert_eq!(up.hosts().await.len(), 5);
    let calls = up.calls().await;
    let upgrade = calls.iter().find(|call| call["action"] == "upgrade");
    let strategy = &upgrade.unwrap()["body"]["inServiceStrategy"];
    assert_eq!(strategy["intervalMillis"], 1_000, "it held seconds");
    assert_eq!(strategy["startFirst"], true);
    let forwarded = calls.last().unwrap();
    assert_eq!(forwarded["path"], "/r/projects/1a5/api:8080/build");
    assert_eq!(forwarded["body"], "build it");
    up.stop().await;
}

/// There, the field held seconds, whatever it was called.
#[tokio::test]
async fn an_interval_in_seconds_is_read_back_in_milliseconds() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    let intervals = [
        ("one", json!(1), 1_000),
        ("ninety", json!(90), 90_000),
        ("default", Value::Null, 2_000),
    ];
    for (name, seconds, _) in &intervals {
        let config = json!({
            "serviceSelector": {"release": "shop"}, "tag": "v2", "intervalMillis": seconds,
        });
        make(&up, name, &key(name), &data("serviceUpgrade", config)).await;
    }
    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.code, 0, "{}", told.error);
    for (name, _, millis) in intervals {
        let receiver = receiver(&up, name).await;
        let config = &receiver["serviceUpgradeConfig"];
        assert_eq!(config["intervalMillis"], millis, "{receiver}");
    }
    up.stop().await;
}

#[tokio::test]
async fn a_hook_that_is_gone_or_going_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    make(&up, "stays", &key("stays"), &scaling("1s5")).await;
    let gone = make(&up, "gone", &key("gone"), &scaling("1s6")).await;
    remove(&up, &gone).await;
    let going = make(&up, "going", &key("going"), &scaling("1s6")).await;
    // It goes for an hour.
    up.tweak("knobs", &json!({"settleMs": 3_600_000})).await;
    let path = format!("genericObjects/{going}");
    up.cattle(Method::DELETE, &path, &json!({})).await;
    let there = listed(&up).await;
    let states: Vec<_> = there.iter().map(|object| &object["state"]).collect();
    assert_eq!(states, ["active", "removing"]);

    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.code, 0, "{}", told.error);
    assert_eq!(told.results(), [("stays", "created")]);
    for name in ["gone", "going"] {
        let (status, _) = up.post(&old_url(&key(name)), "", &[]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}");
    }
    up.stop().await;
}

#[tokio::test]
async fn a_hook_that_cannot_be_read_is_told_and_in_no_others_way() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    let (driver, config) = ("scaleService", scaling("1s6")["config"].clone());
    let broken = [
        ("null", Value::Null),
        ("text", json!("a hook")),
        ("list", json!([])),
        ("driverless", json!({"config": config})),
        ("moon", json!({"driver": "scaleMoon", "config": config})),
        ("configless", json!({"driver": driver})),
        ("nothing", json!({"driver": driver, "config": null})),
        ("words", json!({"driver": driver, "config": "up by one"})),
        ("empty", json!({"driver": driver, "config": {}})),
    ];
    for (name, data) in &broken {
        make(&up, name, &key(name), data).await;
    }
    let no_keys = [
        ("keyless", String::new()),
        ("short", "k".repeat(39)),
        ("long", "k".repeat(41)),
        ("dashed", "-".repeat(40)),
        ("bytes", "ü".repeat(20)),
    ];
    for (name, no_key) in &no_keys {
        make(&up, name, no_key, &scaling("1s6")).await;
    }
    make(&up, "whole", &key("whole"), &scaling("1s6")).await;

    let all = broken.len() + no_keys.len() + 1;
    for expected in ["created", "is there already"] {
        let told = import(&up, folder.path(), &[]).await;
        assert_eq!(told.code, 1, "{}", told.error);
        let all_but_one = format!("{} of {all} hooks", all - 1);
        assert!(told.error.contains(&all_but_one), "{}", told.error);
        assert_eq!(told.hooks.len(), all, "{:?}", told.hooks);
        for hook in &told.hooks {
            if hook["name"] == "whole" {
                assert_eq!(hook["result"], expected, "{hook}");
            } else {
                assert_eq!(hook["result"], "failed", "{hook}");
                let why = hook["error"].as_str().unwrap();
                assert_eq!(why.lines().count(), 1, "{hook}");
            }
        }
    }
    assert_eq!(receivers(&up).await.len(), 2, "the demo's and this one");
    let scaled = up.outcome(&old_url(&key("whole")), "").await;
    assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
    up.stop().await;
}

/// Rancher did not keep names apart reliably.
#[tokio::test]
async fn of_two_hooks_with_one_name_none_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    let keys = [key("first"), key("second")];
    make(&up, "twin", &keys[0], &scaling("1s5")).await;
    make(&up, "twin", &keys[1], &scaling("1s6")).await;
    for _ in 0..3 {
        let told = import(&up, folder.path(), &[]).await;
        expect_so(&up, &told, &keys).await;
    }
    rename(&up, "twin", "twin-of-web").await;
    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.code, 0, "{}", told.error);
    expect_so(&up, &told, &keys).await;
    up.stop().await;
}

#[tokio::test]
async fn a_second_run_adds_nothing_whatever_receivers_are_called_by_then() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    let keys = [key("one"), key("two")];
    make(&up, "one", &keys[0], &scaling("1s5")).await;
    make(&up, "two", &keys[1], &scaling("1s6")).await;
    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.results(), [("one", "created"), ("two", "created")]);

    rename(&up, "one", "another").await;
    let before = receivers(&up).await;
    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(
        told.results(),
        [("one", "is there already"), ("two", "is there already")]
    );
    assert_eq!(receivers(&up).await, before);
    expect_so(&up, &told, &keys).await;
    up.stop().await;
}

#[tokio::test]
async fn a_hook_that_was_made_anew_in_rancher_is_not_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    let keys = [key("new")];
    let old = make(&up, "scale-api", &key("old"), &scaling("1s6")).await;
    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.results(), [("scale-api", "created")]);
    remove(&up, &old).await;
    make(&up, "scale-api", &keys[0], &scaling("1s6")).await;

    for _ in 0..2 {
        let told = import(&up, folder.path(), &[]).await;
        expect_so(&up, &told, &keys).await;
    }
    rename(&up, "scale-api", "scale-api-of-old").await;
    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.code, 0, "{}", told.error);
    expect_so(&up, &told, &keys).await;
    up.stop().await;
}

/// Its old URL ended, at once or after a while, and no import makes it valid again.
#[tokio::test]
async fn a_hook_whose_receiver_was_given_another_url_is_not_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    let hooks = [("ended", 0), ("overlapped", 1)];
    for (name, _) in hooks {
        make(&up, name, &key(name), &scaling("1s5")).await;
    }
    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.code, 0, "{}", told.error);

    for (name, seconds) in hooks {
        let overlap = json!({"overlapSeconds": seconds});
        change(&up, name, Method::POST, "?action=rotate", &overlap).await;
        wait::until("the old URL to end", || async {
            match up.post(&old_url(&key(name)), "", &[]).await {
                (StatusCode::FORBIDDEN, _) => Ok(()),
                (status, answer) => Err(format!("{status}: {answer}")),
            }
        })
        .await;
    }
    let told = import(&up, folder.path(), &[]).await;
    expect_so(&up, &told, &hooks.map(|(name, _)| key(name))).await;
    up.stop().await;
}

#[tokio::test]
async fn a_hook_beyond_the_first_page_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    let keys = [key("first"), key("last")];
    make(&up, "first", &keys[0], &scaling("1s5")).await;
    // A page has a thousand. Most of what Rancher keeps as generic objects are no hooks.
    let filler = json!({"name": "filler", "kind": "setting"});
    let fillers: Vec<_> = futures::stream::iter(0..1_000)
        .map(|_| up.cattle(Method::POST, "genericObjects", &filler))
        .buffer_unordered(16)
        .collect()
        .await;
    assert_eq!(fillers.len(), 1_000);
    make(&up, "last", &keys[1], &scaling("1s6")).await;

    let told = import(&up, folder.path(), &[]).await;
    assert_eq!(told.results(), [("first", "created"), ("last", "created")]);
    expect_so(&up, &told, &keys).await;
    up.stop().await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_foretells_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    for _ in 0..2 {
        let before = (receivers(&up).await, up.calls().await);
        let dry = import(&up, folder.path(), &["--dry-run"]).await;
        assert_eq!((receivers(&up).await, up.calls().await), before);
        expect_foretold(&dry, &import(&up, folder.path(), &[]).await);
    }
    up.stop().await;
}

#[tokio::test]
async fn a_dry_run_promises_one_name_to_one_hook() {
    let folder = tempfile::tempdir().unwrap();
    let up = without_hooks(folder.path()).await;
    make(&up, "twin", &key("first"), &scaling("1s5")).await;
    make(&up, "twin", &key("second"), &scaling("1s6")).await;
    let dry = import(&up, folder.path(), &["--dry-run"]).await;
    expect_foretold(&dry, &import(&up, folder.path(), &[]).await);
    up.stop().await;
}

/// What an import told.
struct Told {
    code: i32,
    /// What became of each hook, in Rancher's order.
    hooks: Vec<Value>,
    error: String,
}

impl Told {
    /// Each hook's name, and what became of it.
    fn results(&self) -> Vec<(&str, &str)> {
        let mut results = Vec::new();
        for hook in &self.hooks {
            let name = hook["name"].as_str().unwrap();
            results.push((name, hook["result"].as_str().unwrap()));
        }
        results
    }
}

/// Takes over the hooks of the practice platform, with further arguments.
async fn import(up: &Up, folder: &Path, more: &[&str]) -> Told {
    let rancher = format!("{}/v2-beta", up.sandbox);
    let import = ["receivers", "import", "--rancher-url", &rancher];
    let json = ["--format", "json"];
    let (code, told, error) = run(folder, &[&import[..], &json, more].concat()).await;
    let hooks = serde_json::from_str(&told);
    Told {
        code,
        hooks: hooks.unwrap_or_else(|_| panic!("{code}: {told}{error}")),
        error,
    }
}

/// What was told is so: the URLs with these keys are valid, but for those of hooks that could not be taken over, and the exit
/// code says whether there are any.
async fn expect_so(up: &Up, told: &Told, keys: &[String]) {
    assert_eq!(told.hooks.len(), keys.len(), "{:?}", told.hooks);
    let mut code = 0;
    for (hook, key) in told.hooks.iter().zip(keys) {
        let mut expected = StatusCode::ACCEPTED;
        if hook["result"] == "failed" {
            (code, expected) = (1, StatusCode::FORBIDDEN);
        }
        let (status, answer) = up.post(&old_url(key), "", &[]).await;
        assert_eq!(status, expected, "{hook}: {answer}");
    }
    assert_eq!(told.code, code, "{}", told.error);
}

/// What a dry run told is what the run after it did.
fn expect_foretold(dry: &Told, told: &Told) {
    let mut foretold = dry.results();
    for (_, result) in &mut foretold {
        if *result == "would be created" {
            *result = "created";
        }
    }
    assert_eq!(foretold, told.results());
    assert_eq!(dry.code, told.code, "{}", dry.error);
}

/// An `up` on whose practice platform there are no hooks yet.
async fn without_hooks(folder: &Path) -> Up {
    let up = Up::start(folder).await;
    for object in listed(&up).await {
        remove(&up, object["id"].as_str().unwrap()).await;
    }
    up
}

/// The generic objects on the practice platform. Hooks are among them.
async fn listed(up: &Up) -> Vec<Value> {
    let page = up.cattle(Method::GET, "genericObjects", &Value::Null).await;
    page["data"].as_array().cloned().unwrap()
}

/// Makes a hook there, as Rancher's own service did, and returns its id.
async fn make(up: &Up, name: &str, key: &str, data: &Value) -> String {
    let object = json!({
        "name": name, "key": key, "kind": "webhookReceiver", "resourceData": data,
    });
    let made = up.cattle(Method::POST, "genericObjects", &object).await;
    made["id"].as_str().unwrap().to_owned()
}

/// Removes a hook there, and waits until it is gone.
async fn remove(up: &Up, id: &str) {
    let path = format!("genericObjects/{id}");
    up.cattle(Method::DELETE, &path, &json!({})).await;
    wait::until("the hook to be gone", || async {
        let there = listed(up).await;
        match there.iter().find(|object| object["id"] == id) {
            Some(object) => Err(object.to_string()),
            None => Ok(()),
        }
    })
    .await;
}

/// What Rancher's own service kept of a hook.
fn data(driver: &str, mut config: Value) -> Value {
    config["type"] = json!(driver);
    json!({
        "url": "https://rancher.example.org/v1-webhooks/endpoint?key=…&projectId=1a5",
        "driver": driver, "config": config,
    })
}

/// The same of one that scales a service up by one.
fn scaling(service: &str) -> Value {
    let config = json!({"serviceId": service, "action": "up", "amount": 1, "min": 1, "max": 99});
    data("scaleService", config)
}

/// A key of Rancher's that begins with `word`: 40 letters and digits.
fn key(word: &str) -> String {
    format!("{word:0<40}")
}

/// The URL that Rancher gave out, now that its address leads here.
fn old_url(key: &str) -> Hook {
    Hook {
        path: format!("/v1-webhooks/endpoint?key={key}&projectId=1a5"),
        receiver: String::new(),
    }
}

/// All receivers here.
async fn receivers(up: &Up) -> Vec<Value> {
    let (status, all) = up.api(Method::GET, "receivers", None).await;
    assert_eq!(status, StatusCode::OK, "{all}");
    all["data"].as_array().cloned().unwrap()
}

/// The one of this name.
async fn receiver(up: &Up, name: &str) -> Value {
    let mut all = receivers(up).await.into_iter();
    all.find(|receiver| receiver["name"] == name).unwrap()
}

/// Gives it another name.
async fn rename(up: &Up, name: &str, to: &str) {
    change(up, name, Method::PUT, "", &json!({"name": to})).await;
}

/// Changes the receiver of this name, by an action if there is one.
async fn change(up: &Up, name: &str, method: Method, action: &str, body: &Value) {
    let receiver = receiver(up, name).await;
    let path = format!("receivers/{}{action}", receiver["id"].as_str().unwrap());
    let (status, answer) = up.api(method, &path, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}
