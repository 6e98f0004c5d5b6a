//! Pages that nobody sees: they hold no connections, of which a browser has six for all tabs together, and go on where they
//! were.

use reqwest::Method;
use serde_json::json;
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::Up;
use stormhook_tests::wait;

/// Has the page believe that it is hidden, or shown.
const TURN: &str =
    "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));";
/// Has it believe that it was left, or come back to, as browsers keep pages for that.
const LEAVE: &str = "const name = arguments[0] ? 'pagehide' : 'pageshow';
    window.dispatchEvent(new PageTransitionEvent(name, {persisted: true}));";

async fn viewers(up: &Up, expected: u64) {
    wait::until("viewers", || async {
        let (_, system) = up.api(Method::GET, "system", None).await;
        match system["ingress"]["viewers"].as_u64() {
            Some(viewers) if viewers == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_nobody_sees_rests_and_has_missed_nothing_when_it_is_seen_again() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("web", "1s5", "up", (1, 50), json!({})).await;
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    browser.visit("activity").await;
    up.outcome(&hook, "").await;
    browser.read("table", "scaled web from 1 to 2").await;
    let mut scale = 2;
    for script in [TURN, LEAVE] {
        viewers(&up, 1).await;
        browser.run(script, &[json!(true)]).await;
        viewers(&up, 0).await;
        for _ in 0..3 {
            up.outcome(&hook, "").await;
        }
        scale += 3;
        browser.run(script, &[json!(false)]).await;
        browser.read(".health", "live").await;
        let last = format!("scaled web from {} to {scale}", scale - 1);
        browser.read("table", &last).await;
        let count = format!("{} succeeded", scale - 1);
        browser.read(".counts", &count).await;
    }
    browser.close().await;
    up.stop().await;
}
