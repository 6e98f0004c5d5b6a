//! Which of several pushes that come together is upgraded to: the newest, for whatever it is for.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::decide::{Container, MatchedService, Seen, ServiceSeen, Waiting, fold};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::kind::{
    AddressType, Driver, Kind, OnFailure, PayloadFormat, ServiceUpgrade,
};
use stormhook_shared::domain::ledger::{Action, GroupState};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::push::{Notice, Push};
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Options, Receiver};
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::{Logged, Source, Trigger};

const FIRED: i64 = 1_800_000_000_000;
const SETTLED: i64 = FIRED + 60_000;

fn receiver() -> Arc<Receiver> {
    Arc::new(Receiver {
        id: ReceiverId::from_bytes([0; 12]),
        project: "1a5".parse().unwrap(),
        name: "upgrade-shop".to_owned(),
        kind: Kind::ServiceUpgrade(ServiceUpgrade {
            service_selector: Selector::parse("release=shop").unwrap(),
            tag: "v2".to_owned().try_into().unwrap(),
            image: None,
            payload_format: PayloadFormat::Dockerhub,
            address_type: AddressType::Registry,
            batch_size: NonZeroU32::MIN,
            interval: Duration::from_secs(2),
            start_first: false,
            settle: Duration::from_secs(5),
            on_failure: OnFailure::default(),
            monitor: None,
        }),
        options: Options::default_for(Driver::ServiceUpgrade),
        activity: Activity::Active,
        keys: KeyVersions::FIRST,
        revision: 1,
        created_at: Timestamp::from_millis(0),
    })
}

/// Pushes of these images, one a second; parts of an upgrade where `is_part`.
fn pushes(images: &[&str], is_part: bool) -> Vec<Waiting> {
    let receiver = receiver();
    (1_u64..)
        .zip(images)
        .map(|(number, image)| {
            let trigger = Trigger {
                id: TriggerId::of_undecodable(Sequence(number)),
                receiver_id: receiver.id,
                receiver_name: receiver.name.clone(),
                driver: Driver::ServiceUpgrade,
                project: receiver.project.clone(),
                group: GroupKey::named("a group"),
                accepted_at: Timestamp::from_millis(FIRED + 1_000 * i64::try_from(number).unwrap()),
                source: Source {
                    address: None,
                    user_agent: None,
                },
                idempotency_key: None,
                replay_of: None,
                ignores_cooldown: false,
                parent_id: is_part.then_some(TriggerId::of_undecodable(Sequence(0))),
                parent_sequence: is_part.then_some(Sequence(number)),
                notice: Some(Notice::Pushed(vec![Push {
                    image: (*image).to_owned(),
                    tag: "v2".to_owned().try_into().unwrap(),
                    digest: None,
                }])),
                query: None,
                registry_revision: Revision(0),
                headers: BTreeMap::new(),
                content_type: None,
                body: Vec::new(),
            };
            let logged = Logged {
                sequence: Sequence(number),
                trigger,
            };
            Waiting::new(logged, Some(Arc::clone(&receiver)))
        })
        .collect()
}

/// The codes of the verdicts on all pushes up to the first that is acted upon, and the image of that.
fn upgraded(seen: &Seen, waiting: &[Waiting]) -> (Vec<Code>, Option<String>) {
    let batch = fold(
        &GroupState::default(),
        Some(seen),
        waiting,
        Timestamp::from_millis(SETTLED),
    );
    let image = match batch.action {
        Some(Action::UpgradeServices { push, .. } | Action::UpgradeService { push, .. }) => {
            Some(push.image)
        }
        _ => None,
    };
    let codes = batch.drafts.iter().map(|draft| draft.verdict.code);
    (codes.collect(), image)
}

fn service(id: &str, repositories: Option<&[&str]>) -> MatchedService {
    MatchedService {
        id: id.to_owned(),
        name: id.to_owned(),
        repositories: repositories.map(|own| own.iter().map(|one| (*one).to_owned()).collect()),
    }
}

#[test]
fn where_services_take_any_image_the_newest_push_is_for_all() {
    let seen = Seen::Services(vec![service("1s5", None)]);
    let waiting = pushes(&["shop/a", "shop/b", "shop/a"], false);
    assert_eq!(
        upgraded(&seen, &waiting),
        (
            vec![Code::Superseded, Code::Superseded, Code::Upgraded],
            Some("shop/a".to_owned())
        )
    );
}

#[test]
fn where_services_take_their_own_repository_each_one_has_its_newest_push() {
    let seen = Seen::Services(vec![
        service("a", Some(&["shop/a"])),
        service("b", Some(&["shop/b"])),
    ]);
    let waiting = pushes(&["shop/a", "docker.io/shop/a", "shop/b"], false);
    assert_eq!(
        upgraded(&seen, &waiting),
        (
            vec![Code::Superseded, Code::Upgraded],
            Some("docker.io/shop/a".to_owned())
        )
    );
    assert_eq!(
        upgraded(&seen, &waiting[2..]),
        (vec![Code::Upgraded], Some("shop/b".to_owned()))
    );
}

#[test]
fn a_push_for_one_container_of_a_service_leaves_those_for_others_to_come() {
    let seen = Seen::Services(vec![service("web", Some(&["shop/app", "shop/sidecar"]))]);
    let waiting = pushes(&["shop/app", "shop/sidecar"], false);
    assert_eq!(
        upgraded(&seen, &waiting),
        (vec![Code::Upgraded], Some("shop/app".to_owned()))
    );
}

#[test]
fn what_is_for_nobody_is_told_so_and_keeps_nobody_from_anything() {
    let seen = Seen::Services(vec![service("a", Some(&["shop/a"]))]);
    let waiting = pushes(&["shop/a", "shop/other"], false);
    assert_eq!(
        upgraded(&seen, &waiting),
        (vec![Code::Upgraded], Some("shop/a".to_owned()))
    );
    assert_eq!(
        upgraded(&seen, &waiting[1..]),
        (vec![Code::NoMatchingServices], None)
    );
    let none = Seen::Services(Vec::new());
    assert_eq!(
        upgraded(&none, &waiting),
        (vec![Code::NoMatchingServices; 2], None)
    );
}

#[test]
fn a_part_is_superseded_by_one_for_the_same_containers() {
    let container = |name: &str, repository: Option<&str>| Container {
        name: Some(name.to_owned()),
        image: format!("{name}:v1"),
        repository: repository.map(str::to_owned),
        labels: BTreeMap::from([("release".to_owned(), "shop".to_owned())]),
    };
    let seen = |containers| {
        Seen::Service(ServiceSeen {
            id: "1s5".to_owned(),
            name: "web".to_owned(),
            scale: 1,
            version: None,
            unscalable: None,
            autoscaled: None,
            containers,
        })
    };
    let waiting = pushes(&["shop/a", "shop/b"], true);
    let any = seen(vec![container("a", None), container("b", None)]);
    assert_eq!(
        upgraded(&any, &waiting),
        (
            vec![Code::Superseded, Code::Upgraded],
            Some("shop/b".to_owned())
        )
    );
    let own = seen(vec![
        container("a", Some("shop/a")),
        container("b", Some("shop/b")),
    ]);
    assert_eq!(
        upgraded(&own, &waiting),
        (vec![Code::Upgraded], Some("shop/a".to_owned()))
    );
}
