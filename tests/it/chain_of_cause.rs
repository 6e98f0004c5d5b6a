//! "Why did it scale?": one trigger tells who asked, what was decided from what, what was called, and what came of it;
//! and as long as it waits, for what.

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_tests::up::{Up, run};
use stormhook_tests::wait;

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_tells_its_whole_chain_of_cause() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s6", "up", (1, 3), json!({})).await;
    let headers = [
        ("prefer", "wait=60"),
        ("user-agent", "Alertmanager/0.28"),
        ("x-request-id", "r-1"),
        ("authorization", "Bearer secret"),
    ];
    let (_, fired) = up.post(&hook, "load is high", &headers).await;
    let detail = detail(&up, &fired).await;
    assert_eq!(detail["source"]["userAgent"], "Alertmanager/0.28");
    assert_eq!(detail["headers"]["x-request-id"], "r-1", "{detail}");
    assert!(!detail.to_string().contains("secret"), "{detail}");
    assert_eq!(detail["body"], "load is high");
    assert_eq!(detail["plan"]["action"]["to"], 3);
    assert_eq!(detail["waiting"], Value::Null);
    assert_eq!(detail["parent"], Value::Null);
    let service = "/v2-beta/projects/1a5/services/1s6";
    let (first, last) = ("GET ".to_owned() + service, "PUT ".to_owned() + service);
    let calls = calls_of(&detail);
    assert_eq!(calls.first(), Some(&("decision", first.as_str(), None)));
    assert_eq!(calls.last(), Some(&("action", last.as_str(), None)));
    assert_eq!(detail["callsLeftOut"], 0);
    assert!(detail["calls"][0]["at"].is_string() && detail["calls"][0]["millis"].is_u64());

    let (_, rejected) = up.post(&hook, "", &headers).await;
    assert_eq!(rejected["outcome"]["code"], "aboveMax");
    let detail = self::detail(&up, &rejected).await;
    assert_eq!(calls_of(&detail), [("decision", first.as_str(), None)]);

    let (code, told, error) = run(folder.path(), &["show", fired["id"].as_str().unwrap()]).await;
    assert_eq!(code, 0, "{error}");
    let moments = [
        "succeeded (scaled)",
        "asked by 127.0.0.1, Alertmanager/0.28",
        "receiver up (scaleService), group service/1a5/1s6",
        "x-request-id: r-1",
        "load is high",
        "called GET /v2-beta/projects/1a5/services/1s6",
        "planned to scale api from 2 to 3",
        "under revision 1 of the receiver",
        "called PUT /v2-beta/projects/1a5/services/1s6",
        "scaled api from 2 to 3",
    ];
    let mut rest = told.as_str();
    for moment in moments {
        let found = rest.find(moment);
        rest = &rest[found.unwrap_or_else(|| panic!("no {moment:?} in {rest}"))..];
    }
    let (code, _, error) = run(folder.path(), &["show", "nothing"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("no trigger's id"), "{error}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_trigger_tells_its_place_in_line_and_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 100), json!({})).await;
    up.tweak("knobs", &json!({"outage": true})).await;
    let mut fired = Vec::new();
    for _ in 0..3 {
        fired.push(up.fire(&hook).await.unwrap().1);
    }
    let waiting = wait::until("a reason for waiting", || async {
        let waiting = detail(&up, &fired[2]).await["waiting"].clone();
        let what = waiting["waitsFor"].as_str().unwrap_or_default();
        if what.contains("platform") {
            Ok(waiting)
        } else {
            Err(waiting.to_string())
        }
    })
    .await;
    assert_eq!(
        (&waiting["ahead"], &waiting["isMore"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(detail(&up, &fired[0]).await["waiting"]["ahead"], 0);

    up.tweak("knobs", &json!({"outage": false})).await;
    up.settled().await;
    let detail = detail(&up, &fired[0]).await;
    assert_eq!(detail["waiting"], Value::Null);
    let failed =
        |call: &(&str, &str, Option<&str>)| call.2.is_some_and(|error| error.contains("503"));
    assert!(calls_of(&detail).iter().any(failed), "{detail}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tried_in_vain_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let options = json!({"deadlineSeconds": 1});
    let hook = up.scaling("short", "1s5", "up", (1, 100), options).await;
    up.tweak("knobs", &json!({"errorRate": 1.0})).await;
    let failed = up.outcome(&hook, "").await;
    assert_eq!(failed["outcome"]["code"], "deadlineExceeded", "{failed}");
    let detail = detail(&up, &failed).await;
    let calls = calls_of(&detail);
    assert!(calls.len() > 1, "{detail}");
    assert!(
        calls
            .iter()
            .all(|(phase, _, error)| *phase == "decision" && error.is_some())
    );
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_leads_to_its_whole_and_the_whole_to_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up
        .upgrading("pushed", json!({"release": "shop"}), json!({}))
        .await;
    let push = json!({"push_data": {"tag": "v2"}, "repository": {"repo_name": "example/shop"}});
    let whole = up.outcome(&hook, &push.to_string()).await;
    assert_eq!(whole["outcome"]["code"], "upgraded", "{whole}");
    let detail = detail(&up, &whole).await;
    let part = &detail["children"][0];
    assert_eq!(part["outcome"]["code"], "upgraded", "{detail}");
    let part = self::detail(&up, part).await;
    assert_eq!(part["parent"]["id"], whole["id"]);
    let called = calls_of(&part);
    assert!(
        called
            .iter()
            .any(|(phase, what, _)| *phase == "action" && what.starts_with("POST")),
        "{part}"
    );
    up.stop().await;
}

async fn detail(up: &Up, trigger: &Value) -> Value {
    let path = format!("triggers/{}", trigger["id"].as_str().unwrap());
    let (status, detail) = up.api(Method::GET, &path, None).await;
    assert!(status.is_success(), "{detail}");
    detail
}

/// Phase, name and error of each call.
fn calls_of(detail: &Value) -> Vec<(&str, &str, Option<&str>)> {
    let calls = detail["calls"].as_array().unwrap();
    calls
        .iter()
        .map(|call| {
            (
                call["phase"].as_str().unwrap(),
                call["what"].as_str().unwrap(),
                call["error"].as_str(),
            )
        })
        .collect()
}
