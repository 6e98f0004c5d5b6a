//! Every page can be read by everybody: names, roles, contrast and widths are checked in both themes, and pictures of all
//! are kept.

use serde_json::json;
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::Up;

/// Tells what is wrong with the page that is shown.
pub(crate) const CHECK: &str = include_str!("check.js");
const WIDTHS: [u32; 3] = [360, 1440, 2560];

/// Something of everything. Returns the places to look at, with a text that each shows once it is drawn.
async fn furnish(up: &Up) -> Vec<(&'static str, String, &'static str)> {
    let options = json!({"cooldownSeconds": 0});
    let hook = up
        .scaling("scale-web-up", "1s5", "up", (1, 6), options)
        .await;
    let down = up
        .scaling("scale-web-down", "1s5", "down", (1, 6), json!({}))
        .await;
    let hosts = up
        .scaling_hosts("more-hosts", "up", json!({"max": 6}))
        .await;
    let selector = json!({"release": "shop"});
    let shop = up
        .upgrading("upgrade-shop", selector, json!({"image": "example/shop"}))
        .await;
    let alert =
        json!({"version": "4", "status": "firing", "commonLabels": {"alertname": "LoadHigh"}});
    let mut last = json!(null);
    for hook in [&hook, &hook, &hook, &down, &hook, &hook, &hook, &hook] {
        last = up.outcome(hook, &alert.to_string()).await;
    }
    for _ in 0..12 {
        up.fire(&down).await.unwrap();
    }
    up.outcome(&hosts, "").await;
    let push =
        |tag| json!({"push_data": {"tag": tag}, "repository": {"repo_name": "example/shop"}});
    up.outcome(&shop, &push("v3").to_string()).await;
    let upgraded = up.outcome(&shop, &push("v2").to_string()).await;
    up.settled().await;
    let id = |trigger: &serde_json::Value| trigger["id"].as_str().unwrap().to_owned();
    vec![
        ("receivers", "receivers".to_owned(), "5 in all"),
        ("add", "receivers/new".to_owned(), "Make the receiver"),
        (
            "add-hosts",
            "receivers/new?kind=scaleHost".to_owned(),
            "Hosts with",
        ),
        (
            "add-upgrade",
            "receivers/new?kind=serviceUpgrade".to_owned(),
            "Registry",
        ),
        (
            "add-forward",
            "receivers/new?kind=forwardPost".to_owned(),
            "Port",
        ),
        (
            "receiver",
            format!("receivers/{}", hook.receiver),
            "How to call it",
        ),
        ("activity", "activity".to_owned(), "upgraded"),
        ("trigger", format!("triggers/{}", id(&last)), "SHA-256"),
        ("upgrade", format!("triggers/{}", id(&upgraded)), "Parts"),
        (
            "group",
            "groups/service%2F1a5%2F1s5".to_owned(),
            "Newest triggers",
        ),
        ("system", "system".to_owned(), "Partitions"),
    ]
}

#[tokio::test]
async fn every_page_can_be_read_at_every_width_in_both_themes() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let browser = Browser::open(&up.address).await;
    browser.see("input[name=secretKey]").await;
    let found = browser.run(CHECK, &[]).await;
    assert_eq!(found, json!([]), "signing in");
    // The check itself finds what is wrong.
    let spoil = "document.querySelector('main').append(...['button', 'img', 'p'].map((tag) => document.createElement(tag)));
        const faint = document.querySelector('main p:last-child');
        faint.textContent = 'faint'; faint.style.color = '#999'; faint.style.width = '3000px'";
    browser.run(spoil, &[]).await;
    let found = browser.run(CHECK, &[]).await.to_string();
    for problem in ["no name", "no alt", "contrast", "too wide"] {
        assert!(found.contains(problem), "{problem}: {found}");
    }
    browser.go(&format!("{}/", up.address)).await;
    browser.see("input[name=secretKey]").await;
    browser.picture("sign-in").await;
    browser.sign_in(up.admin_key()).await;
    browser.read("h1", "Receivers").await;
    let places = furnish(&up).await;
    let mut problems = Vec::new();
    for theme in ["light", "dark"] {
        let set = "localStorage.setItem('stormhook.theme', arguments[0]); document.documentElement.dataset.theme = arguments[0]";
        browser.run(set, &[json!(theme)]).await;
        for (name, place, sign) in &places {
            browser.visit(place).await;
            // What is folded away is opened, to be seen as well.
            let open =
                "document.querySelectorAll('details').forEach((one) => { one.open = true; })";
            browser
                .read(
                    "main",
                    if *name == "trigger" {
                        "What happened"
                    } else {
                        sign
                    },
                )
                .await;
            browser.run(open, &[]).await;
            browser.read("main", sign).await;
            for width in WIDTHS {
                browser.resize(width, 900).await;
                let found = browser.run(CHECK, &[]).await;
                for problem in found.as_array().unwrap() {
                    problems.push(format!("{name}, {theme}, {width} px: {problem}"));
                }
                browser.picture(&format!("{name}-{width}-{theme}")).await;
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    browser.close().await;
    up.stop().await;
}

#[tokio::test]
async fn everything_is_reached_with_the_keyboard() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    browser.read("table", "demo-scale-web-up").await;
    // Tab leads from the first to the last element, and everything that can be clicked can be focused.
    let unreachable = "return [...document.querySelectorAll('[role=button], tr[data-receiver]')].filter((one) => one.onclick && one.tabIndex < 0).length";
    assert_eq!(browser.run(unreachable, &[]).await, 0);
    let menu = browser
        .see("button[aria-label=\"Actions for demo-scale-web-up\"]")
        .await;
    let focused = "return document.activeElement.innerText";
    menu.send_keys("\u{E007}").await.unwrap(); // Enter
    browser.see("[role=menu]").await;
    assert_eq!(browser.run(focused, &[]).await, "Test fire");
    let press = async |key: &str| {
        let at = browser.see("[role=menuitem]:focus").await;
        at.send_keys(key).await.unwrap();
    };
    press("\u{E015}").await; // Down
    assert_eq!(browser.run(focused, &[]).await, "Edit");
    press("\u{E010}").await; // End
    assert_eq!(browser.run(focused, &[]).await, "Delete");
    press("\u{E007}").await;
    browser.read("dialog h2", "Delete demo-scale-web-up?").await;
    let inside = "return document.querySelector('dialog').contains(document.activeElement)";
    assert_eq!(browser.run(inside, &[]).await, true);
    let dialog = browser.see("dialog button").await;
    dialog.send_keys("\u{E00C}").await.unwrap(); // Escape
    let gone = "return document.querySelector('dialog') === null";
    assert_eq!(browser.run(gone, &[]).await, true);
    browser.close().await;
    up.stop().await;
}
