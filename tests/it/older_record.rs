//! The ledger does not reach back for ever. A worker that starts with nothing, or loses its log, has what is older from
//! another worker; where no worker has it, the record says where it begins.

use std::fs;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::up::Up;
use stormhook_tests::wait;

const TRIGGERS: usize = 40;

async fn fleet(folder: &Path, workers: usize) -> (Fleet, NatsServer) {
    let nats = NatsServer::start(folder, &jetstream(folder)).await;
    let fleet = Fleet::start(folder, &nats.url(), "", 1, workers).await;
    (fleet, nats)
}

/// Fires triggers one after the other, so that the ledger gets a record or two for each.
async fn work(up: &Up, name: &str, service: &str) {
    let hook = up.scaling(name, service, "up", (1, 100), json!({})).await;
    for _ in 0..TRIGGERS {
        up.outcome(&hook, "").await;
    }
    up.settled().await;
}

/// Has the ledger drop everything but its last `kept` records, as their age does.
async fn forget(nats: &NatsServer, kept: u64) {
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let mut ledger = jetstream.get_stream("STORMHOOK_LEDGER").await.unwrap();
    let last = ledger.info().await.unwrap().state.last_sequence;
    ledger.purge().sequence(last - kept + 1).await.unwrap();
    let state = &ledger.info().await.unwrap().state;
    assert_eq!(state.messages, kept, "{state:?}");
}

/// The heads of so many workers, once all have as many entries.
async fn heads(up: &Up, workers: usize) -> Value {
    wait::until("the same record on every worker", || async {
        let (status, head) = up.api(Method::GET, "audit/head", None).await;
        let told = head["workers"].as_array().cloned().unwrap_or_default();
        let is_level = told.iter().all(|worker| worker["number"] == head["number"]);
        if status == StatusCode::OK && told.len() == workers && is_level {
            Ok(head)
        } else {
            Err(format!("{status} {head}"))
        }
    })
    .await
}

/// Every worker's whole log is as it was written.
async fn expect_verified(up: &Up, heads: &Value) {
    for worker in heads["workers"].as_array().unwrap() {
        let name = worker["worker"].as_str().unwrap();
        let mut path = format!("audit/verification?worker={name}");
        loop {
            let (status, verified) = up.api(Method::POST, &path, None).await;
            assert_eq!(status, StatusCode::OK, "{verified}");
            assert_eq!(verified["problem"], Value::Null, "{verified}");
            if verified["isDone"] == true {
                break;
            }
            path = format!("audit/verification?worker={name}&job={}", verified["job"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_older_record_has_it_from_another() {
    let folder = tempfile::tempdir().unwrap();
    let (mut fleet, nats) = fleet(folder.path(), 2).await;
    work(fleet.ingress(), "web", "1s5").await;
    let (status, _) = fleet
        .ingress()
        .api(Method::POST, "audit/head?action=sign", None)
        .await;
    assert_eq!(status, StatusCode::OK);
    work(fleet.ingress(), "api", "1s6").await;
    let history = fleet.ingress().history("").await;
    assert_eq!(history.len(), 2 * TRIGGERS);
    heads(fleet.ingress(), 2).await;
    forget(&nats, 10).await;

    // A third one, which has never been there.
    fleet.start_worker(2).await;
    let three = heads(fleet.ingress(), 3).await;
    assert_eq!(three["isEqual"], true, "{three}");
    let entries = three["number"].as_u64().unwrap();
    assert!(entries > 2 * TRIGGERS as u64, "{three}");
    expect_verified(fleet.ingress(), &three).await;
    let log = fleet.log("stormhook-worker", 2);
    assert!(
        log.contains("fetching the older part of the record"),
        "{log}"
    );

    // It answers alone what was before it came.
    fleet.stop_worker(0).await;
    fleet.stop_worker(1).await;
    heads(fleet.ingress(), 1).await;
    assert_eq!(fleet.ingress().history("").await, history);

    // One that has lost its log, beside one that has only been away.
    fs::remove_dir_all(folder.path().join("worker1/outcomes")).unwrap();
    fleet.start_worker(0).await;
    fleet.start_worker(1).await;
    work(fleet.ingress(), "more", "1s7").await;
    let again = heads(fleet.ingress(), 3).await;
    assert_eq!(again["isEqual"], true, "{again}");
    assert!(again["number"].as_u64().unwrap() > entries, "{again}");
    expect_verified(fleet.ingress(), &again).await;

    // One that is told to build its log anew.
    let worker = again["workers"][0]["worker"].as_str().unwrap();
    let rebuild = format!("audit/log?action=rebuild&worker={worker}");
    let (status, answer) = fleet.ingress().api(Method::POST, &rebuild, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    wait::until("a log that was set aside", || async {
        let folders = (0..3).map(|number| folder.path().join(format!("worker{number}")));
        let names = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        let is_aside = |name: &std::ffi::OsString| name.to_string_lossy().contains("damaged-");
        if names.iter().any(is_aside) {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
    let rebuilt = heads(fleet.ingress(), 3).await;
    assert_eq!(
        (&rebuilt["isEqual"], &rebuilt["hash"]),
        (&json!(true), &again["hash"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_worker_has_it_the_record_begins_with_the_ledger_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (mut fleet, nats) = fleet(folder.path(), 1).await;
    work(fleet.ingress(), "web", "1s5").await;
    fleet.stop_worker(0).await;
    fs::remove_dir_all(folder.path().join("worker0/outcomes")).unwrap();
    forget(&nats, 10).await;
    fleet.start_worker(0).await;
    let log = fleet.log("stormhook-worker", 0);
    assert!(
        log.contains("the older part of the record is gone"),
        "{log}"
    );
    let head = heads(fleet.ingress(), 1).await;
    expect_verified(fleet.ingress(), &head).await;
    let (status, page) = fleet
        .ingress()
        .api(Method::GET, "audit/entries", None)
        .await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(page["entries"][0]["type"], "began", "{page}");
    let left = fleet.ingress().history("").await.len();
    assert!((1..TRIGGERS).contains(&left), "{left}");
    // A second worker has the same record.
    fleet.start_worker(1).await;
    work(fleet.ingress(), "api", "1s6").await;
    let two = heads(fleet.ingress(), 2).await;
    assert_eq!(two["isEqual"], true, "{two}");
}
