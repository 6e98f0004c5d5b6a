//! Programs on NATS as their operators see them: what they tell while NATS or the workers are not there, and what becomes
//! of things in the streams that are none of ours.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::nats_cluster::NatsCluster;
use stormhook_tests::random::Random;
use stormhook_tests::up::{Hook, Up, http, read};
use stormhook_tests::wait;
use tokio::process::Command;

async fn fleet(folder: &Path, workers: usize) -> (Fleet, NatsServer) {
    let nats = NatsServer::start(folder, &jetstream(folder)).await;
    let fleet = Fleet::start(folder, &nats.url(), "", 1, workers).await;
    (fleet, nats)
}

/// Fires `hook` until it is answered with `status`, and returns the answer.
async fn fire_until(up: &Up, hook: &Hook, status: StatusCode) -> Value {
    wait::until(status.as_str(), || async {
        let (found, answer) = up.fire(hook).await.map_err(|error| error.to_string())?;
        if found == status {
            Ok(answer)
        } else {
            Err(format!("{found}: {answer}"))
        }
    })
    .await
}

/// Waits until the program at `address` says of itself that it is not ready, with `reason`, and returns all that it says.
async fn unready(address: &str, reason: &str) -> String {
    wait::until(reason, || async {
        let answer = http().get(format!("{address}/readyz")).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if text.contains(reason) {
            Ok(text)
        } else {
            Err(text)
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_wait_for_a_cluster_to_have_a_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = NatsCluster::start(folder.path(), &mut Random::seeded(), "always").await;
    let url = cluster.url();
    let mut fleet = Fleet::start(folder.path(), &url, "replicas = 3", 0, 0).await;
    for number in [1, 2] {
        cluster.kill(number).await;
    }
    let (child, address) = fleet.spawn_ingress(0).await;
    unready(&address, "JetStream does not answer").await;
    for number in [1, 2] {
        cluster.restart(number);
    }
    fleet.adopt_ingress(child, address).await;
    fleet.start_worker(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nats_server_refuses_callers_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, mut nats) = fleet(folder.path(), 1).await;
    let up = fleet.ingress();
    let hook = up.scaling("up", "1s6", "up", (1, 100), json!({})).await;
    up.outcome(&hook, "").await;
    nats.kill().await;
    let refused = fire_until(up, &hook, StatusCode::SERVICE_UNAVAILABLE).await;
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("NATS"), "{refused}");
    let (status, ready) = read(up.request(Method::GET, "/readyz")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let part = ready["parts"]["NATS"].as_str().unwrap();
    assert!(part.contains("no connection"), "{ready}");
    let _nats = nats.restart().await;
    fire_until(up, &hook, StatusCode::ACCEPTED).await;
    up.settled().await;
    let settled = up.history("&status=succeeded").await.len() as u64;
    assert_eq!(up.scale("1s6").await, 2 + settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_triggers_are_accepted_and_history_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut fleet, _nats) = fleet(folder.path(), 1).await;
    let hook = fleet
        .ingress()
        .scaling("up", "1s6", "up", (1, 100), json!({}));
    let hook = hook.await;
    fleet.stop_worker(0).await;
    wait::until("the ingress among all ingresses", || async {
        let (_, system) = fleet.ingress().api(Method::GET, "system", None).await;
        let (id, ingresses) = (&system["ingress"]["id"], &system["ingresses"]);
        match ingresses.as_array() {
            Some(all) if id.is_string() && all == std::slice::from_ref(id) => Ok(()),
            _ => Err(system.to_string()),
        }
    })
    .await;
    fire_until(fleet.ingress(), &hook, StatusCode::ACCEPTED).await;
    let (status, error) = fleet.ingress().api(Method::GET, "triggers", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{error}");
    assert!(
        error["message"].as_str().unwrap().contains("no worker"),
        "{error}"
    );
    fleet.start_worker(0).await;
    fleet.ingress().settled().await;
    assert_eq!(fleet.ingress().scale("1s6").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_wait_for_nats_and_say_where_they_look_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut nats = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    nats.kill().await;
    let mut fleet = Fleet::start(folder.path(), &nats.url(), "", 0, 0).await;
    let (child, address) = fleet.spawn_ingress(0).await;
    let waiting = unready(&address, "no NATS server answers").await;
    assert!(waiting.contains(&nats.address()), "{waiting}");
    let answer = http()
        .post(format!("{address}/v1-webhooks/endpoint"))
        .send();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    let _nats = nats.restart().await;
    fleet.adopt_ingress(child, address).await;
    fleet.start_worker(0).await;
    let up = fleet.ingress();
    let hook = up.scaling("up", "1s6", "up", (1, 100), json!({})).await;
    assert_eq!(up.outcome(&hook, "").await["outcome"]["to"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_trigger_in_the_stream_is_recorded_counted_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, nats) = fleet(folder.path(), 1).await;
    let up = fleet.ingress();
    let hook = up.scaling("up", "1s6", "up", (1, 100), json!({})).await;
    up.outcome(&hook, "").await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    for partition in 0..32 {
        let subject = format!("stormhook.triggers.{partition}.00ff");
        let stored = jetstream.publish(subject, "junk".into()).await.unwrap();
        stored.await.unwrap();
    }
    assert_eq!(up.outcome(&hook, "").await["outcome"]["to"], 4);
    let worker = fleet.workers[0].as_ref().unwrap();
    wait::until("all junk to be counted", || async {
        match worker
            .metric("stormhook_triggers_undecodable_total")
            .await?
        {
            32 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_a_minute_off_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut fleet, _nats) = fleet(folder.path(), 1).await;
    let Some(faketime) = stormhook_tests::part::find("faketime") else {
        return;
    };
    // What faketime sets, without faketime as another process in between.
    let shown = Command::new(faketime).args(["-f", "+60s", "env"]).output();
    let shown = String::from_utf8(shown.await.unwrap().stdout).unwrap();
    let preload = shown
        .lines()
        .find(|line| line.starts_with("LD_PRELOAD="))
        .unwrap();
    let monotonic = "FAKETIME_DONT_FAKE_MONOTONIC=1";
    let skewed = ["env", preload, "FAKETIME=+60s", monotonic];
    fleet.start_worker_under(1, &skewed).await;
    wait::until("both to have a share", || async {
        let mut owned = Vec::new();
        for worker in fleet.workers.iter().flatten() {
            owned.push(worker.metric("stormhook_partitions_owned").await?);
        }
        if owned == [16, 16] {
            Ok(())
        } else {
            Err(format!("{owned:?}"))
        }
    })
    .await;
    let up = fleet.ingress();
    let new = json!({"count": 20, "name": "skewed", "scale": 1});
    for service in up.add_services(&new).await {
        let hook = up
            .scaling(&service, &service, "up", (1, 100), json!({}))
            .await;
        for scale in 2..5 {
            assert_eq!(up.outcome(&hook, "").await["outcome"]["to"], scale);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_hook_acts_on_nats() {
    let folder = tempfile::tempdir().unwrap();
    let nats = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let fleet = Fleet::start(folder.path(), &nats.url(), "", 2, 2).await;
    let one = fleet.ingress();
    let two = fleet.ingresses[1].as_ref().unwrap();
    let hooks = [
        one.scaling("up", "1s6", "up", (1, 3), json!({})).await,
        one.scaling_hosts("more", "up", json!({"amount": 2})).await,
        one.scaling_hosts("fewer", "down", json!({})).await,
        one.upgrading("shop", json!({"release": "shop"}), json!({}))
            .await,
        one.create(&json!({
            "name": "build", "driver": "forwardPost",
            "forwardPostConfig": {"projectId": "1a5", "serviceName": "api", "port": 80, "path": "/build"},
        }))
        .await,
    ];
    // Made at one ingress, and called at another.
    wait::until("all receivers are known", || async {
        let (_, list) = two.api(Method::GET, "receivers", None).await;
        match list["data"].as_array() {
            Some(known) if known.len() == hooks.len() => Ok(()),
            _ => Err(list.to_string()),
        }
    })
    .await;
    let push = r#"{"push_data": {"tag": "v2"}, "repository": {"repo_name": "example/shop"}}"#;
    for (hook, body, code) in [
        (&hooks[0], "", "scaled"),
        (&hooks[0], "", "aboveMax"),
        (&hooks[1], "", "hostsAdded"),
        (&hooks[2], "", "hostsRemoved"),
        (&hooks[3], push, "upgraded"),
        (&hooks[4], "now", "forwarded"),
    ] {
        let done = two.outcome(hook, body).await;
        assert_eq!(done["outcome"]["code"], code, "{done}");
    }
    assert_eq!(one.scale("1s6").await, 3);
    let names = ["web01", "web02", "web03", "web04", "web05"];
    assert_eq!(one.hosts().await, names, "rack-7 was the oldest");
    one.settled().await;
    assert_eq!(one.history("").await.len(), 7, "the upgrade has a part");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_has_the_same_record() {
    let folder = tempfile::tempdir().unwrap();
    let (mut fleet, _nats) = fleet(folder.path(), 3).await;
    let mut hooks = Vec::new();
    for (name, service) in [("web", "1s5"), ("api", "1s6")] {
        let hook = fleet
            .ingress()
            .scaling(name, service, "up", (1, 20), json!({}));
        hooks.push(hook.await);
    }
    for turn in 0..60 {
        fire_until(fleet.ingress(), &hooks[turn % 2], StatusCode::ACCEPTED).await;
        if turn == 30 {
            fleet.stop_worker(0).await;
            fleet.start_worker(0).await;
        }
    }
    let up = fleet.ingress();
    up.settled().await;
    let (status, signed) = up.api(Method::POST, "audit/head?action=sign", None).await;
    assert_eq!(status, StatusCode::OK, "{signed}");
    // Everything, the record of the signature included, has come to all of them.
    let head = wait::until("the head of every worker", || async {
        let (status, head) = up.api(Method::GET, "audit/head", None).await;
        let workers = head["workers"].as_array().map_or(0, Vec::len);
        let is_there = head["number"].as_u64() > signed["number"].as_u64();
        if status == StatusCode::OK && workers == 3 && is_there {
            Ok(head)
        } else {
            Err(format!("{status} {head}"))
        }
    })
    .await;
    assert_eq!(head["isEqual"], true, "{head}");
    assert!(head["number"].as_u64().unwrap() > 60, "{head}");
    // Each verifies its own log, and is asked by its name.
    for worker in head["workers"].as_array().unwrap() {
        let name = worker["worker"].as_str().unwrap();
        let mut path = format!("audit/verification?worker={name}");
        let verified = loop {
            let (status, verified) = up.api(Method::POST, &path, None).await;
            assert_eq!(status, StatusCode::OK, "{verified}");
            assert_eq!(
                (&verified["worker"], &verified["problem"]),
                (&json!(name), &json!(null))
            );
            if verified["isDone"] == true {
                break verified;
            }
            path = format!("audit/verification?worker={name}&job={}", verified["job"]);
        };
        assert!(
            verified["number"].as_u64() >= head["number"].as_u64(),
            "{verified}"
        );
    }
}
