//! HTTP to the letter: methods, slashes, waits, keys, sizes and time limits. And a platform that
//! hangs, for which nobody else waits.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Hook, Up, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long to wait for what comes within a few seconds, and well below the longest wait that a
/// caller can ask for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest body.
const MEBIBYTE: usize = 1024 * 1024;
/// The headers that can make a trigger's key, those that count first before the others.
const KEYS: [(&str, &str); 5] = [
    ("idempotency-key", "a"),
    ("webhook-id", "b"),
    ("ce-id", "c"),
    ("ce-source", "/registry"),
    ("x-github-delivery", "d"),
];

/// A connection as of a caller that has no HTTP client.
async fn connect(up: &Up) -> TcpStream {
    let address = up.address.trim_start_matches("http://");
    TcpStream::connect(address).await.unwrap()
}

/// What comes over a connection until `end` is in it.
pub(crate) async fn heard(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.contains(end) {
            return text;
        }
        let count = timeout(PATIENCE, stream.read_buf(&mut bytes)).await;
        let count = count.expect("something in time").unwrap();
        assert_ne!(count, 0, "it ended after {text:?}");
    }
}

/// What comes over a connection until the other side ends it, in whichever way.
async fn heard_to_the_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "it is open after {PATIENCE:?}");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Fires with these headers, and returns the answer.
async fn fired(up: &Up, hook: &Hook, headers: &[(&str, &str)]) -> Value {
    let (status, accepted) = up.post(hook, "", headers).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    accepted
}

#[tokio::test]
async fn other_methods_are_refused_and_those_that_are_there_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 9), json!({})).await;
    for (path, allowed) in [
        (hook.path.as_str(), "POST"),
        ("/v1-webhooks/receivers", "GET POST"),
        ("/v1-webhooks/session", "GET POST DELETE"),
        ("/v1-webhooks/events", "GET"),
        ("/", "GET"),
        ("/openapi.json", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/metrics", "GET"),
    ] {
        for method in ["OPTIONS", "PATCH", "BREW"] {
            let sent = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = up.request(sent, path).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 405, "{method} {path}");
            let allow = answer.headers()["allow"].to_str().unwrap().to_owned();
            let listed: Vec<_> = allow.split(',').map(str::trim).collect();
            let is_told = allowed.split(' ').all(|one| listed.contains(&one));
            assert!(is_told, "{path}: {allow}");
            assert!(!listed.contains(&method), "{path}: {allow}");
            let error: Value = answer.json().await.unwrap();
            assert_eq!(error["code"], "MethodNotAllowed", "{method} {path}");
            assert_eq!(error["status"], 405, "{method} {path}");
        }
    }
    let (status, error) = read(up.request(Method::OPTIONS, "/nowhere")).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{error}");
    assert!(up.history("").await.is_empty(), "no trigger came of it");
    up.stop().await;
}

#[tokio::test]
async fn head_is_answered_as_get_without_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 9), json!({})).await;
    let (access_key, secret_key) = up.admin_key();
    let credentials = STANDARD.encode(format!("{access_key}:{secret_key}"));
    for (path, status) in [
        ("/", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/v1-webhooks/receivers?projectId=1a5", 200),
        (hook.path.as_str(), 405),
    ] {
        let lines = [
            format!("HEAD {path} HTTP/1.1"),
            "host: localhost".to_owned(),
            format!("authorization: Basic {credentials}"),
            "connection: close\r\n\r\n".to_owned(),
        ];
        // A client would not show a body that must not be there.
        let mut caller = connect(&up).await;
        let request = lines.join("\r\n");
        caller.write_all(request.as_bytes()).await.unwrap();
        let answer = heard_to_the_end(caller).await;
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{path}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "", "{path}");
    }
    assert!(up.history("").await.is_empty(), "no trigger came of it");
    up.stop().await;
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_path_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 9), json!({})).await;
    let slashed = Hook {
        path: hook.path.replace('?', "/?"),
        ..hook
    };
    let scaled = up.outcome(&slashed, "").await;
    assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
    let receiver = format!("/v1-webhooks/receivers/{}/", slashed.receiver);
    for path in [
        "/v1-webhooks/",
        "/v1-webhooks/receivers/",
        receiver.as_str(),
        "/v1-webhooks/triggers/",
        "/openapi.json/",
        "/healthz/",
        "/readyz/",
        "/metrics/",
    ] {
        let path = format!("{path}?projectId=1a5");
        let answer = up.admin_request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_too_short_ends_with_the_acceptance() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 9), json!({})).await;
    up.tweak("knobs", &json!({"outage": true})).await;
    let begun = Instant::now();
    let request = up.request(Method::POST, &hook.path);
    let answer = request.header("prefer", "wait=1").send().await.unwrap();
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let accepted: Value = answer.json().await.unwrap();
    assert_eq!(accepted["type"], "trigger", "{accepted}");
    assert_eq!(accepted["state"], "accepted", "{accepted}");
    assert_eq!(accepted["receiverId"], hook.receiver.as_str());
    assert_eq!(accepted["group"], "service/1a5/1s5");
    assert_eq!(accepted["links"]["self"], location.as_str());

    let path = location.strip_prefix(&up.address).unwrap();
    let look = || read(up.admin_request(Method::GET, path));
    let (status, pending) = look().await;
    assert_eq!(status, StatusCode::OK, "{pending}");
    assert_eq!(pending["id"], accepted["id"]);
    assert_eq!(pending["state"], "pending", "{pending}");
    assert_eq!(pending["outcome"], Value::Null);

    up.tweak("knobs", &json!({"outage": false})).await;
    up.settled().await;
    let (_, settled) = look().await;
    assert_eq!(settled["state"], "settled", "{settled}");
    assert_eq!(settled["outcome"]["message"], "scaled web from 1 to 2");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_of_no_time_and_waits_that_make_no_sense_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 90), json!({})).await;
    up.tweak("knobs", &json!({"outage": true})).await;
    let preferences = [
        "wait=0",
        "respond-async, wait=0",
        "wait=0, wait=60",
        "wait",
        "wait=",
        "wait=soon",
        "wait=-1",
        "wait=1.5",
        "",
    ];
    for preference in preferences {
        let headers = [("prefer", preference)];
        let accepted = timeout(PATIENCE, fired(&up, &hook, &headers)).await;
        let accepted = accepted.expect("nobody waits");
        assert_eq!(accepted["state"], "accepted", "{preference}");
    }
    up.tweak("knobs", &json!({"outage": false})).await;
    up.settled().await;
    assert_eq!(up.scale("1s5").await, 1 + preferences.len() as u64);

    // Nobody waits longer than a minute.
    let request = up.request(Method::POST, &hook.path);
    let answer = request.header("prefer", "wait=600").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["preference-applied"], "wait=60");
    up.stop().await;
}

#[tokio::test]
async fn of_several_keys_the_first_in_their_order_counts() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 90), json!({})).await;
    let mut ids: Vec<Value> = Vec::new();
    // Where the headers begin that are sent, and how many of them make the key.
    for (first, count) in [(0, 1), (1, 1), (2, 2), (4, 1)] {
        let all = fired(&up, &hook, &KEYS[first..]).await;
        let alone = fired(&up, &hook, &KEYS[first..first + count]).await;
        assert_eq!(all, alone, "{:?}", KEYS[first]);
        assert!(!ids.contains(&all["id"]), "{all} {ids:?}");
        ids.push(all["id"].clone());
    }

    // An event's id means something together with its source alone.
    let elsewhere = [("ce-id", "c"), ("ce-source", "/elsewhere")];
    let other = fired(&up, &hook, &elsewhere).await;
    assert!(!ids.contains(&other["id"]), "{other}");
    for half in [("ce-id", "c"), ("ce-source", "/registry")] {
        let one = fired(&up, &hook, &[half]).await;
        let other = fired(&up, &hook, &[half]).await;
        assert_ne!(one["id"], other["id"], "{half:?} alone is no key");
        let delivered = fired(&up, &hook, &[half, KEYS[4]]).await;
        assert_eq!(delivered["id"], ids[3], "{half:?} is passed over");
    }
    up.settled().await;
    assert_eq!(up.history("").await.len(), 9);
    assert_eq!(up.scale("1s5").await, 10);
    up.stop().await;
}

#[tokio::test]
async fn a_body_has_a_mebibyte_and_not_a_byte_more() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 9), json!({})).await;
    let scaled = up.outcome(&hook, &"x".repeat(MEBIBYTE)).await;
    assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
    let path = format!("triggers/{}", scaled["id"].as_str().unwrap());
    let (_, detail) = up.api(Method::GET, &path, None).await;
    assert_eq!(detail["bodyBytes"], MEBIBYTE);

    let too_large = "x".repeat(MEBIBYTE + 1);
    let (status, error) = up.post(&hook, &too_large, &[]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{error}");
    assert_eq!(error["code"], "PayloadTooLarge", "{error}");

    // The same without its length told before.
    let mut caller = connect(&up).await;
    let size = too_large.len();
    let head = format!("POST {} HTTP/1.1\r\nhost: localhost\r\n", hook.path);
    let chunk = format!("transfer-encoding: chunked\r\n\r\n{size:x}\r\n");
    let request = [head, chunk, too_large].concat();
    caller.write_all(request.as_bytes()).await.unwrap();
    let answer = heard(&mut caller, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    drop(caller);
    assert_eq!(up.history("").await.len(), 1, "the first alone");
    up.stop().await;
}

#[tokio::test]
async fn a_caller_who_does_not_end_a_request_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("up", "1s5", "up", (1, 9), json!({})).await;
    let mut caller = connect(&up).await;
    let half = format!("POST {} HTTP/1.1\r\nhost: local", hook.path);
    caller.write_all(half.as_bytes()).await.unwrap();
    heard_to_the_end(caller).await;
    assert!(up.history("").await.is_empty(), "no trigger came of it");
    let scaled = up.outcome(&hook, "").await;
    assert_eq!(scaled["outcome"]["code"], "scaled", "{scaled}");
    up.stop().await;
}
