//! The rules of serviceUpgrade: which pushes count, when an upgrade starts, and which containers of a service it
//! concerns.

use super::{Container, MatchedService, ServiceSeen};
use crate::domain::kind::ServiceUpgrade;
use crate::domain::ledger::{Action, UpgradedContainer};
use crate::domain::outcome::{Code, Verdict};
use crate::domain::push::{Notice, Push, is_same_repository};
use crate::domain::time::Timestamp;

/// How many settling times after the first push an upgrade starts at the latest.
const MOST_SETTLING: u32 = 6;

/// The push that `config` waits for, or why what `notice` tells is none.
pub(super) fn wanted<'a>(
    config: &ServiceUpgrade,
    notice: Option<&'a Notice>,
) -> Result<&'a Push, Verdict> {
    let pushes = match notice {
        Some(Notice::Pushed(pushes)) => pushes,
        Some(Notice::Other(why)) => return Err(Verdict::new(Code::NoPush, why.clone())),
        None => {
            let message = "the trigger names no pushed image";
            return Err(Verdict::new(Code::NoPush, message));
        }
    };
    let tagged: Vec<_> = pushes
        .iter()
        .filter(|push| push.tag == config.tag)
        .collect();
    if tagged.is_empty() {
        let pushed: Vec<_> = pushes.iter().map(ToString::to_string).collect();
        let message = format!(
            "{} was pushed, but the receiver waits for the tag {}",
            pushed.join(", "),
            config.tag
        );
        return Err(Verdict::new(Code::TagMismatch, message));
    }
    let is_wanted = |push: &Push| match &config.image {
        None => true,
        Some(image) => is_same_repository(image, &push.image),
    };
    // Of two with one tag, the one that is told last stands.
    let found = tagged.iter().rev().find(|push| is_wanted(push));
    found.copied().ok_or_else(|| {
        let message = format!(
            "{} was pushed, but the receiver waits for {}",
            tagged[0],
            config.image.as_deref().unwrap_or_default()
        );
        Verdict::new(Code::ImageMismatch, message)
    })
}

/// When the upgrade starts that pushes from `first` to `last` lead to.
pub(super) fn starts_at(config: &ServiceUpgrade, first: Timestamp, last: Timestamp) -> Timestamp {
    let settled = last.plus(config.settle);
    settled.min(first.plus(config.settle.saturating_mul(MOST_SETTLING)))
}

/// The verdict on a push that concerns none of the `services` which carry the labels.
pub(super) fn none_concerned(
    config: &ServiceUpgrade,
    push: &Push,
    services: &[MatchedService],
    concerned: &[MatchedService],
) -> Option<Verdict> {
    let selector = &config.service_selector;
    let message = match (services.len(), concerned.len()) {
        (0, _) => format!("no service carries the label {selector}"),
        (some, 0) => format!(
            "{some} services carry the label {selector}, but none of them runs {}",
            push.image
        ),
        _ => return None,
    };
    Some(Verdict::new(Code::NoMatchingServices, message))
}

/// The upgrade of the containers of `service` that carry the labels, or why there is none.
pub(super) fn upgrade(
    config: &ServiceUpgrade,
    push: &Push,
    service: &ServiceSeen,
) -> Result<Action, Verdict> {
    let labelled = carriers(config, service).count();
    let containers: Vec<_> = carriers(config, service)
        .filter(|container| takes(container, push))
        .map(|container| UpgradedContainer {
            name: container.name.clone(),
            image: container.image.clone(),
        })
        .collect();
    if containers.is_empty() {
        let message = if labelled == 0 {
            format!(
                "{} carries the label {} no longer",
                service.name, config.service_selector
            )
        } else {
            format!("{} does not run {} any longer", service.name, push.image)
        };
        return Err(Verdict::new(Code::NoMatchingServices, message));
    }
    Ok(Action::UpgradeService {
        service_id: service.id.clone(),
        name: service.name.clone(),
        version: service.version.clone(),
        push: push.clone(),
        containers,
        batch_size: config.batch_size.get(),
        interval_millis: u64::try_from(config.interval.as_millis()).unwrap_or(u64::MAX),
        start_first: config.start_first,
        on_failure: config.on_failure,
        monitor_millis: config
            .monitor
            .map(|monitor| u64::try_from(monitor.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// Whether the upgrade of `service` to `newer` is one of all containers that `push` is for.
pub(super) fn covers(
    config: &ServiceUpgrade,
    newer: &Push,
    push: &Push,
    service: &ServiceSeen,
) -> bool {
    carriers(config, service)
        .filter(|container| takes(container, push))
        .all(|container| takes(container, newer))
}

/// The containers that carry the labels.
fn carriers<'a>(
    config: &'a ServiceUpgrade,
    service: &'a ServiceSeen,
) -> impl Iterator<Item = &'a Container> {
    let containers = service.containers.iter();
    containers.filter(|container| config.service_selector.matches(&container.labels))
}

fn takes(container: &Container, push: &Push) -> bool {
    let own = container.repository.as_ref();
    own.is_none_or(|own| is_same_repository(own, &push.image))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::domain::kind::{AddressType, OnFailure, PayloadFormat};
    use crate::domain::selector::Selector;

    fn config(image: Option<&str>) -> ServiceUpgrade {
        ServiceUpgrade {
            service_selector: Selector::parse("release=shop").unwrap(),
            tag: "v2".to_owned().try_into().unwrap(),
            image: image.map(str::to_owned),
            payload_format: PayloadFormat::Dockerhub,
            address_type: AddressType::Registry,
            batch_size: NonZeroU32::MIN,
            interval: Duration::from_secs(2),
            start_first: false,
            settle: Duration::from_secs(5),
            on_failure: OnFailure::default(),
            monitor: None,
        }
    }

    fn push(image: &str, tag: &str, digest: Option<&str>) -> Push {
        Push {
            image: image.to_owned(),
            tag: tag.to_owned().try_into().unwrap(),
            digest: digest.map(str::to_owned),
        }
    }

    #[test]
    fn an_upgrade_starts_when_pushes_have_settled_and_never_later_than_six_times_that() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        for (last, start) in [(0, 5), (3, 8), (24, 29), (25, 30), (26, 30), (500, 30)] {
            assert_eq!(
                starts_at(&config(None), at(0), at(last)),
                at(start),
                "the last push came {last} s after the first"
            );
        }
    }

    #[test]
    fn a_push_is_wanted_by_its_tag_then_by_its_repository() {
        let code = |image, pushes: &[Push]| {
            let notice = Notice::Pushed(pushes.to_vec());
            wanted(&config(image), Some(&notice))
                .err()
                .map(|verdict| verdict.code)
        };
        let shop = push("example/shop", "v2", None);
        assert_eq!(code(None, std::slice::from_ref(&shop)), None);
        assert_eq!(
            code(Some("example/shop"), std::slice::from_ref(&shop)),
            None
        );
        assert_eq!(
            code(Some("docker.io/example/shop"), std::slice::from_ref(&shop)),
            None
        );
        let old = push("example/shop", "v1", None);
        assert_eq!(
            code(Some("example/shop"), std::slice::from_ref(&old)),
            Some(Code::TagMismatch)
        );
        let other = push("example/blog", "v2", None);
        assert_eq!(
            code(Some("example/shop"), std::slice::from_ref(&other)),
            Some(Code::ImageMismatch)
        );
        assert_eq!(code(Some("example/shop"), &[old, other, shop]), None);
        let none = wanted(&config(None), None).unwrap_err();
        assert_eq!(none.code, Code::NoPush);
    }

    #[test]
    fn of_two_pushes_of_one_tag_the_last_stands() {
        let notice = Notice::Pushed(vec![
            push("example/shop", "v2", Some("sha256:1")),
            push("example/shop", "v2", Some("sha256:2")),
            push("example/blog", "v2", Some("sha256:3")),
        ]);
        let wanted = wanted(&config(Some("example/shop")), Some(&notice)).unwrap();
        assert_eq!(wanted.digest.as_deref(), Some("sha256:2"));
    }
}
