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
pub(super) fn pass(
    state: &GroupState,
    trigger: &Trigger,
    receiver: Option<&Receiver>,
    now: Timestamp,
) -> Result<Wish, Stop> {
    let wish = regardless(trigger, receiver, now).map_err(Stop::Regardless)?;
    match receiver.and_then(|receiver| cooling(state, receiver, now)) {
        Some(verdict) => Err(Stop::AfterAction(verdict)),
        None => Ok(wish),
    }
}

fn regardless(
    trigger: &Trigger,
    receiver: Option<&Receiver>,
    now: Timestamp,
) -> Result<Wish, Verdict> {
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
    if let Some(why) = filter::mismatch(&receiver.options.filter, &trigger.body) {
        return Err(Verdict::new(Code::Filtered, why));
    }
    let Some(notification) = Notification::in_trigger(trigger) else {
        return Ok(Wish::AsConfigured);
    };
    if notification.is_repeat && receiver.options.on_repeat == OnRepeat::Ignore {
        return Err(Verdict::new(
            Code::AlertRepeated,
            "Alertmanager repeated a notification, and the receiver ignores repeats",
        ));
    }
    match (notification.is_resolved, receiver.options.on_resolved) {
        (true, OnResolved::Skip) => Err(Verdict::new(
            Code::AlertResolved,
            "the alert is resolved; set onResolved to act on that",
        )),
        (true, OnResolved::Reverse) => Ok(Wish::Reversed),
        (true, OnResolved::Trigger) | (false, _) => Ok(Wish::AsConfigured),
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
