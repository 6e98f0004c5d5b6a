//! Pages of history: what is settled, from the log's indexes, and what still waits, from the trigger log.

use std::time::Duration;

use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::outcome::{Outcome, TriggerFacts};
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::questions::{HistoryItem, HistoryPage, HistoryQuery, StatusFilter};
use stormhook_shared::ports::trigger_log::Entry;

use super::chain::LogEntry;
use super::keys::Index;
use super::store::{Store, StoreError};

/// By how much the clocks of ingresses may differ: triggers are ordered by their place in the log, and times
/// only follow that order up to this.
const CLOCK_SKEW: Duration = Duration::from_secs(600);
/// How many triggers are looked at at once in search of waiting ones.
const PAGE: usize = 500;

/// What is settled, the newest first; one more than the query's limit if there is more.
pub(crate) fn settled(store: &Store, query: &HistoryQuery) -> Result<Vec<HistoryItem>, StoreError> {
    let index = match (query.receiver, &query.group, query.status) {
        (_, _, Some(StatusFilter::Pending)) => return Ok(Vec::new()),
        (Some(receiver), _, _) => Index::receiver(receiver),
        (_, Some(group), _) => Index::group(group),
        (_, _, Some(StatusFilter::Settled(status))) => Index::status(Some(&query.project), status),
        _ => Index::project(Some(&query.project)),
    };
    let mut last = query
        .before
        .map_or(u64::MAX, |before| before.0.saturating_sub(1));
    if let Some(until) = query.until
        && let Some(beyond) = store.accepted_from(until.plus(CLOCK_SKEW))?
    {
        last = last.min(beyond.0);
    }
    let mut page = Vec::new();
    let mut entries = store.entries();
    for found in store.newest_first(&index, Sequence(0)..=Sequence(last)) {
        let (_, number) = found?;
        let Some(LogEntry::Settled { group, outcome, .. }) = entries.get(number)? else {
            return Err(StoreError::Damaged(format!(
                "entry {number} settles no trigger"
            )));
        };
        if query
            .since
            .is_some_and(|since| outcome.trigger.accepted_at.plus(CLOCK_SKEW) < since)
        {
            break;
        }
        let item = HistoryItem {
            group,
            trigger: outcome.trigger.clone(),
            outcome: Some(outcome),
        };
        if matches(query, &item) {
            page.push(item);
            if page.len() > query.limit {
                break;
            }
        }
    }
    Ok(page)
}

/// What may still wait, the newest first: everything beyond the partitions' cursors that fits the query. The
/// caller leaves out what is settled meanwhile.
pub(crate) async fn maybe_waiting(
    backbone: &Backbone,
    query: &HistoryQuery,
    is_settled: &(dyn Fn(Vec<Sequence>) -> SettledFuture + Sync),
) -> Result<Vec<HistoryItem>, stormhook_shared::ports::Unavailable> {
    if matches!(query.status, Some(StatusFilter::Settled(_))) {
        return Ok(Vec::new());
    }
    let mut waiting = Vec::new();
    for partition in backbone.triggers.partitions().iter() {
        let after = backbone.cursors.load(partition).await?.all_settled();
        let mut before = query.before.unwrap_or(Sequence(u64::MAX));
        let mut found = 0;
        while found <= query.limit {
            let entries = backbone
                .triggers
                .read_newest(partition, after, before, PAGE)
                .await?;
            let Some(last) = entries.last().map(Entry::sequence) else {
                break;
            };
            before = last;
            let fitting: Vec<_> = entries
                .into_iter()
                .filter_map(|entry| match entry {
                    Entry::Trigger(logged) => Some(item(&logged)),
                    Entry::Undecodable { .. } => None,
                })
                .filter(|item| matches(query, item))
                .collect();
            let settled =
                is_settled(fitting.iter().map(|item| item.trigger.sequence).collect()).await;
            let fitting = fitting
                .into_iter()
                .filter(|item| settled.binary_search(&item.trigger.sequence).is_err());
            for item in fitting {
                waiting.push(item);
                found += 1;
            }
        }
    }
    waiting.sort_by_key(|item| std::cmp::Reverse(item.trigger.sequence));
    Ok(waiting)
}

/// Tells which of some triggers are settled, sorted.
pub(crate) type SettledFuture = futures::future::BoxFuture<'static, Vec<Sequence>>;

/// One page of both, which may name a trigger twice if it was settled in between.
pub(crate) fn merge(
    waiting: Vec<HistoryItem>,
    settled: Vec<HistoryItem>,
    limit: usize,
) -> HistoryPage {
    let mut triggers = settled;
    triggers.extend(waiting);
    // The sort is stable: of two items for one trigger, the settled one comes first and is kept.
    triggers.sort_by_key(|item| std::cmp::Reverse(item.trigger.sequence));
    triggers.dedup_by_key(|item| item.trigger.sequence);
    let has_more = triggers.len() > limit;
    triggers.truncate(limit);
    HistoryPage { triggers, has_more }
}

/// A trigger that waits, as history tells it.
pub(crate) fn item(logged: &Logged) -> HistoryItem {
    HistoryItem {
        group: logged.trigger.group.clone(),
        trigger: TriggerFacts::of(logged),
        outcome: None,
    }
}

fn matches(query: &HistoryQuery, item: &HistoryItem) -> bool {
    let trigger = &item.trigger;
    let receiver = trigger.receiver.as_ref();
    receiver.is_some_and(|receiver| receiver.project == query.project)
        && query
            .receiver
            .is_none_or(|id| receiver.is_some_and(|receiver| receiver.id == id))
        && query
            .group
            .as_ref()
            .is_none_or(|group| item.group == *group)
        && query.since.is_none_or(|since| trigger.accepted_at >= since)
        && query.until.is_none_or(|until| trigger.accepted_at < until)
        && match query.status {
            None => true,
            Some(StatusFilter::Pending) => item.outcome.is_none(),
            Some(StatusFilter::Settled(status)) => item
                .outcome
                .as_ref()
                .is_some_and(|outcome: &Outcome| outcome.verdict.code.status() == status),
        }
}
