//! What may still wait in the trigger log: everything that the partitions' cursors have not passed. The log is ordered, not
//! indexed, so it is walked from one of its ends, all partitions at once: of what a server has to look at, nothing is for
//! others.

use futures::future::try_join_all;
use stormhook_shared::domain::group::{GroupKey, Partitions};
use stormhook_shared::domain::ids::{Sequence, TriggerId};
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::cursors::Cursor;
use stormhook_shared::ports::questions::Order;
use stormhook_shared::ports::trigger_log::{Entry, TriggerLog};
use stormhook_shared::ports::{Backbone, Unavailable};

/// How many triggers are read at once, at most. Where most of them are wanted, fewer do.
const LARGEST_READ: usize = 1_000;

/// A walk over what may wait.
pub(crate) struct Unsettled<'a> {
    log: &'a dyn TriggerLog,
    partitions: Partitions,
    /// Of each partition.
    cursors: Vec<Cursor>,
    after: Sequence,
    before: Sequence,
    order: Order,
    /// How many are read next.
    count: usize,
}

impl<'a> Unsettled<'a> {
    /// A walk in `order` over what is after `after` and before `before`, of which about `wanted` are looked for.
    pub(crate) async fn new(
        backbone: &'a Backbone,
        order: Order,
        (after, before): (Sequence, Sequence),
        wanted: usize,
    ) -> Result<Self, Unavailable> {
        let partitions = backbone.triggers.partitions();
        let cursors = partitions
            .iter()
            .map(|partition| backbone.cursors.load(partition));
        let cursors = try_join_all(cursors).await?;
        let settled = cursors.iter().map(Cursor::all_settled).min();
        Ok(Self {
            log: &*backbone.triggers,
            partitions,
            cursors,
            after: after.max(settled.unwrap_or_default()),
            before,
            order,
            count: wanted.saturating_add(1).min(LARGEST_READ),
        })
    }

    /// The next triggers that may wait, in order: maybe none of those that were looked at, and `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Logged>>, Unavailable> {
        let entries = match self.order {
            Order::OldestFirst => {
                let mut entries = self.log.read_all(self.after, self.count).await?;
                entries.retain(|entry| entry.sequence() < self.before);
                entries
            }
            Order::NewestFirst => {
                let read = self.log.read_newest(self.after, self.before, self.count);
                read.await?
            }
        };
        let Some(last) = entries.last().map(Entry::sequence) else {
            return Ok(None);
        };
        match self.order {
            Order::OldestFirst => self.after = last,
            Order::NewestFirst => self.before = last,
        }
        self.count = (2 * self.count).min(LARGEST_READ);
        let triggers = entries.into_iter().filter_map(|entry| match entry {
            Entry::Trigger(logged) => Some(logged),
            Entry::Undecodable { .. } => None,
        });
        Ok(Some(
            triggers.filter(|logged| self.may_wait(logged)).collect(),
        ))
    }

    fn may_wait(&self, logged: &Logged) -> bool {
        let group = &logged.trigger.group;
        let partition = self.partitions.of(group.hash());
        let Some(cursor) = self.cursors.get(usize::from(partition.0)) else {
            return true;
        };
        let lagging = cursor.lagging.get(group);
        let settled = lagging.copied().unwrap_or(cursor.position);
        logged.sequence > settled
    }
}

/// The newest trigger with this id that may still wait, of any group.
pub(crate) async fn find(
    backbone: &Backbone,
    id: TriggerId,
) -> Result<Option<Logged>, Unavailable> {
    let everything = (Sequence(0), Sequence(u64::MAX));
    let mut unsettled =
        Unsettled::new(backbone, Order::NewestFirst, everything, LARGEST_READ).await?;
    while let Some(triggers) = unsettled.next().await? {
        let mut found = triggers.into_iter();
        if let Some(found) = found.find(|logged| logged.trigger.id == id) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The newest trigger of `group` with this id that may still wait.
pub(crate) async fn find_of_group(
    backbone: &Backbone,
    group: &GroupKey,
    id: TriggerId,
) -> Result<Option<Logged>, Unavailable> {
    let log = &backbone.triggers;
    let partition = log.partitions().of(group.hash());
    let cursor = backbone.cursors.load(partition).await?;
    let lagging = cursor.lagging.get(group).copied();
    let mut after = lagging.unwrap_or(cursor.position);
    let mut found = None;
    loop {
        let entries = log.read_group(group, after, LARGEST_READ).await?;
        let Some(last) = entries.last() else {
            return Ok(found);
        };
        after = last.sequence();
        for entry in entries {
            if let Entry::Trigger(logged) = entry
                && logged.trigger.id == id
            {
                found = Some(logged);
            }
        }
    }
}
