//! Finds a trigger by its id: settled ones in the outcome log's index, others among what the partitions' cursors
//! have not passed yet. The trigger log itself is ordered, not indexed.

use stormhook_shared::domain::group::{GroupKey, Partition};
use stormhook_shared::domain::ids::{Sequence, TriggerId};
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::trigger_log::Entry;

use crate::context::Context;

/// How many triggers are looked at at once.
const PAGE: usize = 500;

/// The newest trigger with this id that may still wait, of any group.
pub(crate) async fn waiting(
    context: &Context,
    id: TriggerId,
) -> Result<Option<Logged>, Unavailable> {
    for partition in context.backbone.triggers.partitions().iter() {
        let found = newest(context, id, partition, None).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The newest trigger of `group` with this id that may still wait.
pub(crate) async fn waiting_of_group(
    context: &Context,
    group: &GroupKey,
    id: TriggerId,
) -> Result<Option<Logged>, Unavailable> {
    let partition = context.backbone.triggers.partitions().of(group.hash());
    newest(context, id, partition, Some(group)).await
}

async fn newest(
    context: &Context,
    id: TriggerId,
    partition: Partition,
    group: Option<&GroupKey>,
) -> Result<Option<Logged>, Unavailable> {
    let log = &context.backbone.triggers;
    let cursor = context.backbone.cursors.load(partition).await?;
    let mut after: Sequence = cursor.all_settled();
    let mut found = None;
    loop {
        let entries = match group {
            Some(group) => log.read_group(group, after, PAGE).await?,
            None => log.read(partition, after, PAGE).await?,
        };
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
