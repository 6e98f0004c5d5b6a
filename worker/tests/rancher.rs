//! The Rancher driver against the practice platform: what it reads, what it calls, and what it makes of each answer.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

#[path = "rancher/answers.rs"]
mod answers;
#[path = "rancher/evacuations.rs"]
mod evacuations;
#[path = "rancher/requests.rs"]
mod requests;
#[path = "rancher/time_outs.rs"]
mod time_outs;

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use stormhook_sandbox::{Sandbox, SandboxOptions};
use stormhook_shared::configuration::RancherConfiguration;
use stormhook_shared::decide::Seen;
use stormhook_shared::domain::group::{GroupKey, Partition};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::kind::OnFailure;
use stormhook_shared::domain::ledger::{Action, UpgradedContainer};
use stormhook_shared::domain::push::Push;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::leases::Lease;
use stormhook_shared::ports::platform::{
    Forwarded, Need, News, Notes, Platform, PlatformError, Step, TargetKind,
};
use stormhook_worker::platforms::rancher::Rancher;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A practice platform, and the driver that speaks to it.
struct Practice {
    rancher: Rancher,
    http: Client,
    sandbox: Sandbox,
    _folder: TempDir,
}

impl Practice {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = stormhook_sandbox::start(SandboxOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: folder.path().to_owned(),
            access_key: None,
            secret_key: None,
        })
        .await
        .unwrap();
        let rancher = driver(&sandbox.url());
        Self {
            rancher,
            http: Client::new(),
            sandbox,
            _folder: folder,
        }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/{path}", self.sandbox.address());
        let body = (method != Method::GET).then(|| body.to_string());
        let request = self.http.request(method, url);
        let request = body
            .into_iter()
            .fold(request, reqwest::RequestBuilder::body);
        let answer = request.send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    async fn set(&self, knobs: Value) {
        self.call(Method::PUT, "sandbox/knobs", &knobs).await;
    }

    async fn calls(&self) -> Vec<Value> {
        let calls = self.call(Method::GET, "sandbox/calls", &Value::Null).await;
        calls["data"].as_array().unwrap().clone()
    }

    async fn observe(&self, group: &str) -> Result<Seen, PlatformError> {
        self.rancher
            .observe(&GroupKey::named(group), Need::Everything)
            .await
    }

    /// Pursues an action to its end, and waits for news in between.
    async fn pursue(&self, action: &Action, notes: &mut Notes) -> Step {
        let mut news = self.rancher.news(action).unwrap();
        loop {
            match self.rancher.pursue(action, notes).await.unwrap() {
                Step::Underway { .. } => told(&mut *news).await,
                end => return end,
            }
        }
    }
}

fn driver(url: &str) -> Rancher {
    driver_with(url, None)
}

/// The same with another time within which changes have to be answered.
fn driver_with(url: &str, change_timeout: Option<Duration>) -> Rancher {
    let options = RancherConfiguration {
        url: url.parse().unwrap(),
        access_key: None,
        secret_key: None,
        ca_file: None,
    };
    let project: ProjectId = "1a5".parse().unwrap();
    Rancher::new(&project, &options, change_timeout).unwrap()
}

/// Passes a request on to the service `api`.
async fn forward(rancher: &Rancher, path: &str) -> Result<(), PlatformError> {
    let request = Forwarded {
        service_name: "api",
        port: 80,
        path,
        content_type: None,
        body: b"go",
    };
    rancher.forward(&request, &mut notes()).await
}

async fn scale(rancher: &Rancher, service: &str, to: u32) -> Result<(), PlatformError> {
    rancher.scale_service(service, to, None, &mut notes()).await
}

fn notes() -> Notes {
    Notes::new(
        Lease::new(Partition(0), None),
        Timestamp::from_millis(0),
        false,
    )
}

async fn told(news: &mut dyn News) {
    let told = tokio::time::timeout(PATIENCE, news.changed()).await;
    assert!(told.is_ok(), "nothing was told");
}

fn upgrade(image: &str) -> Action {
    Action::UpgradeService {
        service_id: "1s14".to_owned(),
        name: "shop".to_owned(),
        push: Push {
            image: image.to_owned(),
            tag: "v2".to_owned().try_into().unwrap(),
            digest: None,
        },
        containers: vec![UpgradedContainer {
            name: None,
            image: "docker:example/shop:latest".to_owned(),
        }],
        batch_size: 1,
        interval_millis: 100,
        start_first: false,
        monitor_millis: None,
        on_failure: OnFailure::Pause,
        version: None,
    }
}

#[tokio::test]
async fn a_service_is_read_and_scaled_by_its_desired_scale_alone() {
    let practice = Practice::start().await;
    let Seen::Service(seen) = practice.observe("service/1a5/1s6").await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!((seen.name.as_str(), seen.scale), ("api", 2));
    let mut notes = notes();
    practice
        .rancher
        .scale_service("1s6", 5, None, &mut notes)
        .await
        .unwrap();
    assert_eq!(notes.calls(), 1);
    let calls = practice.calls().await;
    assert_eq!(
        calls[0]["body"],
        json!({"scale": 5}),
        "nothing but the scale"
    );
    let gone = practice.observe("service/1a5/1s99").await.unwrap();
    assert!(matches!(gone, Seen::Gone { .. }), "{gone:?}");
}

#[tokio::test]
async fn errors_that_pass_are_told_from_those_that_do_not() {
    let practice = Practice::start().await;
    let scale = async |service: &str| {
        let mut notes = notes();
        practice
            .rancher
            .scale_service(service, 3, None, &mut notes)
            .await
    };
    practice
        .set(json!({"outage": true, "retryAfterSeconds": 7}))
        .await;
    assert!(matches!(
        scale("1s6").await,
        Err(PlatformError::Transient { retry_after: Some(rest), is_down: true, .. }) if rest == Duration::from_secs(7)
    ));
    // Stored, but answered with a conflict: whoever tries again must look first.
    practice
        .set(json!({"outage": false, "conflictRate": 1.0}))
        .await;
    assert!(matches!(
        scale("1s6").await,
        Err(PlatformError::Transient {
            is_untouched: false,
            is_down: false,
            ..
        })
    ));
    practice.set(json!({"conflictRate": 0.0})).await;
    assert!(matches!(
        scale("1s99").await,
        Err(PlatformError::Refused { .. })
    ));
    let too_large = practice
        .rancher
        .scale_service("1s6", u32::MAX, None, &mut notes())
        .await;
    let Err(PlatformError::Refused { message }) = too_large else {
        panic!("it cannot be so large: {too_large:?}");
    };
    assert!(
        message.contains("InvalidFormat") && message.contains("scale"),
        "{message}"
    );
}

#[tokio::test]
async fn an_address_that_is_no_cattle_server_is_told() {
    let practice = Practice::start().await;
    let metrics = driver(&format!("http://{}/wrong", practice.sandbox.address()));
    let group = GroupKey::named("hosts/1a5/role=web");
    assert!(matches!(
        metrics.observe(&group, Need::Everything).await,
        Err(PlatformError::Refused { .. })
    ));
    let closed = driver("http://127.0.0.1:1/v2-beta");
    assert!(matches!(
        closed.observe(&group, Need::Everything).await,
        Err(PlatformError::Transient {
            is_down: true,
            is_untouched: true,
            ..
        })
    ));
}

/// rancher/rancher issue 10258: lists go on beyond a page.
#[tokio::test]
async fn lists_are_read_over_all_pages() {
    let practice = Practice::start().await;
    let many = json!({"name": "many", "count": 2_100, "labels": {"release": "many"}});
    practice.call(Method::POST, "sandbox/services", &many).await;
    let seen = practice.observe("upgrade/1a5/release=many").await.unwrap();
    let Seen::Services(services) = seen else {
        panic!("they are there: {seen:?}");
    };
    assert_eq!(services.len(), 2_100);
    let targets = practice.rancher.targets(TargetKind::Service).await.unwrap();
    assert_eq!(
        targets.len(),
        2_105,
        "those of the seed that can be scaled, too"
    );
}

#[tokio::test]
async fn an_upgrade_is_pursued_by_what_the_platform_tells() {
    let practice = Practice::start().await;
    practice.set(json!({"settleMs": 300, "eventMs": 20})).await;
    let action = upgrade("example/shop");
    let mut news = practice.rancher.news(&action).unwrap();
    told(&mut *news).await;
    assert!(news.is_live(), "it is told when the websocket stands");
    assert_eq!(practice.pursue(&action, &mut notes()).await, Step::Done);
    let actions: Vec<_> = practice
        .calls()
        .await
        .iter()
        .map(|call| call["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(actions, ["upgrade", "finishupgrade"]);

    // The server hangs up, which is told too; and it is called again.
    practice.set(json!({"events": false})).await;
    while news.is_live() {
        told(&mut *news).await;
    }
    practice.set(json!({"events": true})).await;
    while !news.is_live() {
        told(&mut *news).await;
    }
    // What concerns others wakes nobody.
    practice
        .call(Method::PUT, "v2-beta/services/1s6", &json!({"scale": 4}))
        .await;
    practice
        .call(Method::PUT, "v2-beta/services/1s14", &json!({"scale": 4}))
        .await;
    told(&mut *news).await;
}

/// Another process began the upgrade, and was stopped before it heard the answer.
#[tokio::test]
async fn a_resumed_upgrade_is_recognised_in_each_state() {
    let practice = Practice::start().await;
    let action = upgrade("example/shop");
    for state in ["upgraded", "active"] {
        practice
            .call(Method::DELETE, "sandbox/calls", &Value::Null)
            .await;
        let mut first = notes();
        practice.rancher.pursue(&action, &mut first).await.unwrap();
        if state == "active" {
            assert_eq!(practice.pursue(&action, &mut first).await, Step::Done);
        }
        let before = practice.calls().await.len();
        let mut resumed = Notes::new(
            Lease::new(Partition(0), None),
            Timestamp::from_millis(0),
            true,
        );
        assert_eq!(practice.pursue(&action, &mut resumed).await, Step::Done);
        let upgrades = practice.calls().await;
        let upgrades = upgrades.iter().filter(|call| call["action"] == "upgrade");
        assert_eq!(upgrades.count(), 1, "it was not begun again");
        assert!(state != "active" || practice.calls().await.len() == before);
        let back = json!({"inServiceStrategy": {"launchConfig": {
            "imageUuid": "docker:example/shop:latest", "labels": {"release": "shop"},
        }}});
        practice
            .call(Method::POST, "v2-beta/services/1s14?action=upgrade", &back)
            .await;
        while practice
            .call(Method::GET, "v2-beta/services/1s14", &Value::Null)
            .await["state"]
            != "upgraded"
        {
            tokio::task::yield_now().await;
        }
        practice
            .call(
                Method::POST,
                "v2-beta/services/1s14?action=finishupgrade",
                &json!({}),
            )
            .await;
        while practice
            .call(Method::GET, "v2-beta/services/1s14", &Value::Null)
            .await["state"]
            != "active"
        {
            tokio::task::yield_now().await;
        }
    }
}

/// A call that the lease does not outlast is not made.
#[tokio::test]
async fn nothing_is_called_under_a_lease_that_ends() {
    let practice = Practice::start().await;
    let ends = Some(tokio::time::Instant::now() + Duration::from_millis(1));
    let mut notes = Notes::new(
        Lease::new(Partition(0), ends),
        Timestamp::from_millis(0),
        false,
    );
    let scaled = practice
        .rancher
        .scale_service("1s6", 3, None, &mut notes)
        .await;
    assert_eq!(scaled, Err(PlatformError::LeaseEnds));
    assert!(practice.calls().await.is_empty());
}
