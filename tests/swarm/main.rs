//! Stories of what a user of Docker Swarm sees, on real engines. They share one swarm, which takes longer to start than
//! most of them: this is one test to the runner, and tells of every story by itself.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

mod connections;
mod contract;
mod nodes;
mod scaling;
mod upgrades;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use stormhook_tests::swarm::{Swarm, is_possible};
use stormhook_tests::up::{Hook, Up};

macro_rules! tell {
    ($swarm:ident: $($module:ident :: $story:ident),* $(,)?) => {{
        let mut failed = Vec::new();
        $(
            let started = Instant::now();
            let told = AssertUnwindSafe($module::$story(&$swarm)).catch_unwind().await;
            let verdict = if told.is_ok() { "ok" } else { "FAILED" };
            println!("{verdict}: {} in {:.1?}", stringify!($story), started.elapsed());
            if told.is_err() {
                failed.push(stringify!($story));
            }
        )*
        failed
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_swarm() {
    if !is_possible() {
        return;
    }
    let swarm = Swarm::start(2).await;
    let failed = tell!(swarm:
        contract::every_law_of_platforms_holds,
        connections::an_engine_that_cannot_be_used_is_told_and_holds_up_nobody,
        scaling::two_thousand_alerts_are_a_few_dozen_updates,
        scaling::what_others_change_meanwhile_is_kept,
        scaling::what_cannot_be_scaled_is_refused,
        upgrades::a_push_upgrades_what_runs_its_repository_and_keeps_the_rest,
        upgrades::an_image_that_cannot_be_pulled_ends_as_the_receiver_says,
        upgrades::a_killed_worker_goes_on_with_its_own_update,
        nodes::nodes_of_a_pool_are_drained_activated_and_removed,
    );
    swarm.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
}

/// Fires `hook` and returns its trigger with the outcome, however long engines on a busy machine take.
async fn outcome(up: &Up, hook: &Hook, body: &str) -> Value {
    let (status, fired) = up.post(hook, body, &[]).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{fired}");
    up.settled().await;
    let path = format!("triggers/{}", fired["id"].as_str().unwrap());
    let (status, trigger) = up.api(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{trigger}");
    trigger
}

/// A Stormhook whose project 1a5 is the swarm, with its data in `folder`.
async fn up_on(swarm: &Swarm, folder: &std::path::Path) -> Up {
    let file = swarm.configuration(folder, "");
    Up::start_with(&folder.join("data"), &["--config", &file]).await
}
