//! What a user does every day: makes hooks of each kind, fires them, sees why they did what they did, changes them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::{Hook, Up};

/// The receiver with this name.
async fn receiver(up: &Up, name: &str) -> Value {
    let (_, list) = up.api(Method::GET, "receivers", None).await;
    let all = list["data"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

/// Sends the form that is filled in, and waits for the page of the receiver that is made. Returns its hook, as the page
/// tells its URL.
async fn made(browser: &Browser, up: &Up, name: &str) -> Hook {
    browser.click("form.form button[type=submit]").await;
    browser.read("h1", name).await;
    browser.read(".done", "The receiver is made").await;
    let url = browser
        .text(".card .copy-box pre[aria-label=\"the trigger URL\"]")
        .await;
    let hook = Hook::of(&receiver(up, name).await);
    assert!(url.ends_with(&hook.path), "{url}");
    hook
}

async fn new(browser: &Browser, kind: &str, name: &str) {
    browser.visit("receivers").await;
    browser.press(".title", "Add receiver").await;
    browser
        .click(&format!("input[name=driver][value={kind}]"))
        .await;
    browser.fill("input[name=name]", name).await;
}

#[tokio::test]
async fn a_hook_of_each_kind_is_made_and_fired() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let browser = Browser::open(&up.address).await;
    browser.sign_in((up.admin_key().0, "wrong")).await;
    browser.read(".problem", "no such access key").await;
    browser.sign_in(up.admin_key()).await;
    browser.read("h1", "Receivers").await;
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1);
    assert_eq!(
        (cookies[0].http_only, cookies[0].secure),
        (Some(true), Some(false))
    );
    assert_eq!(browser.run("return document.cookie", &[]).await, "");

    new(&browser, "scaleService", "scale-web").await;
    browser.choose("select[name=serviceId]", "1s5").await;
    browser
        .read(".preview", "A trigger now: 1 → 2 containers, at most 10.")
        .await;
    // Only the bound in the step's direction counts, as with the server.
    for (action, min, preview) in [
        ("down", "1", "rejected: 1 − 1 is below the minimum of 1"),
        ("up", "5", "A trigger now: 1 → 2 containers, at most 10."),
        ("up", "1", "A trigger now: 1 → 2 containers, at most 10."),
    ] {
        browser
            .click(&format!("input[name=action][value={action}]"))
            .await;
        browser.fill("input[name=min]", min).await;
        browser.read(".preview", preview).await;
    }
    browser.fill("input[name=max]", "1").await;
    browser.fill("input[name=name]", "").await;
    browser.click("form.form button[type=submit]").await;
    for (name, error) in [("name", "Enter a name"), ("max", "more than “at least”")] {
        let css = format!(".field:has(input[name={name}]) .error");
        browser.read(&css, error).await;
    }
    browser.fill("input[name=max]", "4").await;
    browser.fill("input[name=name]", "scale-web").await;
    for name in ["name", "max"] {
        let css = format!(".field:has(input[name={name}]) .error");
        assert_eq!(browser.text(&css).await, "");
    }
    let hook = made(&browser, &up, "scale-web").await;
    browser.read("[role=tabpanel]", "curl -X POST").await;
    browser.press("[role=tablist]", "Alertmanager").await;
    browser.read("[role=tabpanel]", "webhook_configs").await;
    browser.visit("activity").await;
    browser.read("main", "Nothing has happened yet").await;
    up.outcome(&hook, "").await;
    browser.read("table", "scaled web from 1 to 2").await;
    // Its own page shows what comes of it, too.
    browser.press("table", "scale-web").await;
    browser.read(".card table", "scaled web from 1 to 2").await;
    up.outcome(&hook, "").await;
    browser.read(".card table", "scaled web from 2 to 3").await;

    new(&browser, "scaleHost", "more-hosts").await;
    browser.fill(".pair input:first-child", "role").await;
    browser.fill(".pair input:nth-of-type(2)", "web").await;
    browser
        .read("[data-field=hostSelector] .preview", "hosts match now")
        .await;
    let hook = made(&browser, &up, "more-hosts").await;
    assert_eq!(up.outcome(&hook, "").await["outcome"]["code"], "hostsAdded");

    new(&browser, "serviceUpgrade", "upgrade-shop").await;
    browser.fill(".pair input:first-child", "release").await;
    browser.fill(".pair input:nth-of-type(2)", "shop").await;
    browser
        .read(
            "[data-field=serviceSelector] .preview",
            "1 service matches now: shop",
        )
        .await;
    browser.fill("input[name=image]", "example/shop:v2").await;
    browser.fill("input[name=tag]", "v2").await;
    browser.click("form.form button[type=submit]").await;
    browser
        .read(".field:has(input[name=image]) .error", "without a tag")
        .await;
    browser.fill("input[name=image]", "example/shop").await;
    let hook = made(&browser, &up, "upgrade-shop").await;
    browser.press("[role=tablist]", "Docker Hub").await;
    let push = json!({"push_data": {"tag": "v2"}, "repository": {"repo_name": "example/shop"}});
    let upgraded = up.outcome(&hook, &push.to_string()).await;
    browser
        .visit(&format!("triggers/{}", upgraded["id"].as_str().unwrap()))
        .await;
    browser.read("h1", "upgraded").await;
    browser.read("main", "Parts").await;

    new(&browser, "forwardPost", "start-build").await;
    browser.choose("select[name=serviceName]", "api").await;
    browser.fill("input[name=port]", "8080").await;
    browser.fill("input[name=path]", "/build/start").await;
    let hook = made(&browser, &up, "start-build").await;
    assert_eq!(
        up.outcome(&hook, "{}").await["outcome"]["code"],
        "forwarded"
    );
    browser.close().await;
    up.stop().await;
}

#[tokio::test]
async fn a_hook_is_explained_redelivered_changed_and_deleted() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let hook = up.scaling("web", "1s5", "up", (1, 9), json!({})).await;
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    browser.act("web", "Test fire").await;
    browser.press("dialog", "Fire").await;
    browser
        .read("dialog [role=status]", "scaled web from 1 to 2")
        .await;
    browser.press("dialog", "See why").await;
    browser.read(".timeline", "scale web from 1 to 2").await;
    browser.read(".timeline", "/services/1s5").await;

    let body = json!({"alert": "high load"}).to_string();
    let first = up.outcome(&hook, &body).await;
    browser
        .visit(&format!("triggers/{}", first["id"].as_str().unwrap()))
        .await;
    browser.read("pre.body", "\"alert\": \"high load\"").await;
    browser.press(".title", "Redeliver").await;
    browser.press("dialog", "Redeliver").await;
    browser.read(".timeline", "the first delivery").await;
    browser.read(".sentence", "scaled web from 3 to 4").await;
    browser.press(".links", "Group: service web").await;
    browser.read(".tiles", "4").await;
    browser.see(".chart .mark.succeeded").await;

    browser.visit("receivers").await;
    browser.act("web", "Edit").await;
    browser.fill("input[name=amount]", "2").await;
    browser.click("form.form button[type=submit]").await;
    browser.read(".hint", "web +2").await;
    assert_eq!(up.outcome(&hook, "").await["outcome"]["to"], 6);

    browser.visit("receivers").await;
    browser.act("web", "Rotate URL").await;
    browser.press("dialog", "Make a new URL").await;
    browser.read("dialog", "The new URL").await;
    browser.press("dialog", "Close").await;
    assert_eq!(up.fire(&hook).await.unwrap().0, StatusCode::FORBIDDEN);
    let next = Hook::of(&receiver(&up, "web").await);

    browser.act("web", "Disable").await;
    browser.choose("dialog select", "3600").await;
    browser.press("dialog", "Disable").await;
    browser.read(".state.inactive", "disabled").await;
    assert_eq!(
        up.outcome(&next, "").await["outcome"]["code"],
        "receiverDisabled"
    );
    browser
        .read(
            &format!("tr[data-receiver=\"{}\"]", hook.receiver),
            "receiver disabled",
        )
        .await;
    browser.act("web", "Enable").await;
    browser.press("dialog", "Enable").await;

    browser.act("web", "Clone").await;
    browser.click("form.form button[type=submit]").await;
    browser.read("h1", "web-copy").await;
    browser.visit("receivers").await;
    browser.act("web", "Delete").await;
    browser.press("dialog", "Delete").await;
    browser.read("main", "2 in all").await;
    assert_eq!(up.fire(&next).await.unwrap().0, StatusCode::FORBIDDEN);
    browser.press(".tools", "Sign out").await;
    browser.see("input[name=secretKey]").await;
    assert!(browser.cookies().await.is_empty());
    browser.close().await;
    up.stop().await;
}
