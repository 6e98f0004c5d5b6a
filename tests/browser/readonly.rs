//! Who may only read sees no way to change anything, and no trigger URL.

use reqwest::Method;
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::{Hook, Up};

#[tokio::test]
async fn a_reader_sees_no_writes_and_no_urls() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stormhook.toml");
    // SHA-256 of "secret".
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let key = |name: &str, role: &str| {
        format!(
            "[[api_keys]]\naccess_key = \"{name}\"\nsecret_sha256 = \"{digest}\"\nrole = \"{role}\"\nprojects = [\"1a5\"]\n"
        )
    };
    std::fs::write(
        &config,
        [key("member", "member"), key("reader", "readonly")].concat(),
    )
    .unwrap();
    let data = folder.path().join("data");
    let up = Up::start_with(&data, &["--config", config.to_str().unwrap()]).await;
    let receivers = "/v1-webhooks/receivers?projectId=1a5";
    let list = up
        .request(Method::GET, receivers)
        .basic_auth("member", Some("secret"));
    let (_, list) = stormhook_tests::up::read(list).await;
    let hook = Hook::of(&list["data"][0]);
    let fired = up.outcome(&hook, "").await;
    let secret = hook.path.split(['=', '&']).nth(1).unwrap().to_owned();

    let browser = Browser::signed_in(&up.address, ("reader", "secret")).await;
    browser.read("table", "demo-scale-web-up").await;
    let trigger = format!("triggers/{}", fired["id"].as_str().unwrap());
    let receiver = format!("receivers/{}", hook.receiver);
    for (place, sign) in [
        ("receivers", "demo-scale-web-up"),
        (receiver.as_str(), "may only read"),
        ("activity", "scaled web"),
        (trigger.as_str(), "What happened"),
        ("system", "Partitions"),
    ] {
        browser.visit(place).await;
        browser.read("main", sign).await;
        let page = browser
            .run("return document.documentElement.outerHTML", &[])
            .await;
        assert!(!page.as_str().unwrap().contains(&secret), "{place}");
        let shown = browser.text("main").await;
        for write in [
            "Add receiver",
            "Test fire",
            "Redeliver",
            "Edit",
            "Copy the trigger",
        ] {
            assert!(!shown.contains(write), "{place} has {write}");
        }
    }
    browser.visit("receivers").await;
    browser
        .click("button[aria-label=\"Actions for demo-scale-web-up\"]")
        .await;
    let menu = browser.text("[role=menu]").await;
    assert_eq!(
        menu.split_whitespace().collect::<Vec<_>>().join(" "),
        "History Chart View in API"
    );
    browser.close().await;
    up.stop().await;
}
