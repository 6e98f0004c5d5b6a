//! One event as it goes over the wire (server-sent events, WHATWG HTML 9.2), without its id, which depends on what its
//! viewer has seen.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, Revision, Sequence};
use stormhook_shared::domain::outcome::{Outcome, TriggerFacts};
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::questions::HistoryItem;
use stormhook_shared::receiver_json::{self, Rendering};

use super::place::{LedgerPlace, Place, Step};
use crate::trigger_json;

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) step: Step,
    /// Its lines after the id, up to the empty one.
    lines: Arc<str>,
}

impl Event {
    /// A trigger was accepted.
    pub(super) fn trigger(base: &str, logged: &Logged) -> Self {
        let item = HistoryItem {
            group: logged.trigger.group.clone(),
            trigger: TriggerFacts::of(logged),
            outcome: None,
        };
        let step = Step::Trigger(logged.sequence);
        Self::new(
            step,
            "trigger",
            &shown(base, &item, &logged.trigger.project),
        )
    }

    /// A trigger has its outcome.
    pub(super) fn outcome(
        base: &str,
        place: LedgerPlace,
        project: &ProjectId,
        group: GroupKey,
        outcome: Outcome,
    ) -> Self {
        let item = HistoryItem {
            group,
            trigger: outcome.trigger.clone(),
            outcome: Some(outcome),
        };
        Self::new(Step::Ledger(place), "outcome", &shown(base, &item, project))
    }

    /// A receiver is new or has changed. Its trigger URL is a secret, and not told here.
    pub(super) fn receiver(base: &str, receiver: &Receiver, revision: Revision) -> Self {
        let rendering = Rendering {
            url: None,
            self_link: &link(base, receiver),
            now: Timestamp::now(),
        };
        let data = receiver_json::render(receiver, &rendering);
        Self::new(Step::Registry(revision), "receiver", &data)
    }

    /// A receiver was deleted.
    pub(super) fn removed(base: &str, receiver: &Receiver, revision: Revision) -> Self {
        let data = json!({
            "type": "receiver",
            "id": receiver.id,
            "name": receiver.name,
            "driver": receiver.kind.driver(),
            "state": "removed",
            "links": {"self": link(base, receiver)},
        });
        Self::new(Step::Registry(revision), "receiver", &data)
    }

    fn new(step: Step, kind: &str, data: &Value) -> Self {
        Self {
            step,
            lines: format!("event: {kind}\ndata: {data}\n\n").into(),
        }
    }

    /// Writes the event for a viewer who has seen everything up to `place` with it.
    pub(super) fn write(&self, place: &Place, text: &mut String) {
        let _ = write!(text, "id: {place}\n{}", self.lines); // Writing to a text cannot fail.
    }
}

/// What tells a viewer where it begins.
pub(super) fn beginning(place: &Place) -> String {
    format!("retry: 1000\nid: {place}\nevent: begin\ndata: {{}}\n\n")
}

/// What tells a viewer how far it has seen everything: an id alone, which is no event.
pub(super) fn position(place: &Place) -> String {
    format!("id: {place}\n\n")
}

/// What tells a viewer that it has missed something and must begin anew.
pub(super) fn reload(reason: &str) -> String {
    format!("event: reload\ndata: {}\n\n", json!({"reason": reason}))
}

/// The place in the trigger log of what cannot be read there.
pub(super) fn passed_over(sequence: Sequence) -> Step {
    Step::Trigger(sequence)
}

fn shown(base: &str, item: &HistoryItem, project: &ProjectId) -> Value {
    let link = trigger_json::link(base, project, item.trigger.id);
    trigger_json::item(item, &link)
}

fn link(base: &str, receiver: &Receiver) -> String {
    let (id, project) = (receiver.id, &receiver.project);
    format!("{base}/v1-webhooks/receivers/{id}?projectId={project}")
}
