//! Pages of history: what is settled, from the log's indexes, and what still waits, from the trigger log.

use std::cmp::Reverse;
use std::ops::RangeInclusive;
use std::time::Duration;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::ids::{Revision, Sequence};
use stormhook_shared::domain::outcome::{Outcome, TriggerFacts};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::questions::{
    HistoryItem, HistoryPage, HistoryQuery, Order, StatusFilter,
};
use stormhook_shared::ports::{Backbone, Unavailable};

use super::keys::Index;
use super::store::{Store, StoreError};
use crate::unsettled::Unsettled;

/// By how much the clocks of ingresses may differ: triggers are ordered by their place in the log, and times
/// only follow that order up to this.
const CLOCK_SKEW: Duration = Duration::from_secs(600);
const CLOCK_SKEW_MILLIS: i64 = 600_000;

/// What is settled up to `through`, in the query's order; one more than its limit if there is more.
pub(crate) fn settled(
    store: &Store,
    query: &HistoryQuery,
    through: Sequence,
) -> Result<Vec<HistoryItem>, StoreError> {
    let mut page = Vec::new();
    walk(store, query, through, |item, _| {
        page.push(item);
        Ok(())
    })?;
    Ok(page)
}

/// An outcome with when it was decided.
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    /// When its plan was made, if that was asked for; else when it was settled.
    pub(crate) decided_at: Timestamp,
}

/// The same, as they were decided.
pub(crate) fn decisions(
    store: &Store,
    query: &HistoryQuery,
    with_plans: bool,
) -> Result<Vec<Decision>, StoreError> {
    let mut page = Vec::new();
    let mut plans = store.entries();
    let mut last = None;
    walk(store, query, Sequence(u64::MAX), |item, plan| {
        let Some(outcome) = item.outcome else {
            return Ok(());
        };
        let decided_at = match plan.filter(|_| with_plans) {
            None => outcome.settled_at,
            Some(plan) => match last {
                Some((same, at)) if same == plan => at,
                _ => store
                    .decided_at(plan, &mut plans)?
                    .unwrap_or(outcome.settled_at),
            },
        };
        last = plan.map(|plan| (plan, decided_at));
        page.push(Decision {
            outcome,
            decided_at,
        });
        Ok(())
    })?;
    Ok(page)
}

/// Tells what is settled up to `through` and fits `query`, with the plan that each was part of, up to one more than its
/// limit.
fn walk(
    store: &Store,
    query: &HistoryQuery,
    through: Sequence,
    mut tell: impl FnMut(HistoryItem, Option<Revision>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(indexes) = indexes(query) else {
        return Ok(());
    };
    let (first, last) = range(store, query)?.into_inner();
    let range = first..=last.min(through);
    let mut told = 0;
    let mut entries = store.entries();
    for found in store.walk(indexes, &range, query.order) {
        let (_, number) = found?;
        if !entries.may_be_of(number, query.since, query.until)? {
            continue;
        }
        let Some(LogEntry::Settled {
            group,
            outcome,
            plan,
            ..
        }) = entries.get(number)?
        else {
            return Err(StoreError::Damaged(format!(
                "entry {number} settles no trigger"
            )));
        };
        if is_beyond(query, outcome.trigger.accepted_at) {
            break;
        }
        let item = HistoryItem {
            group,
            trigger: outcome.trigger.clone(),
            outcome: Some(outcome),
        };
        if matches(query, &item) {
            tell(item, plan)?;
            told += 1;
            if told > query.limit {
                break;
            }
        }
    }
    Ok(())
}

/// Whether nothing that follows a trigger which was accepted then, in the query's order, has a time that fits it.
fn is_beyond(query: &HistoryQuery, accepted_at: Timestamp) -> bool {
    match query.order {
        Order::NewestFirst => query
            .since
            .is_some_and(|at| accepted_at.plus(CLOCK_SKEW) < at),
        Order::OldestFirst => query
            .until
            .is_some_and(|at| at.plus(CLOCK_SKEW) < accepted_at),
    }
}

/// The indexes that all have what fits the query; `None` if nothing that is settled can.
fn indexes(query: &HistoryQuery) -> Option<Vec<Index>> {
    let project = Some(&query.project);
    let status = match query.status {
        Some(StatusFilter::Pending) => return None,
        Some(StatusFilter::Settled(status)) => Some(status),
        None => None,
    };
    let mut indexes = Vec::new();
    indexes.extend(query.replay_of.map(Index::replay_of));
    let key = query.key.as_ref();
    indexes.extend(key.map(|key| Index::key_of_caller(project, key)));
    indexes.extend(query.receiver.map(Index::receiver));
    indexes.extend(query.group.as_ref().map(Index::group));
    match (query.code, status) {
        // Each code belongs to one status.
        (Some(code), Some(status)) if code.status() != status => return None,
        (Some(code), _) => indexes.push(Index::code(project, code)),
        (None, Some(status)) => indexes.push(Index::status(project, status)),
        (None, None) => {}
    }
    if indexes.is_empty() {
        indexes.push(Index::project(project));
    }
    Some(indexes)
}

/// The places in which all triggers that fit the query are, as far as its times and its marker tell.
fn range(store: &Store, query: &HistoryQuery) -> Result<RangeInclusive<Sequence>, StoreError> {
    let (mut first, mut last) = (Sequence(0), Sequence(u64::MAX));
    match (query.beyond, query.order) {
        (Some(beyond), Order::NewestFirst) => last = Sequence(beyond.0.saturating_sub(1)),
        (Some(beyond), Order::OldestFirst) => first = Sequence(beyond.0.saturating_add(1)),
        (None, _) => {}
    }
    if let Some(since) = query.since {
        let early = Timestamp::from_millis(since.as_millis().saturating_sub(CLOCK_SKEW_MILLIS));
        let before = store.accepted_before(early)?;
        first = before.map_or(first, |before| first.max(before));
    }
    if let Some(until) = query.until {
        let beyond = store.accepted_from(until.plus(CLOCK_SKEW))?;
        last = beyond.map_or(last, |beyond| last.min(beyond));
    }
    Ok(first..=last)
}

/// What may still wait up to `through`, in the query's order: what fits it of everything beyond the partitions' cursors, up
/// to one more than its limit. The caller leaves out what is settled meanwhile.
pub(crate) async fn maybe_waiting(
    backbone: &Backbone,
    query: &HistoryQuery,
    through: Sequence,
    is_settled: &(dyn Fn(Vec<Sequence>) -> SettledFuture + Sync),
) -> Result<Vec<HistoryItem>, Unavailable> {
    if matches!(query.status, Some(StatusFilter::Settled(_))) || query.code.is_some() {
        return Ok(Vec::new());
    }
    let end = Sequence(through.0.saturating_add(1));
    let between = match (query.beyond, query.order) {
        (Some(beyond), Order::NewestFirst) => (Sequence(0), beyond.min(end)),
        (Some(beyond), Order::OldestFirst) => (beyond, end),
        (None, _) => (Sequence(0), end),
    };
    let mut unsettled = Unsettled::new(backbone, query.order, between, query.limit).await?;
    let mut waiting = Vec::new();
    while waiting.len() <= query.limit
        && let Some(triggers) = unsettled.next().await?
    {
        let last = triggers.last().map(|logged| logged.trigger.accepted_at);
        let mut fitting: Vec<_> = triggers.iter().map(item).collect();
        fitting.retain(|item| matches(query, item));
        if !fitting.is_empty() {
            let sequences = fitting.iter().map(|item| item.trigger.sequence);
            let settled = is_settled(sequences.collect()).await;
            fitting.retain(|item| settled.binary_search(&item.trigger.sequence).is_err());
            waiting.extend(fitting);
        }
        if last.is_some_and(|accepted_at| is_beyond(query, accepted_at)) {
            break;
        }
    }
    Ok(waiting)
}

/// Tells which of some triggers are settled, sorted.
pub(crate) type SettledFuture = futures::future::BoxFuture<'static, Vec<Sequence>>;

/// One page of both, which may name a trigger twice if it was settled in between.
pub(crate) fn merge(
    waiting: Vec<HistoryItem>,
    settled: Vec<HistoryItem>,
    order: Order,
    limit: usize,
) -> HistoryPage {
    let mut triggers = settled;
    triggers.extend(waiting);
    // The sort is stable: of two items for one trigger, the settled one comes first and is kept.
    sort(&mut triggers, order);
    triggers.dedup_by_key(|item| item.trigger.sequence);
    let has_more = triggers.len() > limit;
    triggers.truncate(limit);
    HistoryPage { triggers, has_more }
}

fn sort(triggers: &mut [HistoryItem], order: Order) {
    match order {
        Order::OldestFirst => triggers.sort_by_key(|item| item.trigger.sequence),
        Order::NewestFirst => triggers.sort_by_key(|item| Reverse(item.trigger.sequence)),
    }
}

/// A trigger that waits, as history tells it.
pub(crate) fn item(logged: &Logged) -> HistoryItem {
    HistoryItem {
        group: logged.trigger.group.clone(),
        trigger: TriggerFacts::of(logged),
        outcome: None,
    }
}

/// The trigger that `entry` settles, as history tells it.
pub(crate) fn settled_item(entry: LogEntry) -> Option<HistoryItem> {
    match entry {
        LogEntry::Settled { group, outcome, .. } => Some(HistoryItem {
            group,
            trigger: outcome.trigger.clone(),
            outcome: Some(outcome),
        }),
        _ => None,
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
        && query
            .key
            .as_ref()
            .is_none_or(|key| trigger.idempotency_key.as_ref() == Some(key))
        && query
            .replay_of
            .is_none_or(|origin| trigger.replay_of == Some(origin))
        && query.code.is_none_or(|code| {
            item.outcome
                .as_ref()
                .is_some_and(|outcome| outcome.verdict.code == code)
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome_log::store::tests::{entries, settled as entry};
    use proptest::prelude::*;
    use stormhook_shared::domain::group::GroupKey;
    use stormhook_shared::domain::ids::{ReceiverId, Revision, TriggerId};
    use stormhook_shared::domain::outcome::{Code, Status};

    const TRIGGERS: u64 = 1_500;
    /// How far apart triggers are in their log: they take several buckets of the indexes.
    const STRIDE: u64 = 50;

    /// The log of the other tests, with places, codes, keys and origins that fall differently.
    fn log() -> Vec<LogEntry> {
        let mut log = entries(1);
        for number in 1..=TRIGGERS {
            let mut entry = entry(number);
            if let LogEntry::Settled { outcome, .. } = &mut entry {
                outcome.trigger.sequence.0 *= STRIDE;
                outcome.verdict.code = match number {
                    700..900 => Code::CoolingDown,
                    _ if number % 7 == 0 => Code::AboveMax,
                    _ => Code::Scaled,
                };
                let key = number
                    .is_multiple_of(5)
                    .then(|| format!("key-{}", number % 50));
                outcome.trigger.idempotency_key = key;
                outcome.trigger.replay_of = number.is_multiple_of(11).then(|| origin(number % 3));
            }
            log.push(entry);
        }
        log
    }

    fn origin(number: u64) -> TriggerId {
        TriggerId::derived(ReceiverId::from_bytes([9; 12]), &number.to_string())
    }

    fn query() -> impl Strategy<Value = HistoryQuery> {
        let receiver = prop::option::weighted(0.3, 0_u8..4);
        let group = prop::option::weighted(0.3, 0_u8..4);
        let status = prop::option::weighted(0.3, prop::sample::select(Status::ALL.to_vec()));
        let codes = vec![
            Code::Scaled,
            Code::AboveMax,
            Code::CoolingDown,
            Code::Upgraded,
        ];
        let code = prop::option::weighted(0.3, prop::sample::select(codes));
        let key = prop::option::weighted(0.3, 0_u64..10);
        let origin_of = prop::option::weighted(0.3, 0_u64..4);
        let times = (
            prop::option::weighted(0.2, 0_i64..1_500),
            prop::option::weighted(0.2, 0_i64..1_500),
        );
        let rest = (any::<bool>(), 1_usize..400);
        (
            (receiver, group, status, code),
            (key, origin_of),
            times,
            rest,
        )
            .prop_map(
                |(
                    (receiver, group, status, code),
                    (key, origin_of),
                    (since, until),
                    (is_oldest, limit),
                )| {
                    HistoryQuery {
                        project: "1a5".parse().unwrap(),
                        receiver: receiver.map(|byte| ReceiverId::from_bytes([byte; 12])),
                        group: group
                            .map(|number| GroupKey::named(&format!("service/1a5/1s{number}"))),
                        status: status.map(StatusFilter::Settled),
                        since: since.map(Timestamp::from_millis),
                        until: until.map(Timestamp::from_millis),
                        code,
                        key: key.map(|number| format!("key-{}", number * 5)),
                        replay_of: origin_of.map(origin),
                        order: if is_oldest {
                            Order::OldestFirst
                        } else {
                            Order::NewestFirst
                        },
                        beyond: None,
                        limit,
                    }
                },
            )
    }

    /// What is to be found, by looking at everything.
    fn expected(log: &[LogEntry], query: &HistoryQuery) -> Vec<HistoryItem> {
        let mut items: Vec<_> = log
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Settled { group, outcome, .. } => Some(HistoryItem {
                    group: group.clone(),
                    trigger: outcome.trigger.clone(),
                    outcome: Some(outcome.clone()),
                }),
                _ => None,
            })
            .filter(|item| matches(query, item))
            .collect();
        sort(&mut items, query.order);
        items
    }

    #[test]
    fn all_filters_together_find_page_by_page_what_looking_at_everything_finds() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        let log = log();
        for (revision, some) in (1..).zip(log.chunks(37)) {
            store.append(Revision(revision), some).unwrap();
            if revision % 9 == 0 {
                store.end_segment().unwrap();
            }
        }
        store.verify().unwrap();
        proptest!(ProptestConfig::with_cases(300), |(query in query())| {
            let mut found = Vec::new();
            let mut page = HistoryQuery { ..query.clone() };
            loop {
                let items = settled(&store, &page, Sequence(u64::MAX)).unwrap();
                let page_of = merge(Vec::new(), items, page.order, page.limit);
                page.beyond = page_of.triggers.last().map(|item| item.trigger.sequence);
                found.extend(page_of.triggers);
                if !page_of.has_more {
                    break;
                }
            }
            prop_assert_eq!(found, expected(&log, &query));
        });
    }

    #[test]
    fn what_came_after_the_look_at_what_waits_is_left_to_a_later_page() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(1), &entries(10)).unwrap();
        for (order, expected) in [
            (Order::OldestFirst, vec![0, 2, 3]),
            (Order::NewestFirst, vec![3, 2, 0]),
        ] {
            let query = HistoryQuery {
                order,
                ..HistoryQuery::of("1a5".parse().unwrap(), 100)
            };
            // 4 may wait by now, and 5 be settled: whoever goes on after 5 would miss 4.
            let found = settled(&store, &query, Sequence(3)).unwrap();
            let found = found.iter().map(|item| item.trigger.sequence.0);
            assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}
