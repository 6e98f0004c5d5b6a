//! Answers what would have been under another receiver: gathers what the outcome log and the trigger log have of its
//! group, and has it decided anew. No platform is called, and nothing is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ReceiverId, Revision, Sequence};
use stormhook_shared::domain::kind::{Kind, Target};
use stormhook_shared::domain::ledger::GroupState;
use stormhook_shared::domain::outcome::{Status, TriggerFacts};
use stormhook_shared::domain::receiver::{Activity, Options, Receiver};
use stormhook_shared::domain::trigger::Trigger;
use stormhook_shared::ports::questions::{Answer, HistoryQuery, Order, WhatIfQuery};
use stormhook_shared::ports::trigger_log::Entry;
use stormhook_shared::what_if::{Comparison, Recorded, Rerun, Start};

use crate::answers::Unanswered;
use crate::context::Context;
use crate::outcome_log::{self, Decision};

/// How many triggers are read at once.
const PAGE: usize = 2_000;

/// Compares what was with what would have been.
pub(crate) async fn compare(context: &Context, query: WhatIfQuery) -> Result<Answer, Unanswered> {
    let group = query.receiver.group();
    let Some(target) = group.target() else {
        return Ok(Answer::NoSuchTrigger);
    };
    let receivers = receivers(context, &query, &group);
    let cooldown = longest_cooldown(receivers.values());
    let state = state_before(context, &query, &group, cooldown).await?;
    let begin = query.since.zip(state.scale);
    let present = context.directory.get(query.receiver.id);
    let maxima = [
        present.as_deref().and_then(maximum),
        maximum(&query.receiver),
    ];
    let mut rerun = Rerun::new(Start {
        state,
        name: name(&target),
        target,
        receivers,
        changed: query.receiver.id,
    });
    let mut comparison = Comparison::builder(begin, query.after, query.limit);
    let mut asked = history(&query, &group);
    loop {
        let with_plans = !cooldown.is_zero();
        let (page, is_last) = page(context, &asked, with_plans).await?;
        asked.beyond = page
            .last()
            .map(|decision| decision.outcome.trigger.sequence);
        let mut triggers = triggers(context, &group, &page).await?;
        for decision in page {
            let facts = decision.outcome.trigger;
            let logged = triggers.remove(&facts.sequence);
            let has_body = logged.is_some() || facts.body_bytes == 0;
            let Some(trigger) = logged.or_else(|| bare(&facts, &group)) else {
                continue;
            };
            let decided = rerun.decide(Recorded {
                facts,
                trigger,
                verdict: decision.outcome.verdict,
                decided_at: decision.decided_at,
                settled_at: decision.outcome.settled_at,
            });
            comparison.add(decided, has_body);
        }
        if is_last {
            return Ok(Answer::WhatIf(Box::new(comparison.build(maxima))));
        }
        tokio::task::yield_now().await;
    }
}

/// The receivers of the group as if none were disabled, with the changed one in its place.
fn receivers(
    context: &Context,
    query: &WhatIfQuery,
    group: &GroupKey,
) -> BTreeMap<ReceiverId, Arc<Receiver>> {
    let changed = (*query.receiver).clone();
    context
        .directory
        .list(&query.project)
        .iter()
        .map(|receiver| (**receiver).clone())
        .filter(|receiver| receiver.id != changed.id && receiver.group() == *group)
        .chain([changed.clone()])
        .map(|receiver| Receiver {
            activity: Activity::Active,
            ..receiver
        })
        .map(|receiver| (receiver.id, Arc::new(receiver)))
        .collect()
}

fn longest_cooldown<'a>(receivers: impl Iterator<Item = &'a Arc<Receiver>>) -> Duration {
    let cooldowns = receivers.flat_map(|receiver| {
        let Options {
            cooldown,
            group_cooldown,
            ..
        } = receiver.options;
        [cooldown, group_cooldown]
    });
    cooldowns.max().unwrap_or_default()
}

fn maximum(receiver: &Receiver) -> Option<u32> {
    match &receiver.kind {
        Kind::ScaleService(config) => Some(config.scaling.bounds.max()),
        Kind::ScaleHost(config) => Some(config.scaling.bounds.max()),
        Kind::ServiceUpgrade(_) | Kind::ForwardPost(_) => None,
    }
}

fn name(target: &Target) -> String {
    match target {
        Target::Service(id) => id.clone(),
        Target::Endpoint { service_name, .. } => service_name.clone(),
        Target::Hosts(selector) | Target::Services(selector) => selector.to_string(),
    }
}

fn history(query: &WhatIfQuery, group: &GroupKey) -> HistoryQuery {
    HistoryQuery {
        group: Some(group.clone()),
        since: query.since,
        until: query.until,
        order: Order::OldestFirst,
        ..HistoryQuery::of(query.project.clone(), PAGE)
    }
}

/// What the group remembered when the time that is asked for began, as far as its outcomes tell.
async fn state_before(
    context: &Context,
    query: &WhatIfQuery,
    group: &GroupKey,
    cooldown: Duration,
) -> Result<GroupState, Unanswered> {
    let mut state = GroupState::default();
    let Some(since) = query.since else {
        return Ok(state);
    };
    let mut earlier = Vec::new();
    let mut asked = HistoryQuery {
        since: None,
        until: Some(since),
        order: Order::NewestFirst,
        ..history(query, group)
    };
    loop {
        let (page, is_last) = page(context, &asked, false).await?;
        asked.beyond = page
            .last()
            .map(|decision| decision.outcome.trigger.sequence);
        let is_enough = |decision: &Decision| since.since(decision.outcome.settled_at) > cooldown;
        let is_far_back = page.last().is_none_or(is_enough);
        earlier.extend(page);
        let has_scale = earlier.iter().any(|one| one.outcome.verdict.from.is_some());
        if is_last || (is_far_back && has_scale) {
            break;
        }
    }
    for Decision { outcome, .. } in earlier.into_iter().rev() {
        state.scale = outcome.verdict.from.or(state.scale);
        if let (Status::Succeeded, Some(receiver)) =
            (outcome.verdict.code.status(), &outcome.trigger.receiver)
        {
            state.note_action(receiver.id, outcome.settled_at, outcome.verdict.to);
        }
    }
    Ok(state)
}

/// The next triggers that `asked` fits, and whether they are the last.
async fn page(
    context: &Context,
    asked: &HistoryQuery,
    with_plans: bool,
) -> Result<(Vec<Decision>, bool), Unanswered> {
    let asked = asked.clone();
    let limit = asked.limit;
    let read = context
        .log
        .read(move |store| outcome_log::decisions(store, &asked, with_plans));
    let mut page = read.await?;
    let is_last = page.len() <= limit;
    page.truncate(limit);
    Ok((page, is_last))
}

/// What the trigger log has of these, where any of them has a body.
async fn triggers(
    context: &Context,
    group: &GroupKey,
    page: &[Decision],
) -> Result<HashMap<Sequence, Trigger>, Unanswered> {
    let mut found = HashMap::new();
    let facts = || page.iter().map(|decision| &decision.outcome.trigger);
    let with_body = || facts().filter(|facts| facts.body_bytes > 0);
    let (Some(first), Some(last)) = (with_body().next(), with_body().next_back()) else {
        return Ok(found);
    };
    let mut after = Sequence(first.sequence.0.saturating_sub(1));
    while after < last.sequence {
        let log = &context.backbone.triggers;
        let entries = log.read_group(group, after, PAGE).await?;
        let Some(read) = entries.last() else { break };
        after = read.sequence();
        found.extend(entries.into_iter().filter_map(|entry| match entry {
            Entry::Trigger(logged) => Some((logged.sequence, logged.trigger)),
            Entry::Undecodable { .. } => None,
        }));
    }
    Ok(found)
}

/// The trigger without its body; `None` for one that could never be read.
fn bare(facts: &TriggerFacts, group: &GroupKey) -> Option<Trigger> {
    let receiver = facts.receiver.as_ref()?;
    Some(Trigger {
        id: facts.id,
        receiver_id: receiver.id,
        receiver_name: receiver.name.clone(),
        driver: receiver.driver,
        project: receiver.project.clone(),
        group: group.clone(),
        accepted_at: facts.accepted_at,
        source: facts.source.clone(),
        idempotency_key: None,
        replay_of: facts.replay_of,
        ignores_cooldown: false,
        parent_id: facts.parent_id,
        parent_sequence: facts.parent_sequence,
        notice: None,
        query: None,
        registry_revision: Revision(0),
        headers: BTreeMap::new(),
        content_type: None,
        body: Vec::new(),
    })
}
