//! What callers and other pages try: texts stay texts, foreign pages change nothing and show nothing.

use reqwest::Method;
use serde_json::json;
use stormhook_tests::browser::{Browser, is_missing};
use stormhook_tests::up::{Hook, Up};
use stormhook_tests::wait;

const ATTACK: &str =
    "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>'\"><b>bold</b>";

#[tokio::test]
async fn scripts_in_texts_stay_texts() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let options = json!({
        "redact": [format!("/{ATTACK}")],
        "filter": [{"pointer": "/attack", "equals": ATTACK}],
    });
    let hook = up.scaling(ATTACK, "1s5", "up", (1, 9), options).await;
    let upgrade = json!({
        "name": format!("{ATTACK} 2"), "driver": "serviceUpgrade",
        "serviceUpgradeConfig": {"serviceSelector": {ATTACK: ATTACK}, "tag": "v2", "payloadFormat": "generic"},
    });
    let upgrade = up.create(&upgrade).await;
    up.post(
        &upgrade,
        &json!({"image": "a/b", "tag": "v2"}).to_string(),
        &[],
    )
    .await;
    up.post(
        &hook,
        ATTACK,
        &[("user-agent", ATTACK), ("idempotency-key", ATTACK)],
    )
    .await;
    let body = json!({"attack": ATTACK, ATTACK: 1}).to_string();
    let fired = up.outcome(&hook, &body).await;

    let browser = Browser::signed_in(&up.address, up.admin_key()).await;
    let group = fired["group"].as_str().unwrap().replace('/', "%2F");
    let newest = up.history("").await;
    let mut places = vec![
        ("receivers".to_owned(), "bold"),
        (format!("receivers/{}", hook.receiver), "bold"),
        (format!("receivers/{}/edit", hook.receiver), "Edit"),
        (format!("receivers/{}/edit", upgrade.receiver), "Edit"),
        (format!("receivers/new?clone={}", hook.receiver), "Clone"),
        ("activity".to_owned(), "bold"),
        (format!("groups/{group}"), "bold"),
        (
            "groups/%3Cimg%20src=x%20onerror=%22window.hacked=1%22%3E".to_owned(),
            "onerror",
        ),
        (
            format!("activity?group={ATTACK}").replace(' ', "%20"),
            "Nothing",
        ),
    ];
    for trigger in &newest {
        places.push((
            format!("triggers/{}", trigger["id"].as_str().unwrap()),
            "What happened",
        ));
    }
    for (place, sign) in places {
        browser.visit(&place).await;
        browser.read("main", sign).await;
        let found = "return [window.hacked === undefined, document.querySelectorAll('main b, main script, main img').length]";
        assert_eq!(browser.run(found, &[]).await, json!([true, 0]), "{place}");
    }
    browser
        .visit(&format!("triggers/{}", fired["id"].as_str().unwrap()))
        .await;
    browser
        .read("pre.body", "<script>window.hacked=1</script>")
        .await;
    // Even a mistake in the page could not make markup of a text, or run one.
    let strict = "try { document.body.innerHTML = arguments[0]; return 'possible' } catch { return 'refused' }";
    assert_eq!(browser.run(strict, &[json!(ATTACK)]).await, "refused");
    browser.close().await;
    up.stop().await;
}

#[tokio::test]
async fn foreign_pages_change_nothing_and_show_nothing() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let (_, list) = up.api(Method::GET, "receivers", None).await;
    let hook = Hook::of(&list["data"][0]);
    let browser = Browser::signed_in(&up.address, up.admin_key()).await;

    // Another port of the same machine: the browser takes it for the same site, and sends the cookie along.
    browser.go(&format!("{}/v2-beta", up.sandbox)).await;
    let attack = "const done = arguments[arguments.length - 1]; const [address, id] = arguments;
        const from = `${address}/v1-webhooks/receivers/${id}?projectId=1a5`;
        window.tried = 0;
        const count = () => { window.tried += 1; };
        fetch(`${from}&action=disable`, {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}'}).then(count, count);
        fetch(from, {method: 'DELETE', credentials: 'include'}).then(count, count);
        fetch(from, {credentials: 'include'}).then((answer) => answer.text()).then((text) => { window.stolen = text; count(); }, count);
        const form = document.createElement('form');
        form.method = 'POST'; form.action = `${from}&action=rotate`; form.target = 'frame';
        const frame = document.createElement('iframe'); frame.name = 'frame';
        document.body.append(frame, form); form.submit();";
    browser
        .run(attack, &[json!(up.address), json!(hook.receiver)])
        .await;
    wait::until("three answers", || async {
        let tried = browser.run("return window.tried", &[]).await;
        if tried == 3 {
            Ok(())
        } else {
            Err(tried.to_string())
        }
    })
    .await;
    assert!(
        browser
            .run("return window.stolen ?? null", &[])
            .await
            .is_null()
    );
    let path = format!("receivers/{}", hook.receiver);
    let (_, receiver) = up.api(Method::GET, &path, None).await;
    assert_eq!(
        (&receiver["state"], &receiver["revision"]),
        (&json!("active"), &json!(1))
    );
    assert_eq!(Hook::of(&receiver).path, hook.path, "its URL is the same");

    browser.go(&format!("{}/v2-beta", up.sandbox)).await;
    let frame = "const frame = document.createElement('iframe'); frame.src = arguments[0];
        frame.onload = () => { window.loaded = true; }; document.body.append(frame);";
    browser
        .run(frame, &[json!(format!("{}/", up.address))])
        .await;
    wait::until("the frame", || async {
        let loaded = browser.run("return window.loaded === true", &[]).await;
        if loaded == true {
            Ok(())
        } else {
            Err("nothing".to_owned())
        }
    })
    .await;
    let shown = browser.text_of_frame().await;
    assert!(
        !shown.contains("Receivers") && !shown.contains("Sign in"),
        "{shown}"
    );
    browser.close().await;
    up.stop().await;
}
