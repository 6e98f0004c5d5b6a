//! A trigger as the API shows it.

use serde_json::{Value, json};
use stormhook_shared::configuration::Role;
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::ids::{ProjectId, TriggerId};
use stormhook_shared::domain::outcome::Outcome;
use stormhook_shared::ports::questions::{HistoryItem, TriggerDetail};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::access::Grant;
use crate::app::App;

/// The address of a trigger.
pub(crate) fn link(base: &str, project: &ProjectId, id: TriggerId) -> String {
    format!("{base}/v1-webhooks/triggers/{id}?projectId={project}")
}

/// A trigger in a list, with the actions that whoever has the grant can take on it.
pub(crate) fn item_for(app: &App, grant: &Grant, base: &str, one: &HistoryItem) -> Value {
    let mut shown = item(one, &link(base, &grant.project, one.trigger.id));
    shown["actions"] = actions(app, grant, base, one);
    shown
}

/// A trigger by itself, for those who may differ in what they can do with it.
pub(crate) fn item(item: &HistoryItem, link: &str) -> Value {
    let trigger = &item.trigger;
    let receiver = trigger.receiver.as_ref();
    json!({
        "type": "trigger",
        "id": trigger.id,
        "receiverId": receiver.map(|receiver| receiver.id),
        "receiverName": receiver.map(|receiver| &receiver.name),
        "driver": receiver.map(|receiver| receiver.driver),
        "group": item.group,
        "sequence": trigger.sequence,
        "state": if item.outcome.is_some() { "settled" } else { "pending" },
        "acceptedAt": trigger.accepted_at,
        "source": trigger.source,
        "idempotencyKey": trigger.idempotency_key,
        "replayOf": trigger.replay_of,
        "parentId": trigger.parent_id,
        "outcome": item.outcome.as_ref().map(outcome),
        "links": {"self": link},
    })
}

/// One trigger with everything that is known of it.
pub(crate) fn detail(app: &App, grant: &Grant, base: &str, detail: &TriggerDetail) -> Value {
    let shown_item = |one: &HistoryItem| item_for(app, grant, base, one);
    let mut shown = shown_item(&detail.item);
    if detail.body.is_none() {
        shown["actions"] = json!({}); // It is not in the trigger log any more.
    }
    let trigger = &detail.item.trigger;
    shown["bodySha256"] = json!(trigger.body_sha256);
    shown["bodyBytes"] = json!(trigger.body_bytes);
    shown["attempts"] = json!(
        detail
            .item
            .outcome
            .as_ref()
            .map_or(0, |outcome| outcome.attempts)
    );
    shown["plan"] = json!(detail.plan);
    if let Some(plan) = shown["plan"].as_object_mut() {
        plan.remove("calls"); // They stand with the others.
    }
    let (calls, left_out) = calls(detail);
    shown["calls"] = calls;
    shown["callsLeftOut"] = json!(left_out);
    shown["waiting"] = json!(detail.waiting);
    shown["parent"] = detail.parent.as_ref().map_or(Value::Null, shown_item);
    shown["children"] = detail.children.iter().map(shown_item).collect();
    shown["body"] = Value::Null;
    if let Some(body) = &detail.body {
        shown["contentType"] = json!(body.content_type);
        shown["headers"] = json!(body.headers);
        shown["query"] = json!(body.query);
        match std::str::from_utf8(&body.bytes) {
            Ok(text) => shown["body"] = json!(text),
            Err(_) => shown["bodyBase64"] = json!(STANDARD.encode(&body.bytes)),
        }
    }
    shown
}

/// The actions on a trigger, with their addresses: those that `redelivery` does not refuse. Whether what it said is
/// still there a list does not know.
fn actions(app: &App, grant: &Grant, base: &str, one: &HistoryItem) -> Value {
    let trigger = &one.trigger;
    let receiver = trigger.receiver.as_ref();
    let is_there = receiver.is_some_and(|receiver| app.directory.get(receiver.id).is_some());
    if grant.role == Role::Readonly || trigger.parent_id.is_some() || !is_there {
        return json!({});
    }
    let (id, project) = (trigger.id, &grant.project);
    let redeliver =
        format!("{base}/v1-webhooks/triggers/{id}?action=redeliver&projectId={project}");
    json!({"redeliver": redeliver})
}

/// What was called on the platform, in order: to decide, and then to act.
fn calls(detail: &TriggerDetail) -> (Value, u64) {
    let none = Calls::default();
    let (decision, action) = match &detail.plan {
        Some(plan) => (&plan.calls, &detail.calls),
        None => (&detail.calls, &none),
    };
    let phases = [("decision", decision), ("action", action)];
    let all = phases.iter().flat_map(|(phase, calls)| {
        calls.kept.iter().map(move |call| {
            json!({
                "phase": phase,
                "what": call.what,
                "at": call.at,
                "millis": call.millis,
                "error": call.error,
            })
        })
    });
    (all.collect(), decision.left_out + action.left_out)
}

fn outcome(outcome: &Outcome) -> Value {
    let verdict = &outcome.verdict;
    json!({
        "status": verdict.code.status(),
        "code": verdict.code,
        "message": verdict.message,
        "from": verdict.from,
        "to": verdict.to,
        "receiverRevision": outcome.receiver_revision,
        "attempts": outcome.attempts,
        "settledAt": outcome.settled_at,
    })
}
