//! Nobody waits without end for a server that does not answer. Where the driver's own time-out is long, time is told
//! ahead: the practice platform keeps its own.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::answers::{DOWN, Meaning, UNCERTAIN};
use super::{PATIENCE, Practice, driver_with, forward, scale};

/// Longer than any time-out.
const AGES_MS: u64 = 600_000;

#[tokio::test]
async fn a_change_that_is_answered_too_late_may_have_been_done() {
    let practice = Practice::start().await;
    let brief = Duration::from_millis(500);
    let hasty = driver_with(&practice.sandbox.url(), Some(brief));
    practice.set(json!({"answerLateMs": AGES_MS})).await;
    let started = Instant::now();
    let error = scale(&hasty, "1s6", 5).await.unwrap_err();
    assert_eq!(Meaning::of(&error), DOWN, "{error}");
    assert!(error.to_string().contains("no answer in time"), "{error}");
    let taken = started.elapsed();
    assert!(taken < brief * 10, "it was given up after {taken:?}");
    let calls = practice.calls().await;
    assert_eq!(calls[0]["effect"]["scale"]["to"], 5, "it was done");
}

#[tokio::test]
async fn a_look_that_is_not_answered_is_given_up() {
    let practice = Practice::start().await;
    practice.set(json!({"latencyMs": AGES_MS})).await;
    for group in ["service/1a5/1s6", "hosts/1a5/role=web"] {
        tokio::time::pause();
        let looked = timeout(PATIENCE, practice.observe(group)).await;
        tokio::time::resume();
        let error = looked.expect("it has a time-out").unwrap_err();
        assert_eq!(Meaning::of(&error), DOWN, "{error}");
        assert!(error.to_string().contains("no answer in time"), "{error}");
    }
}

/// It is the service that is slow, not the platform: other groups go on.
#[tokio::test]
async fn a_slow_service_is_given_up_without_a_word_against_the_platform() {
    let practice = Practice::start().await;
    practice
        .set(json!({"slowServices": {"api": AGES_MS}}))
        .await;
    tokio::time::pause();
    let passed_on = timeout(PATIENCE, forward(&practice.rancher, "/")).await;
    tokio::time::resume();
    let error = passed_on.expect("it has a time-out").unwrap_err();
    assert_eq!(Meaning::of(&error), UNCERTAIN, "{error}");
    scale(&practice.rancher, "1s6", 3).await.unwrap();
}

/// docs/decisions/014: only changes of the platform have to be over before a lease is.
#[tokio::test]
async fn a_service_may_take_longer_than_a_change() {
    let practice = Practice::start().await;
    let hasty = driver_with(&practice.sandbox.url(), Some(Duration::from_millis(50)));
    practice.set(json!({"slowServices": {"api": 500}})).await;
    assert_eq!(forward(&hasty, "/").await, Ok(()));
    assert_eq!(practice.calls().await.len(), 1, "it arrived once");
}
