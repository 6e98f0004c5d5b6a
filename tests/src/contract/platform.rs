//! The contract of platforms, on whatever bench has one with services that a test can make and change.

use std::sync::Arc;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use stormhook_shared::configuration::{PlatformConfiguration, ProjectConfiguration};
use stormhook_shared::decide::{Seen, ServiceSeen};
use stormhook_shared::domain::group::{GroupKey, Partition};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::kind::{Kind, OnFailure, ScaleService, Scaling, Target};
use stormhook_shared::domain::ledger::{Action, UpgradedContainer};
use stormhook_shared::domain::push::Push;
use stormhook_shared::domain::scaling::{Amount, Bounds, Direction};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::leases::Lease;
use stormhook_shared::ports::platform::{Need, Notes, Platform, PlatformError, Step, TargetKind};
use stormhook_shared::telemetry::Readiness;
use stormhook_worker::platforms::{PlatformHealth, connect as connect_all};

use crate::wait;

/// Where a platform's contract is tried.
#[async_trait]
pub trait Bench: Send + Sync {
    /// How the platform is reached.
    fn configuration(&self) -> PlatformConfiguration;

    /// The same with an address that nobody listens at.
    fn nowhere(&self) -> PlatformConfiguration;

    /// Makes a service with the label app=`name` that runs example/web:v1, and returns its id.
    async fn create(&self, name: &str, scale: u32) -> String;

    /// A service that cannot be scaled.
    async fn unscalable(&self) -> String;

    /// Gives a service another scale, as another user would.
    async fn rescale(&self, id: &str, to: u32);

    /// What a service runs.
    async fn image(&self, id: &str) -> String;

    /// Removes a service.
    async fn remove(&self, id: &str);
}

/// All of it.
pub async fn holds(bench: &dyn Bench) {
    a_connection_tells_whether_it_can_be_used(bench).await;
    a_scale_is_set_to_what_it_is_to_be(bench).await;
    a_scale_that_others_changed_meanwhile_is_not_undone(bench).await;
    what_cannot_be_used_is_told_by_its_field(bench).await;
    a_service_that_is_gone_is_seen_so(bench).await;
    an_upgrade_comes_to_its_end_and_is_recognised(bench).await;
}

fn project() -> ProjectId {
    "1a5".parse().unwrap()
}

fn connect(platform: PlatformConfiguration) -> Arc<dyn Platform> {
    let configuration = ProjectConfiguration {
        name: None,
        platform,
        max_in_flight: std::num::NonZeroUsize::MIN,
    };
    let projects = [(project(), configuration)].into();
    let readiness = Arc::new(Readiness::default());
    let health = PlatformHealth::register(&mut Registry::default(), readiness);
    let connected = connect_all(&projects, None, &health).unwrap();
    connected.into_values().next().expect("one was connected")
}

fn notes() -> Notes {
    Notes::new(Lease::new(Partition(0), None), Timestamp::now(), false)
}

async fn service(platform: &dyn Platform, id: &str) -> ServiceSeen {
    let group = GroupKey::of(&project(), &Target::Service(id.to_owned()));
    wait::until("the service can be read", || async {
        match platform.observe(&group, Need::Everything).await {
            Ok(Seen::Service(service)) => Ok(service),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

fn scaling(id: &str) -> Kind {
    let amount = |amount| Amount::try_from(amount).unwrap();
    Kind::ScaleService(ScaleService {
        service_id: id.to_owned(),
        scaling: Scaling {
            action: Direction::Up,
            amount: amount(1),
            bounds: Bounds::new(amount(1), amount(9)).unwrap(),
        },
        override_autoscaler: false,
    })
}

/// Asked for, it is there or it is down; it never is refused for good what a restart would mend.
pub async fn a_connection_tells_whether_it_can_be_used(bench: &dyn Bench) {
    let told = connect(bench.configuration()).probe().await.unwrap();
    assert!(!told.is_empty());
    let down = connect(bench.nowhere()).probe().await;
    let Err(PlatformError::Transient {
        is_down,
        is_untouched,
        ..
    }) = down
    else {
        panic!("{down:?}");
    };
    assert!(is_down && is_untouched);
}

/// The goal is absolute, and reached by one call; another to the same goal does no harm.
pub async fn a_scale_is_set_to_what_it_is_to_be(bench: &dyn Bench) {
    let platform = connect(bench.configuration());
    let id = bench.create("contract-scale", 2).await;
    let seen = service(&*platform, &id).await;
    assert_eq!((seen.scale, &seen.unscalable), (2, &None));
    for _ in 0..2 {
        let calls = wait::until("the scale to be set", || async {
            let version = service(&*platform, &id).await.version;
            let mut notes = notes();
            let scaled = platform.scale_service(&id, 5, version.as_deref(), &mut notes);
            match scaled.await {
                Ok(()) => Ok(notes.calls()),
                // The platform's own controllers may write to the service while its scale is being reached.
                Err(
                    overtaken @ PlatformError::Transient {
                        is_untouched: true, ..
                    },
                ) => Err(overtaken.to_string()),
                Err(other) => panic!("{other}"),
            }
        })
        .await;
        assert_eq!(calls, 1);
        assert_eq!(service(&*platform, &id).await.scale, 5);
    }
    let targets = platform.targets(TargetKind::Service).await.unwrap();
    assert!(format!("{targets:?}").contains("contract-scale"));
    bench.remove(&id).await;
}

/// Where the platform has versions, a write that was decided from an older one has no effect and says so.
pub async fn a_scale_that_others_changed_meanwhile_is_not_undone(bench: &dyn Bench) {
    let platform = connect(bench.configuration());
    let id = bench.create("contract-stale", 2).await;
    let seen = service(&*platform, &id).await;
    bench.rescale(&id, 7).await;
    if let Some(version) = &seen.version {
        for _ in 0..2 {
            let stale = platform
                .scale_service(&id, 3, Some(version), &mut notes())
                .await;
            let Err(PlatformError::Transient {
                is_untouched: true,
                is_down: false,
                ..
            }) = stale
            else {
                panic!("{stale:?}");
            };
        }
    }
    assert_eq!(service(&*platform, &id).await.scale, 7);
    bench.remove(&id).await;
}

/// Told when a receiver is created, and with the name that stays.
pub async fn what_cannot_be_used_is_told_by_its_field(bench: &dyn Bench) {
    let platform = connect(bench.configuration());
    for id in [&bench.unscalable().await, "no-such-service"] {
        let unusable = platform.check(&scaling(id)).await.unwrap().unwrap_err();
        assert_eq!(unusable.field, "serviceId", "{unusable:?}");
        assert!(!unusable.message.is_empty());
    }
    let id = bench.create("contract-check", 1).await;
    let kept = platform.check(&scaling(&id)).await.unwrap().unwrap();
    let Target::Service(kept_as) = kept.target() else {
        panic!("{kept:?}");
    };
    assert_eq!(platform.check(&kept).await, Ok(Ok(kept.clone())));
    assert_eq!(service(&*platform, &kept_as).await.scale, 1);
    bench.remove(&id).await;
}

/// Its verdict is then that it was removed, and a write finds nothing.
pub async fn a_service_that_is_gone_is_seen_so(bench: &dyn Bench) {
    let platform = connect(bench.configuration());
    let id = bench.create("contract-gone", 1).await;
    service(&*platform, &id).await;
    bench.remove(&id).await;
    let group = GroupKey::of(&project(), &Target::Service(id.clone()));
    wait::until("the service is gone", || async {
        match platform.observe(&group, Need::Everything).await {
            Ok(Seen::Gone { .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Pursued step by step, it ends with the pushed image; whoever takes the same plan up again then has nothing to do.
pub async fn an_upgrade_comes_to_its_end_and_is_recognised(bench: &dyn Bench) {
    let platform = connect(bench.configuration());
    let id = bench.create("contract-upgrade", 1).await;
    let seen = service(&*platform, &id).await;
    let action = Action::UpgradeService {
        service_id: id.clone(),
        name: seen.name.clone(),
        version: seen.version.clone(),
        push: Push {
            image: "example/web".to_owned(),
            tag: "v2".to_owned().try_into().unwrap(),
            digest: None,
        },
        containers: vec![UpgradedContainer {
            name: seen.containers[0].name.clone(),
            image: seen.containers[0].image.clone(),
        }],
        batch_size: 1,
        interval_millis: 100,
        start_first: false,
        on_failure: OnFailure::Pause,
        monitor_millis: None,
    };
    let mut own = notes();
    finish(&*platform, &action, &mut own).await;
    assert!(own.calls() >= 1);
    assert!(bench.image(&id).await.contains("example/web:v2"));
    // Whoever takes it up has the plan, with when it was decided, and not what the first had noted.
    let lease = Lease::new(Partition(0), None);
    let mut resumed = Notes::new(lease, own.decided_at, true);
    finish(&*platform, &action, &mut resumed).await;
    assert_eq!(resumed.calls(), 0, "it was done before");
    bench.remove(&id).await;
}

async fn finish(platform: &dyn Platform, action: &Action, notes: &mut Notes) {
    loop {
        match platform.pursue(action, notes).await {
            Ok(Step::Done) => return,
            Ok(Step::Underway { .. }) | Err(PlatformError::Transient { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}
