use super::*;

const OLD: &str = "example/web:v1";
const GOAL: &str = "example/web:v2";

fn push() -> Push {
    Push {
        image: "docker.io/example/web".to_owned(),
        tag: "v2".to_owned().try_into().unwrap(),
        digest: None,
    }
}

fn with_upgrade<T>(old: &str, check: impl FnOnce(&Upgrade<'_>) -> T) -> T {
    check(&Upgrade {
        service_id: "web",
        name: "web",
        version: Some(Version {
            index: 11,
            forced: 2,
        }),
        push: &push(),
        containers: &[UpgradedContainer {
            name: None,
            image: old.to_owned(),
        }],
        batch_size: 2,
        interval_millis: 2_000,
        start_first: true,
        on_failure: OnFailure::Rollback,
        monitor_millis: Some(5_000),
    })
}

fn service(index: u64, image: &str, forced: u64, state: &str) -> Value {
    json!({
        "ID": "yhz", "Version": {"Index": index},
        "Spec": {
            "Name": "web", "Labels": {"app": "web"}, "Mode": {"Global": {}},
            "TaskTemplate": {
                "ContainerSpec": {"Image": image, "OomScoreAdj": 7, "Secrets": [{"SecretID": "s"}]},
                "ForceUpdate": forced, "Placement": {"Constraints": ["node.role==worker"]},
            },
            "UpdateConfig": {"Parallelism": 9, "MaxFailureRatio": 0.5},
        },
        "UpdateStatus": {"State": state, "Message": "told"},
    })
}

const NEW: Known = Known {
    is_begun: false,
    may_have_begun: false,
};
const RESUMED: Known = Known {
    is_begun: false,
    may_have_begun: true,
};
const BEGUN: Known = Known {
    is_begun: true,
    may_have_begun: true,
};

#[test]
fn each_state_met_is_led_to_the_updates_end() {
    for (index, image, forced, state, expected) in [
        (11, OLD, 2, "", Some(Next::Update)),
        (11, OLD, 2, "completed", Some(Next::Update)),
        (11, OLD, 2, "rollback_completed", Some(Next::Update)),
        (14, OLD, 2, "completed", Some(Next::Update)),
        (12, GOAL, 2, "", Some(Next::Look)),
        (12, GOAL, 2, "completed", Some(Next::Is(Step::Done))),
        (
            12,
            GOAL,
            2,
            "paused",
            Some(Next::Explain("told".to_owned())),
        ),
        (12, GOAL, 2, "updating", None),
        (13, OLD, 2, "rollback_started", None),
        (
            13,
            OLD,
            2,
            "rollback_paused",
            Some(Next::Explain("told".to_owned())),
        ),
    ] {
        let found = service(index, image, forced, state);
        let next = with_upgrade(OLD, |upgrade| next(upgrade, &found, RESUMED));
        match expected {
            Some(expected) => assert_eq!(next, expected, "{index} {image} {state}"),
            None => assert!(matches!(next, Next::Is(Step::Underway { .. })), "{state}"),
        }
    }
}

#[test]
fn nothing_that_is_there_before_the_first_write_is_taken_for_it() {
    for (image, state) in [(OLD, "updating"), (GOAL, "completed"), (GOAL, "paused")] {
        let found = service(11, image, 2, state);
        let next = with_upgrade(image, |upgrade| next(upgrade, &found, NEW));
        assert_eq!(next, Next::Update, "{image} {state}");
    }
}

/// A push of the same tag, which the engine cannot resolve: only the forced update tells that it was begun.
#[test]
fn a_resumed_upgrade_to_the_same_image_is_recognised() {
    let is_done = |forced| {
        let found = service(15, GOAL, forced, "completed");
        with_upgrade(GOAL, |upgrade| next(upgrade, &found, RESUMED))
    };
    assert_eq!(is_done(2), Next::Update);
    assert_eq!(is_done(3), Next::Is(Step::Done));
}

#[test]
fn what_is_undone_or_gone_is_a_failure() {
    const OTHER: &str = "example/api:v1";
    for (found, known, expected) in [
        (
            service(13, OLD, 2, "rollback_completed"),
            BEGUN,
            Code::UpgradeFailed,
        ),
        (
            service(13, OLD, 2, "rollback_completed"),
            RESUMED,
            Code::UpgradeFailed,
        ),
        (service(13, OLD, 2, "completed"), BEGUN, Code::UpgradeFailed),
        (
            service(13, "example/web:v5", 2, "completed"),
            BEGUN,
            Code::UpgradeFailed,
        ),
        (
            service(13, "example/web:v5", 2, "completed"),
            RESUMED,
            Code::Uncertain,
        ),
        (service(13, OTHER, 2, ""), NEW, Code::UpgradeFailed),
        (Value::Null, BEGUN, Code::ServiceRemoved),
    ] {
        let next = with_upgrade(OLD, |upgrade| next(upgrade, &found, known));
        let Next::Is(Step::Failed { code, .. }) = next else {
            panic!("{next:?} {found}");
        };
        assert_eq!(code, expected, "{found}");
    }
}

#[test]
fn everything_but_the_image_and_the_way_there_is_carried_over() {
    let before = service(11, OLD, 2, "")["Spec"].clone();
    let mut expected = before.clone();
    expected["TaskTemplate"]["ContainerSpec"]["Image"] = json!("example/web:v2@sha256:bb");
    expected["UpdateConfig"] = json!({
        "Parallelism": 2, "Delay": 2_000_000_000_u64, "Order": "start-first", "FailureAction": "rollback",
        "Monitor": 5_000_000_000_u64, "MaxFailureRatio": 0.5,
    });
    let changed = with_upgrade(OLD, |upgrade| request(upgrade, &before, Some("sha256:bb")));
    assert_eq!(changed, expected);
}

#[test]
fn an_update_to_what_is_there_already_is_forced() {
    let before = service(11, GOAL, 2, "")["Spec"].clone();
    let changed = with_upgrade(GOAL, |upgrade| request(upgrade, &before, None));
    assert_eq!(changed["TaskTemplate"]["ForceUpdate"], 3);
    assert_eq!(changed["TaskTemplate"]["ContainerSpec"]["Image"], GOAL);
}
