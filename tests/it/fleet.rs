//! Several processes on NATS share the work: whichever is killed, frozen or added, every accepted trigger has exactly
//! one outcome, and no two of them write to one service at the same time.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Value, json};
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::random::Random;
use stormhook_tests::up::{Hook, Up, sandbox};
use stormhook_tests::wait;
use tokio::process::Child;
use tokio::sync::{RwLock, watch};

const PROCESSES: usize = 3;
const SERVICES: usize = 20;
const TRIGGERS: usize = 3_000;
const CALLERS: usize = 8;

/// Processes on one nats-server and one practice platform.
struct Fleet {
    folder: PathBuf,
    nats: Option<NatsServer>,
    platform: String,
    _sandbox: Child,
    members: Vec<RwLock<Option<Up>>>,
}

impl Fleet {
    async fn start(folder: &Path) -> Self {
        let nats = NatsServer::start(folder, &jetstream(folder)).await;
        let (child, platform) = sandbox(&folder.join("sandbox"), &[]).await;
        std::fs::write(folder.join("secret"), [7; 32]).unwrap();
        let text = format!(
            "backbone = \"{}\"\nsecret_file = \"secret\"\n\
             [projects.1a5]\nplatform = \"rancher\"\nurl = \"{platform}\"\n",
            nats.url()
        );
        std::fs::write(folder.join("stormhook.toml"), text).unwrap();
        let mut fleet = Self {
            folder: folder.to_owned(),
            nats: Some(nats),
            platform: platform.trim_end_matches("/v2-beta").to_owned(),
            _sandbox: child,
            members: Vec::new(),
        };
        for number in 0..PROCESSES {
            let member = fleet.member(number).await;
            fleet.members.push(RwLock::new(Some(member)));
        }
        fleet
    }

    async fn member(&self, number: usize) -> Up {
        let config = self.folder.join("stormhook.toml");
        let data = self.folder.join(format!("member{number}"));
        let mut up = Up::start_with(&data, &["--config", config.to_str().unwrap()]).await;
        up.sandbox.clone_from(&self.platform);
        up
    }

    async fn kill_and_restart(&self, number: usize) {
        let up = self.members[number].write().await.take().expect("it runs");
        up.kill().await;
        let again = self.member(number).await;
        *self.members[number].write().await = Some(again);
    }

    /// Fires `hook` at a member. `None`: that one was killed meanwhile, or does not answer.
    async fn fire(&self, number: usize, hook: &Hook) -> Option<String> {
        let member = self.members[number].try_read().ok()?;
        let (status, trigger) = member.as_ref()?.fire(hook).await.ok()?;
        (status == StatusCode::ACCEPTED).then(|| trigger["id"].as_str().unwrap().to_owned())
    }
}

/// Fires at all hooks and members by turns until so many triggers are accepted.
async fn load(
    fleet: Arc<Fleet>,
    hooks: Arc<Vec<Hook>>,
    accepted: Arc<watch::Sender<Vec<String>>>,
    mut turn: usize,
) {
    while accepted.borrow().len() < TRIGGERS {
        turn += 1;
        match fleet.fire(turn % PROCESSES, &hooks[turn % SERVICES]).await {
            Some(id) => {
                accepted.send_modify(|accepted| accepted.push(id));
            }
            None => tokio::task::yield_now().await,
        }
    }
}

async fn hooks(up: &Up) -> (Vec<String>, Vec<Hook>) {
    let new = json!({"count": SERVICES, "name": "shared", "scale": 1});
    let services = up.add_services(&new).await;
    let mut hooks = Vec::new();
    for service in &services {
        let hook = up.scaling(service, service, "up", (1, 1_000_000), json!({}));
        hooks.push(hook.await);
    }
    (services, hooks)
}

/// Every accepted trigger has one outcome; each service stands where its outcomes lead; no two writes to one overlap.
async fn check(up: &Up, services: &[String], accepted: &[String]) {
    up.settled().await;
    let history = up.history("").await;
    let mut outcomes: HashMap<&str, usize> = HashMap::new();
    let mut ups: BTreeMap<&str, u64> = BTreeMap::new();
    for trigger in &history {
        assert_eq!(trigger["outcome"]["status"], "succeeded", "{trigger}");
        *outcomes.entry(trigger["id"].as_str().unwrap()).or_default() += 1;
        let group = trigger["group"].as_str().unwrap();
        *ups.entry(group.rsplit('/').next().unwrap()).or_default() += 1;
    }
    for id in accepted {
        assert_eq!(outcomes.get(id.as_str()), Some(&1), "outcomes of {id}");
    }
    assert!(outcomes.values().all(|count| *count == 1));
    for service in services {
        assert_eq!(
            up.scale(service).await,
            1 + ups[service.as_str()],
            "{service}"
        );
    }
    let mut last: HashMap<String, (String, Value)> = HashMap::new();
    for call in up.calls().await {
        let path = call["path"].as_str().unwrap().to_owned();
        let start = call["startedAt"].as_str().unwrap().to_owned();
        let end = call["endedAt"].as_str().unwrap().to_owned();
        let goal = call["body"]["scale"].clone();
        if let Some((ended, before)) = last.insert(path, (end, goal.clone())) {
            assert!(ended <= start || before == goal, "overlap: {call}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_killed_frozen_and_cut_off_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::seeded();
    let fleet = Arc::new(Fleet::start(folder.path()).await);
    let first = fleet.members[0].read().await;
    let (services, hooks) = hooks(first.as_ref().unwrap()).await;
    drop(first);
    let hooks = Arc::new(hooks);
    let accepted = Arc::new(watch::Sender::new(Vec::new()));
    let callers: Vec<_> = (0..CALLERS)
        .map(|turn| {
            tokio::spawn(load(
                fleet.clone(),
                hooks.clone(),
                accepted.clone(),
                turn * 7,
            ))
        })
        .collect();
    for moment in 1..=4 {
        let mut reached = accepted.subscribe();
        let count = moment * TRIGGERS / 6;
        reached
            .wait_for(|accepted| accepted.len() >= count)
            .await
            .unwrap();
        let victim = random.below(PROCESSES as u64) as usize;
        println!("moment {moment}: member {victim}");
        if moment % 2 == 1 {
            fleet.kill_and_restart(victim).await;
        } else {
            // Frozen for longer than its leases last: others take over, and then it thaws.
            let frozen = fleet.members[victim].write().await;
            frozen.as_ref().unwrap().signal("STOP").await;
            let other = fleet.members[(victim + 1) % PROCESSES].read().await;
            let other = other.as_ref().unwrap();
            wait::until("all groups act while one member is frozen", || async {
                let fired = futures::future::join_all(
                    hooks
                        .iter()
                        .map(|hook| other.post(hook, "", &[("prefer", "wait=10")])),
                );
                let waiting = fired
                    .await
                    .iter()
                    .filter(|one| one.0 != StatusCode::OK)
                    .count();
                if waiting == 0 {
                    Ok(())
                } else {
                    Err(format!("{waiting} groups wait"))
                }
            })
            .await;
            frozen.as_ref().unwrap().signal("CONT").await;
        }
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let last = fleet.members[1].read().await;
    check(last.as_ref().unwrap(), &services, &accepted.borrow()).await;
    // Each member tells the same history.
    let told = last.as_ref().unwrap().history("").await.len();
    for member in &fleet.members {
        let member = member.read().await;
        let member = member.as_ref().unwrap();
        member.settled().await;
        assert_eq!(member.history("").await.len(), told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nats_server_refuses_callers_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path()).await;
    let nats = fleet.nats.take().unwrap();
    let up = fleet.members[0].write().await.take().unwrap();
    let hook = up.scaling("up", "1s6", "up", (1, 100), json!({})).await;
    up.outcome(&hook, "").await;
    let mut nats = nats;
    nats.kill().await;
    let refused = wait::until("a refusal", || async {
        let (status, error) = up.fire(&hook).await.map_err(|error| error.to_string())?;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            Ok(error)
        } else {
            Err(format!("{status}"))
        }
    })
    .await;
    assert!(
        refused["message"].as_str().unwrap().contains("NATS"),
        "{refused}"
    );
    let (status, ready) =
        stormhook_tests::up::read(up.request(reqwest::Method::GET, "/readyz")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        ready["parts"]["NATS"]
            .as_str()
            .unwrap()
            .contains("no connection"),
        "{ready}"
    );
    let _nats = nats.restart().await;
    wait::until("triggers to be accepted again", || async {
        let (status, error) = up.fire(&hook).await.map_err(|error| error.to_string())?;
        if status == StatusCode::ACCEPTED {
            Ok(())
        } else {
            Err(error.to_string())
        }
    })
    .await;
    up.settled().await;
    let settled = up.history("&status=succeeded").await.len() as u64;
    assert_eq!(up.scale("1s6").await, 2 + settled);
    up.stop().await;
}
