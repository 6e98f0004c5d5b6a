//! "What if it had been set otherwise?", asked beside the chart of a group.

use serde_json::{Value, json};
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::Up;

use crate::looks::CHECK;

const OTHER: &str = "return document.querySelector('.chart .line.other').getAttribute('d')";

/// What the field called `name` has in it.
async fn value(browser: &Browser, name: &str) -> Value {
    let script = "return document.querySelector(`.what-if [name=${arguments[0]}]`).value";
    browser.run(script, &[json!(name)]).await
}

#[tokio::test]
async fn another_setting_is_compared_with_what_was() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let rise = up.scaling("rise", "1s5", "up", (1, 6), json!({})).await;
    let fall = up.scaling("fall", "1s5", "down", (1, 6), json!({})).await;
    for hook in [&rise; 8].into_iter().chain([&fall; 3]) {
        up.outcome(hook, "").await;
    }
    let calls = up.calls().await.len();
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    browser.visit("groups/service%2F1a5%2F1s5").await;
    browser.read(".what-if select", "rise").await;
    browser.choose(".what-if select", &rise.receiver).await;
    for (name, filled) in [("amount", "1"), ("min", "1"), ("max", "6")] {
        assert_eq!(value(&browser, name).await, filled, "{name}");
    }
    assert_eq!(value(&browser, "cooldownSeconds").await, "0");
    assert_eq!(browser.run(OTHER, &[]).await, "");

    // With the keyboard alone: into a field, and Enter.
    browser.fill(".what-if [name=max]", "3").await;
    let field = browser.see(".what-if [name=max]").await;
    field.send_keys("\u{E007}").await.unwrap();
    let summary = ".chart-and-form .preview";
    browser
        .read(
            summary,
            "9 of 11 triggers would have ended otherwise: 4 actions instead of 8, scale 1 to 3 instead of 1 to 6,",
        )
        .await;
    browser.read(summary, "at the maximum for").await;
    browser.see(".legend").await;
    let drawn = browser.run(OTHER, &[]).await;
    assert!(drawn.as_str().unwrap().matches('V').count() > 3, "{drawn}");
    // What is drawn anew as time goes by keeps what was typed in.
    up.outcome(&fall, "").await;
    browser.read(".tiles", "2").await;
    assert_eq!(value(&browser, "max").await, "3");
    for theme in ["light", "dark"] {
        let set = "document.documentElement.dataset.theme = arguments[0]";
        browser.run(set, &[json!(theme)]).await;
        for width in [360, 1440, 2560] {
            browser.resize(width, 900).await;
            let found = browser.run(CHECK, &[]).await;
            assert_eq!(found, json!([]), "{theme}, {width} px");
            browser.picture(&format!("what-if-{width}-{theme}")).await;
        }
    }

    // What the server refuses is said at its field, and nothing is compared any more.
    browser.fill(".what-if [name=cooldownSeconds]", "-1").await;
    browser.press(".what-if", "Compare").await;
    let error = ".what-if .field:has([name=cooldownSeconds]) .error";
    browser.read(error, "Cooldown (s) must be").await;
    let focused = "return document.activeElement.name";
    assert_eq!(browser.run(focused, &[]).await, "cooldownSeconds");
    assert_eq!(browser.run(OTHER, &[]).await, "");
    browser.picture("what-if-refused").await;

    browser.press(".what-if", "Clear").await;
    assert_eq!(value(&browser, "max").await, "6");
    assert_eq!(browser.text(error).await, "");
    let is_hidden = "return document.querySelector('.legend').hidden";
    assert_eq!(browser.run(is_hidden, &[]).await, true);
    // The other receiver has its own settings.
    browser.choose(".what-if select", &fall.receiver).await;
    browser
        .fill(".what-if [name=cooldownSeconds]", "3600")
        .await;
    browser.press(".what-if", "Compare").await;
    browser.read(summary, "6 actions instead of 9").await;
    assert_eq!(up.calls().await.len(), calls + 1, "of the last trigger");
    browser.close().await;
    up.stop().await;
}
