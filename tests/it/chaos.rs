//! A fleet on a NATS cluster goes through everything that can happen to it, in an order that a seed decides: programs are
//! killed, frozen, added and removed, servers are killed and cut off, the platform is down or answers with errors.
//! Afterwards the records must fit together. `scripts/chaos` runs it for longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use stormhook_shared::nats::{Nats, NatsOptions};
use stormhook_tests::evidence::Evidence;
use stormhook_tests::fleet::Fleet;
use stormhook_tests::nats_cluster::NatsCluster;
use stormhook_tests::random::Random;
use stormhook_tests::up::{Hook, http};
use stormhook_tests::wait;
use tokio::sync::{Mutex, RwLock};

const INGRESSES: usize = 2;
const WORKERS: usize = 3;
const GROUPS: usize = 200;
const CALLERS: usize = 6;
/// The bounds of every receiver: both are reached.
const BOUNDS: (u32, u32) = (1, 6);
/// How many of each kind of trouble there are at least, whatever the time.
const LEAST_ROUNDS: usize = 1;

/// What everybody in the story shares.
struct Scene {
    fleet: RwLock<Fleet>,
    /// The ingresses' addresses, as callers know them.
    addresses: RwLock<Vec<String>>,
    hooks: Vec<Hook>,
    services: Vec<String>,
    accepted: Mutex<Vec<String>>,
    is_over: AtomicBool,
    freezes: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_goes_through_everything_and_its_records_fit() {
    // Kept when the story does not come to its end.
    let folder = tempfile::tempdir().unwrap().keep();
    println!("logs are in {}", folder.display());
    let mut random = Random::seeded();
    let cluster = NatsCluster::start(&folder, &mut random, "always").await;
    let url = cluster.url();
    let fleet = Fleet::start(&folder, &url, "replicas = 3", INGRESSES, WORKERS).await;
    let scene = Arc::new(Scene::set(fleet).await);
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| tokio::spawn(call(Arc::clone(&scene), random.below(u64::MAX), number)))
        .collect();
    let cluster = trouble(&scene, cluster, &mut random).await;
    scene.is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let found = conclude(&scene, &cluster).await;
    drop(cluster);
    found.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

impl Scene {
    /// A service with an up and a down receiver for each group.
    async fn set(fleet: Fleet) -> Self {
        let new = json!({"count": GROUPS, "name": "shared", "scale": 1});
        let up = fleet.ingress();
        let services = up.add_services(&new).await;
        let mut hooks = Vec::new();
        for service in &services {
            for action in ["up", "down"] {
                let name = format!("{service}-{action}");
                hooks.push(up.scaling(&name, service, action, BOUNDS, json!({})).await);
            }
        }
        let addresses = fleet.ingresses.iter().flatten();
        let addresses = addresses.map(|up| up.address.clone()).collect();
        Self {
            fleet: RwLock::new(fleet),
            addresses: RwLock::new(addresses),
            hooks,
            services,
            accepted: Mutex::default(),
            is_over: AtomicBool::new(false),
            freezes: AtomicUsize::new(0),
        }
    }
}

/// Fires at random hooks until the story is over. Every other trigger has a key and is sent again until it is accepted.
async fn call(scene: Arc<Scene>, seed: u64, number: usize) {
    let mut random = Random::from_seed(seed);
    let http = http();
    for round in 0_u64.. {
        if scene.is_over.load(Ordering::Relaxed) {
            return;
        }
        let hook = &scene.hooks[usize::try_from(random.below(scene.hooks.len() as u64)).unwrap()];
        let key = (round % 2 == 0).then(|| format!("caller{number}-{round}"));
        loop {
            let accepted = fire(&scene, &http, hook, key.as_deref(), &mut random).await;
            if let Some(id) = accepted {
                scene.accepted.lock().await.push(id);
            } else if key.is_some() && !scene.is_over.load(Ordering::Relaxed) {
                continue;
            }
            break;
        }
    }
}

/// Fires once, at any ingress. `None`: it was not accepted, or nobody knows.
async fn fire(
    scene: &Scene,
    http: &reqwest::Client,
    hook: &Hook,
    key: Option<&str>,
    random: &mut Random,
) -> Option<String> {
    let address = {
        let addresses = scene.addresses.read().await;
        addresses[usize::try_from(random.below(INGRESSES as u64)).unwrap()].clone()
    };
    let mut request = http.post(format!("{address}{}", hook.path));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let answer = request.send().await.ok()?;
    if answer.status() != StatusCode::ACCEPTED {
        return None;
    }
    let trigger: serde_json::Value = answer.json().await.ok()?;
    trigger["id"].as_str().map(ToOwned::to_owned)
}

/// Makes trouble of every kind, in the order that the seed decides, for the time that `STORMHOOK_CHAOS_MINUTES` says.
async fn trouble(scene: &Scene, mut cluster: NatsCluster, random: &mut Random) -> NatsCluster {
    let minutes = std::env::var("STORMHOOK_CHAOS_MINUTES").ok();
    let minutes: u64 = minutes.map_or(0, |minutes| minutes.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || Instant::now() < end {
        let mut kinds: Vec<u64> = (0..9).collect();
        while !kinds.is_empty() {
            let index = usize::try_from(random.below(kinds.len() as u64)).unwrap();
            let kind = kinds.swap_remove(index);
            let number = usize::try_from(random.below(6)).unwrap();
            println!("trouble {kind}, number {number}");
            make(scene, &mut cluster, kind, number).await;
            progress(scene).await;
        }
        rounds += 1;
    }
    cluster
}

/// Makes trouble of one kind, and ends it again.
async fn make(scene: &Scene, cluster: &mut NatsCluster, kind: u64, number: usize) {
    let mut fleet = scene.fleet.write().await;
    match kind {
        0 => {
            fleet.kill_worker(number % WORKERS).await;
            fleet.start_worker(number % WORKERS).await;
        }
        1 => {
            let number = number % INGRESSES;
            fleet.ingresses[number].take().unwrap().kill().await;
            fleet.start_ingress(number).await;
            let address = fleet.ingresses[number].as_ref().unwrap().address.clone();
            scene.addresses.write().await[number] = address;
        }
        2 => {
            scene.freezes.fetch_add(1, Ordering::Relaxed);
            let frozen = fleet.workers[number % WORKERS].as_ref().unwrap();
            frozen.signal("STOP").await;
            others_take_over(&fleet, number % WORKERS).await;
            frozen.signal("CONT").await;
        }
        3 => {
            fleet.start_worker(WORKERS).await;
            fleet.everybody_has_a_share().await;
            fleet.stop_worker(WORKERS).await;
        }
        4 => {
            let number = number % cluster.len();
            cluster.kill(number).await;
            cluster.restart(number);
        }
        5 => {
            for number in 0..cluster.len() {
                cluster.kill(number).await;
            }
            for number in 0..cluster.len() {
                cluster.restart(number);
            }
        }
        6 => {
            if cluster.cut_off(true).await {
                drop(fleet);
                progress(scene).await;
                cluster.cut_off(false).await;
            }
        }
        7 => {
            fleet
                .ingress()
                .tweak("knobs", &json!({"outage": true}))
                .await;
            drop(fleet);
            waits(scene).await;
            let fleet = scene.fleet.read().await;
            fleet
                .ingress()
                .tweak("knobs", &json!({"outage": false}))
                .await;
        }
        _ => {
            let faulty = json!({"errorRate": 0.05, "errorAfterRate": 0.05});
            fleet.ingress().tweak("knobs", &faulty).await;
            drop(fleet);
            progress(scene).await;
            let sound = json!({"errorRate": 0.0, "errorAfterRate": 0.0});
            let fleet = scene.fleet.read().await;
            fleet.ingress().tweak("knobs", &sound).await;
        }
    }
}

/// Waits until more triggers were accepted, and the platform was called for them.
async fn progress(scene: &Scene) {
    let accepted = scene.accepted.lock().await.len();
    let writes = settled(scene).await;
    wait::until("triggers to be accepted and settled", || async {
        let (now, written) = (scene.accepted.lock().await.len(), settled(scene).await);
        if now > accepted + 50 && written > writes + 20 {
            Ok(())
        } else {
            Err(format!(
                "{now} accepted, {written} settled, after {accepted} and {writes}"
            ))
        }
    })
    .await;
}

/// Waits until more triggers were accepted, whatever came of them.
async fn waits(scene: &Scene) {
    let accepted = scene.accepted.lock().await.len();
    wait::until("triggers to be accepted", || async {
        let now = scene.accepted.lock().await.len();
        if now > accepted + 200 {
            Ok(())
        } else {
            Err(format!("{now} after {accepted}"))
        }
    })
    .await;
}

/// How many changing calls the platform has recorded.
async fn settled(scene: &Scene) -> u64 {
    scene.fleet.read().await.ingress().call_count().await
}

/// Waits until all partitions are owned by workers other than `frozen`.
async fn others_take_over(fleet: &Fleet, frozen: usize) {
    wait::until("the others to take over", || async {
        let mut owned = 0;
        for (number, worker) in fleet.workers.iter().enumerate() {
            if let Some(worker) = worker
                && number != frozen
            {
                owned += worker.metric("stormhook_partitions_owned").await?;
            }
        }
        if owned == 32 {
            Ok(())
        } else {
            Err(format!("{owned} of 32"))
        }
    })
    .await;
}

/// Lets everything come to rest, and checks that it fits together.
async fn conclude(scene: &Scene, cluster: &NatsCluster) -> Result<(), String> {
    let mut fleet = scene.fleet.write().await;
    let up = fleet.ingress();
    // A late write of a frozen worker is seen by the next batch at the latest.
    for hook in &scene.hooks {
        // A server that has just come back may have the cluster choose a leader once more.
        wait::until("a last trigger to be accepted", || async {
            let (status, answer) = up.post(hook, "", &[("idempotency-key", "last")]).await;
            match status {
                StatusCode::ACCEPTED => Ok(()),
                StatusCode::SERVICE_UNAVAILABLE => Err(answer.to_string()),
                _ => panic!("{status}: {answer}"),
            }
        })
        .await;
    }
    up.settled().await;
    // A server that was away may be behind, and tell what was there before.
    cluster
        .level(&["STORMHOOK_TRIGGERS", "STORMHOOK_LEDGER"])
        .await;
    let url = cluster.url();
    let nats = Nats::connect(&NatsOptions::at(&url), &Arc::default()).await;
    let nats = nats.map_err(|error| error.to_string())?;
    let mut evidence = Evidence::gather(&nats.backbone()).await;
    nats.close().await;
    evidence.accepted.clone_from(&*scene.accepted.lock().await);
    evidence.freezes = scene.freezes.load(Ordering::Relaxed);
    evidence.calls = up.calls().await;
    for service in &scene.services {
        let scale = up.scale(service).await;
        evidence.scales.insert(service.clone(), scale);
    }
    println!("{} triggers were accepted", evidence.accepted.len());
    evidence.check()?;
    heads_are_equal(&mut fleet).await
}

/// All workers' outcome logs end with the same hash.
async fn heads_are_equal(fleet: &mut Fleet) -> Result<(), String> {
    wait::until("all outcome logs to be level", || async {
        let mut entries = Vec::new();
        for worker in fleet.workers.iter().flatten() {
            entries.push(worker.metric("stormhook_outcome_log_entries").await?);
        }
        entries.dedup();
        if entries.len() == 1 {
            Ok(())
        } else {
            Err(format!("{entries:?}"))
        }
    })
    .await;
    let mut heads = BTreeMap::new();
    for number in 0..WORKERS {
        fleet.stop_worker(number).await;
        let log = fleet.log("stormhook-worker", number);
        let closed = log
            .lines()
            .rfind(|line| line.contains("outcome log closed"));
        let closed = closed.ok_or("a worker did not close its outcome log")?;
        let head = closed.split("head=").nth(1).unwrap_or(closed).to_owned();
        heads.insert(head, number);
    }
    if heads.len() == 1 {
        return Ok(());
    }
    Err(format!("the outcome logs end differently: {heads:?}"))
}
