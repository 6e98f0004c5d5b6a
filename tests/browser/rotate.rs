//! A hook gets a new URL while callers still have the old one: both work for as long as was chosen.

use reqwest::StatusCode;
use serde_json::json;
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::{Hook, Up};
use stormhook_tests::wait;

/// The shortest overlap that the server takes, in seconds. The page offers a minute, for which nobody waits here.
const SHORTEST: &str = "1";

/// Gives the receiver a new URL that the old one overlaps so many seconds. Returns the hook that the dialog shows.
async fn rotate(browser: &Browser, hook: &Hook, overlap: &str) -> Hook {
    browser.act("web", "Rotate URL").await;
    browser.see("dialog select").await;
    if overlap == SHORTEST {
        let shorten = "document.querySelector('dialog option[value=\"60\"]').value = arguments[0]";
        browser.run(shorten, &[json!(SHORTEST)]).await;
    }
    browser.choose("dialog select", overlap).await;
    browser.press("dialog", "Make a new URL").await;
    browser.read("dialog", "The new URL").await;
    let url = browser.text("dialog .copy-box pre").await;
    browser.press("dialog", "Close").await;
    Hook::of(&json!({"url": url, "id": hook.receiver}))
}

#[tokio::test]
async fn the_old_url_works_as_long_as_was_chosen() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let first = up.scaling("web", "1s5", "up", (1, 9), json!({})).await;
    let row = format!("tr[data-receiver=\"{}\"]", first.receiver);
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    browser.read(&row, "none in the last hour").await;

    let second = rotate(&browser, &first, "3600").await;
    assert_ne!(second.path, first.path);
    for (hook, scale) in [(&first, 2), (&second, 3)] {
        assert_eq!(up.outcome(hook, "").await["outcome"]["to"], scale);
    }
    browser.read(&format!("{row} .status"), "scaled").await;
    browser.read(&format!("{row} .sparkline"), "2").await;

    let third = rotate(&browser, &second, SHORTEST).await;
    let refused = wait::until("the second URL to end", || async {
        let (status, answer) = up.fire(&second).await.map_err(|error| error.to_string())?;
        match status {
            StatusCode::FORBIDDEN => Ok(answer),
            other => Err(format!("{other}: {answer}")),
        }
    })
    .await;
    assert_eq!(refused["code"], "Forbidden", "{refused}");
    up.settled().await;
    let before = up.history("").await.len();
    // Its own hour is not over, and the new one works.
    for hook in [&first, &third] {
        assert_eq!(up.fire(hook).await.unwrap().0, StatusCode::ACCEPTED);
    }
    up.settled().await;
    assert_eq!(up.history("").await.len(), before + 2);
    assert_eq!(up.fire(&second).await.unwrap().0, StatusCode::FORBIDDEN);
    browser.close().await;
    up.stop().await;
}
