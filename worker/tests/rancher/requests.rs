//! How the driver asks: where, as whom, and for what. Credentials go with each request, so none goes astray.

use std::net::TcpListener;

use reqwest::Method;
use serde_json::{Value, json};
use stormhook_shared::decide::Seen;
use stormhook_shared::ports::platform::{Platform, PlatformError, Step, TargetKind};

use super::answers::Meaning;
use super::{Practice, driver, forward, notes, scale, told, upgrade};

/// Whoever redirects may lead to a server that is not trusted, or to another thing than the one that is meant.
#[tokio::test]
async fn no_redirect_is_followed() {
    let practice = Practice::start().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let api = practice.sandbox.url();
    let away = format!("http://{}/v2-beta", elsewhere.local_addr().unwrap());
    let rancher = &practice.rancher;
    let action = upgrade("example/shop");
    for status in [301, 302, 303, 307, 308] {
        for base in [&api, &away] {
            let location = format!("{base}/projects/1a5/services/1s5");
            let fault = json!({"fault": {"status": status, "location": location}});
            let refused = |result: Result<(), PlatformError>| {
                let error = result.unwrap_err();
                assert_eq!(Meaning::of(&error), Meaning::Never, "{fault}: {error}");
                assert!(error.to_string().contains(&status.to_string()), "{error}");
            };
            practice.set(fault.clone()).await;
            refused(practice.observe("service/1a5/1s6").await.map(drop));
            practice.set(fault.clone()).await;
            refused(practice.observe("hosts/1a5/role=web").await.map(drop));
            practice.set(fault.clone()).await;
            refused(scale(rancher, "1s6", 3).await);
            let of_post = json!({"method": "POST", "status": status, "location": location});
            practice.set(json!({"fault": of_post})).await;
            let begun = rancher.pursue(&action, &mut notes()).await;
            refused(begun.map(drop));
            practice.set(fault.clone()).await;
            refused(forward(rancher, "/").await);
        }
    }
    let called = elsewhere.accept();
    assert!(called.is_err(), "nobody goes there: {called:?}");
    for call in practice.calls().await {
        assert_eq!(call["effect"], Value::Null, "{call}");
    }
}

/// Cattle shows a web page to whoever takes anything and looks like a browser.
#[tokio::test]
async fn json_is_asked_for_by_what_is_no_browser() {
    let practice = Practice::start().await;
    practice.set(json!({"pagesForAll": true})).await;
    practice.rancher.probe().await.unwrap();
    let seen = practice.observe("service/1a5/1s6").await.unwrap();
    assert!(matches!(seen, Seen::Service(_)), "{seen:?}");
    let seen = practice.observe("hosts/1a5/role=web").await.unwrap();
    assert!(matches!(seen, Seen::Hosts(_)), "{seen:?}");
    scale(&practice.rancher, "1s6", 3).await.unwrap();
    let action = upgrade("example/shop");
    assert_eq!(practice.pursue(&action, &mut notes()).await, Step::Done);
    forward(&practice.rancher, "/").await.unwrap();
    let calls = practice.calls().await;
    assert_eq!(calls.len(), 4, "{calls:?}");
    for call in calls {
        let agent = call["userAgent"].as_str().unwrap();
        assert!(agent.starts_with("stormhook/"), "{agent}");
        assert!(!agent.to_lowercase().contains("mozilla"), "{agent}");
    }
}

/// Behind a proxy that leads to other things, too.
#[tokio::test]
async fn a_server_below_a_path_is_called_there_alone() {
    for base in ["rancher/v2-beta", "rancher/v2-beta/"] {
        let mut practice = Practice::start().await;
        practice.set(json!({"prefixed": true})).await;
        practice.rancher = driver(&format!("http://{}/{base}", practice.sandbox.address()));
        let seen = practice.observe("service/1a5/1s6").await.unwrap();
        assert!(matches!(seen, Seen::Service(_)), "{seen:?}");
        let targets = practice.rancher.targets(TargetKind::HostLabel).await;
        assert_eq!(targets.unwrap().len(), 1);
        scale(&practice.rancher, "1s6", 3).await.unwrap();
        let action = upgrade("example/shop");
        let mut news = practice.rancher.news(&action).unwrap();
        told(&mut *news).await;
        assert!(news.is_live(), "the websocket is there, too");
        assert_eq!(practice.pursue(&action, &mut notes()).await, Step::Done);
        forward(&practice.rancher, "/go?a=1").await.unwrap();
        let calls = practice.calls().await;
        let paths: Vec<_> = calls.iter().map(|call| call["path"].clone()).collect();
        assert_eq!(
            paths,
            [
                "/rancher/v2-beta/projects/1a5/services/1s6",
                "/rancher/v2-beta/projects/1a5/services/1s14",
                "/rancher/v2-beta/projects/1a5/services/1s14",
                "/rancher/r/projects/1a5/api:80/go",
            ]
        );
    }
}

/// The request would go to another service, or to the API with the driver's key.
#[tokio::test]
async fn no_path_leads_from_one_service_to_another() {
    let practice = Practice::start().await;
    for path in [
        "/../web:80/x",
        "/%2e%2e/web:80/x",
        "/.%2E/web:80/x",
        "/a/%2e%2E/../web:80/x",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/v2-beta/projects/1a5/services",
    ] {
        let refused = forward(&practice.rancher, path).await;
        let Err(PlatformError::Refused { message }) = refused else {
            panic!("{path}: {refused:?}");
        };
        assert!(!message.is_empty(), "{path}");
    }
    assert_eq!(practice.calls().await, [Value::Null; 0], "nothing arrived");
    forward(&practice.rancher, "/a/b%20c").await.unwrap();
    let calls = practice.calls().await;
    assert_eq!(calls[0]["path"], "/r/projects/1a5/api:80/a/b%20c");
}

/// Rows shift between the pages of a list while others come and go: one can come twice, or be passed over.
#[tokio::test]
async fn rows_that_shift_come_once_and_none_is_missed() {
    let practice = Practice::start().await;
    let many = json!({"name": "many", "count": 2_100, "labels": {"release": "many"}});
    practice.call(Method::POST, "sandbox/services", &many).await;
    for shift in [1, 7, 500, -1, -19] {
        practice.set(json!({"pageShift": shift})).await;
        let seen = practice.observe("upgrade/1a5/release=many").await.unwrap();
        let Seen::Services(services) = seen else {
            panic!("they are there: {seen:?}");
        };
        assert_eq!(services.len(), 2_100, "shifted by {shift}");
    }
    practice.set(json!({"pageShift": -20})).await;
    let seen = practice.observe("upgrade/1a5/release=many").await;
    let Err(PlatformError::Transient { message, .. }) = seen else {
        panic!("some may be missing: {seen:?}");
    };
    assert!(message.contains("removed faster"), "{message}");
}
