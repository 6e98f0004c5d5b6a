//! Pages that nobody sees: they hold no connections, of which a browser has six for all tabs together, and go on where they
//! were.

use reqwest::Method;
use serde_json::json;
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::Up;
use stormhook_tests::wait;

/// More than the connections that a browser has.
const VISITS: usize = 12;

/// Has the page believe that it is hidden, or shown.
const TURN: &str =
    "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));";

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
async fn pages_that_were_left_hold_no_connections() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    for _ in 0..VISITS {
        browser.go("about:blank").await;
        browser.go(&format!("{}/#/1a5/receivers", up.address)).await;
        browser.read("table", "demo-scale-web-up").await;
        browser.read(".health", "live").await;
    }
    browser.close().await;
    up.stop().await;
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
    viewers(&up, 1).await;
    browser.run(TURN, &[json!(true)]).await;
    viewers(&up, 0).await;
    for _ in 0..3 {
        up.outcome(&hook, "").await;
    }
    browser.run(TURN, &[json!(false)]).await;
    browser.read(".health", "live").await;
    browser.read("table", "scaled web from 4 to 5").await;
    browser.read(".counts", "4 succeeded").await;
    browser.close().await;
    up.stop().await;
}
