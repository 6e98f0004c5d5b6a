//! Two thousand alerts at once: none is lost, none is applied twice, and the platform hardly notices.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::json;
use stormhook_tests::up::Up;

const STORM: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_concurrent_increments_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let up = Arc::new(Up::start(folder.path()).await);
    up.tweak("knobs", &json!({"latencyMs": 5})).await;
    let hook = up
        .scaling("storm", "1s5", "up", (1, 5_000), json!({}))
        .await;

    let mut firing = tokio::task::JoinSet::new();
    for _ in 0..STORM {
        let (up, hook) = (Arc::clone(&up), hook.clone());
        firing.spawn(async move { up.fire(&hook).await.unwrap().0 });
    }
    while let Some(status) = firing.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::ACCEPTED);
    }
    up.settled().await;

    assert_eq!(up.scale("1s5").await, STORM + 1);
    let mut history = up.history("").await;
    history.reverse();
    let steps: Vec<_> = history
        .iter()
        .map(|trigger| {
            (
                trigger["outcome"]["from"].as_u64(),
                trigger["outcome"]["to"].as_u64(),
            )
        })
        .collect();
    let expected: Vec<_> = (1..=STORM)
        .map(|from| (Some(from), Some(from + 1)))
        .collect();
    assert_eq!(steps, expected, "in the order of the log");
    let writes = up.calls().await.len();
    assert!(writes <= 300, "{writes} writes to the platform");
    Arc::into_inner(up)
        .expect("nobody fires any more")
        .stop()
        .await;
}
