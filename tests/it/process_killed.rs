//! Killed at random moments under load, twenty times: every accepted trigger has exactly one outcome, and the
//! platform stands where the triggers lead, in their order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};
use stormhook_tests::random::Random;
use stormhook_tests::up::{Hook, Up};
use tokio::sync::{RwLock, watch};

const TRIGGERS: usize = 10_000;
const KILLS: usize = 20;
const CALLERS: usize = 16;
const BOUNDS: (u32, u32) = (1, 40);

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_under_ten_thousand_triggers() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::seeded();
    let up = Up::start(folder.path()).await;
    let hooks = [
        up.scaling("up", "1s5", "up", BOUNDS, json!({})).await,
        up.scaling("down", "1s5", "down", BOUNDS, json!({})).await,
        up.scaling("api", "1s6", "up", (1, 100_000), json!({}))
            .await,
    ];
    let running = Arc::new(RwLock::new(Some(up)));
    let accepted = Arc::new(watch::Sender::new(Vec::new()));
    let sent = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            tokio::spawn(call(
                running.clone(),
                accepted.clone(),
                sent.clone(),
                hooks.clone(),
            ))
        })
        .collect();

    for kill in 0..KILLS {
        // Spread over the whole stream, so that each comes in the middle of it.
        let moment = kill * TRIGGERS / KILLS + random.below((TRIGGERS / KILLS) as u64) as usize;
        let mut reached = accepted.subscribe();
        reached
            .wait_for(|accepted: &Vec<String>| accepted.len() >= moment)
            .await
            .unwrap();
        // Whoever is answered just now goes on; whoever waits for an answer gets none.
        let up = running.write().await.take().expect("it runs");
        up.kill().await;
        println!("kill {kill} with {} accepted", accepted.borrow().len());
        *running.write().await = Some(Up::start(folder.path()).await);
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let up = running.write().await.take().expect("it runs");
    up.settled().await;

    let history = up.history("").await;
    let mut outcomes: HashMap<&str, usize> = HashMap::new();
    for trigger in &history {
        assert_eq!(trigger["state"], "settled", "{trigger}");
        *outcomes.entry(trigger["id"].as_str().unwrap()).or_default() += 1;
    }
    let accepted = accepted.borrow();
    assert!(accepted.len() >= TRIGGERS);
    for id in &*accepted {
        assert_eq!(outcomes.get(id.as_str()), Some(&1), "outcomes of {id}");
    }
    assert!(outcomes.values().all(|count| *count == 1));
    expect_no_overlap(&up.calls().await);
    assert_eq!(up.scale("1s5").await, fold(&history, "service/1a5/1s5", 1));
    assert_eq!(up.scale("1s6").await, fold(&history, "service/1a5/1s6", 2));
    up.stop().await;
}

async fn call(
    running: Arc<RwLock<Option<Up>>>,
    accepted: Arc<watch::Sender<Vec<String>>>,
    sent: Arc<AtomicUsize>,
    hooks: [Hook; 3],
) {
    while accepted.borrow().len() < TRIGGERS {
        let request = {
            let place = running.read().await;
            let Some(up) = place.as_ref() else {
                tokio::task::yield_now().await; // It is being started again.
                continue;
            };
            let number = sent.fetch_add(1, Ordering::Relaxed);
            let hook = &hooks[[0, 0, 1, 2][number % 4]];
            up.request(reqwest::Method::POST, &hook.path)
        };
        if let Ok(answer) = request.send().await
            && answer.status() == StatusCode::ACCEPTED
            && let Ok(body) = answer.json::<Value>().await
        {
            let id = body["id"].as_str().unwrap().to_owned();
            accepted.send_modify(|accepted| accepted.push(id));
        }
    }
}

/// Writes to one service, one after the other.
fn expect_no_overlap(calls: &[Value]) {
    let mut ended: HashMap<&str, &str> = HashMap::new();
    for call in calls {
        let started = call["startedAt"].as_str().unwrap();
        let service = call["resource"].as_str().unwrap();
        if let Some(ended) = ended.insert(service, call["endedAt"].as_str().unwrap()) {
            assert!(ended <= started, "begun before {ended}: {call}");
        }
    }
    assert_eq!(ended.len(), 2, "both services were written to");
}

/// What the triggers of `group` lead to one by one, by the rules that a user reads; each outcome must say the same.
fn fold(history: &[Value], group: &str, start: u64) -> u64 {
    let mut scale = start;
    for trigger in history
        .iter()
        .rev()
        .filter(|trigger| trigger["group"] == group)
    {
        let outcome = &trigger["outcome"];
        let max = if group.ends_with("1s6") {
            100_000
        } else {
            u64::from(BOUNDS.1)
        };
        let (code, to) = match trigger["receiverName"].as_str().unwrap() {
            "down" if scale > u64::from(BOUNDS.0) => ("scaled", scale - 1),
            "down" => ("belowMin", scale),
            _ if scale < max => ("scaled", scale + 1),
            _ => ("aboveMax", scale),
        };
        assert_eq!(
            (outcome["code"].as_str(), outcome["to"].as_u64()),
            (Some(code), Some(to)),
            "{trigger}"
        );
        scale = to;
    }
    scale
}
