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
    let found = tagged.iter().find(|push| is_wanted(push));
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
    let carries = |container: &&Container| config.service_selector.matches(&container.labels);
    let takes = |container: &&Container| {
        let own = container.repository.as_ref();
        own.is_none_or(|own| is_same_repository(own, &push.image))
    };
    let labelled = service.containers.iter().filter(carries).count();
    let containers: Vec<_> = service
        .containers
        .iter()
        .filter(carries)
        .filter(takes)
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
