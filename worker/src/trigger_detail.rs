//! Everything that is known of one trigger: what was asked, what was decided, what was called, what came of it, and
//! what it waits for until then.

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::ids::{ProjectId, Sequence, TriggerId};
use stormhook_shared::domain::ledger::{Action, Group};
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::questions::{
    Answer, AwaitOutcome, Body, HistoryItem, PlanSummary, TriggerDetail, Waiting,
};
use stormhook_shared::ports::trigger_log::Entry;

use crate::answers::Unanswered;
use crate::context::Context;
use crate::outcome_log;
use crate::unsettled;

/// How many triggers are counted that come before one.
const MOST_COUNTED: usize = 10_000;
/// How many of them are read at once.
const PAGE: usize = 500;

/// The trigger `id` of `project`; with `wait`, once it is settled or the time is up.
pub(crate) async fn find(
    context: &Context,
    project: &ProjectId,
    id: TriggerId,
    wait: Option<AwaitOutcome>,
) -> Result<Answer, Unanswered> {
    if let Some(wait) = wait {
        context.log.settled(wait.sequence, wait.timeout).await;
    }
    let logged = logged(context, id, wait).await?;
    let newest = logged.as_ref().map(|logged| logged.sequence);
    let recorded = recorded(context, id, newest).await?;
    let item = match (recorded.item, &logged) {
        (Some(item), _) => item,
        (None, Some(logged)) => outcome_log::item(logged),
        (None, None) => return Ok(Answer::NoSuchTrigger),
    };
    let receiver = item.trigger.receiver.as_ref();
    if receiver.is_none_or(|receiver| receiver.project != *project) {
        return Ok(Answer::NoSuchTrigger);
    }
    let parent = match item.trigger.parent_id {
        Some(parent) => item_by_id(context, parent).await?,
        None => None,
    };
    Ok(Answer::Trigger(Box::new(TriggerDetail {
        children: children(context, recorded.plan.as_ref(), id).await?,
        waiting: waiting(context, &item).await?,
        item,
        body: logged.map(body),
        plan: recorded.plan,
        calls: recorded.calls,
        parent,
    })))
}

/// What the outcome log has of a trigger.
struct Recorded {
    item: Option<HistoryItem>,
    plan: Option<PlanSummary>,
    calls: Calls,
}

async fn recorded(
    context: &Context,
    id: TriggerId,
    newest: Option<Sequence>,
) -> Result<Recorded, Unanswered> {
    let read = context.log.read(move |store| {
        let entry = match newest {
            Some(sequence) => store.settled(sequence)?,
            None => store.settled_by_id(id)?,
        };
        let (plan, record) = match &entry {
            Some(LogEntry::Settled { plan, record, .. }) => (*plan, *record),
            _ => (None, None),
        };
        Ok(Recorded {
            item: entry.and_then(outcome_log::settled_item),
            plan: match plan {
                Some(plan) => store.plan(plan)?.and_then(plan_of),
                None => None,
            },
            calls: match record {
                Some(record) => store.calls(record)?,
                None => Calls::default(),
            },
        })
    });
    Ok(read.await?)
}

fn plan_of(entry: LogEntry) -> Option<PlanSummary> {
    match entry {
        LogEntry::Planned { plan, .. } => Some(plan),
        _ => None,
    }
}

fn body(logged: Logged) -> Body {
    Body {
        content_type: logged.trigger.content_type,
        bytes: logged.trigger.body,
        notice: logged.trigger.notice,
        query: logged.trigger.query,
        headers: logged.trigger.headers,
    }
}

/// The newest trigger with this id, as far as the trigger log reaches back.
async fn logged(
    context: &Context,
    id: TriggerId,
    wait: Option<AwaitOutcome>,
) -> Result<Option<Logged>, Unanswered> {
    let triggers = &context.backbone.triggers;
    if let Some(wait) = wait {
        return Ok(triggers.get(wait.sequence).await?);
    }
    let settled = context.log.read(move |store| store.settled_by_id(id));
    let Some(LogEntry::Settled { group, outcome, .. }) = settled.await? else {
        return Ok(unsettled::find(&context.backbone, id).await?);
    };
    // A key that is used again long after names a second trigger with the same id.
    let again = unsettled::find_of_group(&context.backbone, &group, id).await?;
    match again.filter(|logged| logged.sequence > outcome.trigger.sequence) {
        Some(logged) => Ok(Some(logged)),
        None => Ok(triggers.get(outcome.trigger.sequence).await?),
    }
}

/// The triggers that `plan` handed out, if it did so for the trigger `parent`.
async fn children(
    context: &Context,
    plan: Option<&PlanSummary>,
    parent: TriggerId,
) -> Result<Vec<HistoryItem>, Unanswered> {
    let Some(Action::UpgradeServices { services, .. }) = plan.map(|plan| &plan.action) else {
        return Ok(Vec::new());
    };
    let mut children = Vec::with_capacity(services.len());
    for child in services {
        let item = item_by_id(context, child.trigger).await?;
        // A plan settles the pushes that it superseded along with the one that it is for.
        children.extend(item.filter(|item| item.trigger.parent_id == Some(parent)));
    }
    Ok(children)
}

async fn item_by_id(context: &Context, id: TriggerId) -> Result<Option<HistoryItem>, Unanswered> {
    let recorded = context.log.read(move |store| store.settled_by_id(id));
    if let Some(item) = recorded.await?.and_then(outcome_log::settled_item) {
        return Ok(Some(item));
    }
    let logged = unsettled::find(&context.backbone, id).await?;
    Ok(logged.as_ref().map(outcome_log::item))
}

/// The place in line of a trigger that has no outcome yet.
async fn waiting(context: &Context, item: &HistoryItem) -> Result<Option<Waiting>, Unanswered> {
    if item.outcome.is_some() {
        return Ok(None);
    }
    let last = context.backbone.ledger.last(&item.group).await?;
    let group = last.map_or_else(Group::default, |(revision, record)| {
        Group::from_last(revision, record)
    });
    let (ahead, is_more) = ahead(context, item, group.state.settled).await?;
    let held_up = context.progress.of(&item.group);
    let waits_for = match (&group.open_plan, held_up) {
        (Some(open), Some(what)) => format!("{}; waits for {what}", open.plan.action),
        (Some(open), None) => format!("{}; begun at {}", open.plan.action, open.plan.decided_at),
        (None, Some(what)) => format!("waits for {what}"),
        (None, None) if ahead > 0 => "waits for those before it to be decided".to_owned(),
        (None, None) => "waits for a worker to decide it".to_owned(),
    };
    Ok(Some(Waiting {
        ahead,
        is_more,
        waits_for,
    }))
}

/// How many of the group's triggers after `settled` come before `item`.
async fn ahead(
    context: &Context,
    item: &HistoryItem,
    settled: Sequence,
) -> Result<(usize, bool), Unanswered> {
    let (mut after, mut ahead) = (settled, 0);
    while ahead < MOST_COUNTED {
        let triggers = &context.backbone.triggers;
        let entries = triggers.read_group(&item.group, after, PAGE).await?;
        let before = |entry: &&Entry| entry.sequence() < item.trigger.sequence;
        let count = entries.iter().filter(before).count();
        ahead += count;
        match entries.last() {
            Some(last) if count == entries.len() => after = last.sequence(),
            _ => return Ok((ahead, false)),
        }
    }
    Ok((ahead, true))
}
