//! The checks that come before every kind's own rules, in their order: receiver deleted or disabled, filter,
//! alert status, cooldown. (Duplicates never get here: the trigger log keeps one of them.)

use std::time::Duration;

use super::alert::Notification;
use super::filter;
use crate::domain::ledger::GroupState;
use crate::domain::outcome::{Code, Verdict};
use crate::domain::receiver::{OnRepeat, OnResolved, Receiver};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;

/// What a trigger asks of its kind once it has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// What the receiver's configuration says.
    AsConfigured,
    /// The opposite, as the alert has ended.
    Reversed,
}

/// Why a trigger did not pass.
pub(super) enum Stop {
    /// Whatever happened before.
    Regardless(Verdict),
    /// Because of an action shortly before.
    AfterAction(Verdict),
}

/// Passes `trigger` on to its kind's rules, or says why not.
pub(super) fn pass<'a>(
    state: &GroupState,
    trigger: &Trigger,
    receiver: Option<&'a Receiver>,
    now: Timestamp,
) -> Result<(&'a Receiver, Wish), Stop> {
    let (receiver, wish) = regardless(trigger, receiver, now).map_err(Stop::Regardless)?;
    match cooling(state, receiver, now) {
        Some(verdict) if !trigger.ignores_cooldown => Err(Stop::AfterAction(verdict)),
        _ => Ok((receiver, wish)),
    }
}

/// The receiver, if it is there and not disabled.
pub(super) fn is_active<'a>(
    trigger: &Trigger,
    receiver: Option<&'a Receiver>,
    now: Timestamp,
) -> Result<&'a Receiver, Verdict> {
    let Some(receiver) = receiver else {
        return Err(Verdict::new(
            Code::ReceiverDeleted,
            format!("receiver {} was deleted", trigger.receiver_name),
        ));
    };
    if !receiver.activity.is_active(now) {
        return Err(Verdict::new(
            Code::ReceiverDisabled,
            format!("receiver {} is disabled", receiver.name),
        ));
    }
    Ok(receiver)
}

/// What `trigger` asks of its kind, but for cooldowns.
pub(super) fn regardless<'a>(
    trigger: &Trigger,
    receiver: Option<&'a Receiver>,
    now: Timestamp,
) -> Result<(&'a Receiver, Wish), Verdict> {
    let receiver = is_active(trigger, receiver, now)?;
    if let Some(why) = filter::mismatch(&receiver.options.filter, &trigger.body) {
        return Err(Verdict::new(Code::Filtered, why));
    }
    let Some(notification) = Notification::in_trigger(trigger) else {
        return Ok((receiver, Wish::AsConfigured));
    };
    if notification.is_repeat && receiver.options.on_repeat == OnRepeat::Ignore {
        return Err(Verdict::new(
            Code::AlertRepeated,
            "Alertmanager repeated a notification, and the receiver ignores repeats",
        ));
    }
    let is_end = notification.is_resolved && receiver.kind.driver().is_scaling();
    match receiver.options.on_resolved {
        OnResolved::Skip if is_end => Err(Verdict::new(
            Code::AlertResolved,
            "the alert is resolved; set onResolved to act on that",
        )),
        OnResolved::Reverse if is_end => Ok((receiver, Wish::Reversed)),
        _ => Ok((receiver, Wish::AsConfigured)),
    }
}

fn cooling(state: &GroupState, receiver: &Receiver, now: Timestamp) -> Option<Verdict> {
    let left = |last: Option<Timestamp>, cooldown: Duration| {
        last.and_then(|last| cooldown.checked_sub(now.since(last)))
            .filter(|left| !left.is_zero())
    };
    let own = left(
        state.last_action_by.get(&receiver.id).copied(),
        receiver.options.cooldown,
    );
    let group = left(state.last_action_at, receiver.options.group_cooldown);
    let (left, whose) = match (own, group) {
        (Some(own), group) if group.is_none_or(|group| group <= own) => (own, "receiver"),
        (_, Some(group)) => (group, "group"),
        _ => return None,
    };
    Some(Verdict::new(
        Code::CoolingDown,
        format!(
            "the {whose} acted a moment ago and cools down for another {:.1} s",
            left.as_secs_f64()
        ),
    ))
}
