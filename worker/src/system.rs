//! How this worker sees the others, the partitions and the platforms.

use futures::future::try_join_all;
use stormhook_shared::domain::group::Partition;
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::leases::Census;
use stormhook_shared::ports::questions::{OutcomeLogState, PartitionState, PlatformState, System};
use stormhook_shared::ports::trigger_log::Entry;

use crate::context::Context;

/// How everything is now.
pub(crate) async fn look(context: &Context) -> Result<System, Unavailable> {
    let census = context.backbone.leases.census().await?;
    let partitions = context.backbone.triggers.partitions();
    let looks = partitions
        .iter()
        .map(|partition| look_at(context, &census, partition));
    let partitions = try_join_all(looks).await?;
    let platforms = context.platforms.iter().map(|(project, platform)| {
        let health = platform.health();
        PlatformState {
            project: project.clone(),
            name: context.names.get(project).cloned(),
            failures: health.failures,
            rests_for: health.rests_for,
        }
    });
    Ok(System {
        platforms: platforms.collect(),
        outcome_log: outcome_log(context).await,
        partitions,
        answered_by: census.me,
        workers: census.workers.into_iter().collect(),
    })
}

async fn look_at(
    context: &Context,
    census: &Census,
    partition: Partition,
) -> Result<PartitionState, Unavailable> {
    let (cursors, triggers) = (&context.backbone.cursors, &context.backbone.triggers);
    let settled = cursors.load(partition).await?.all_settled();
    let waiting = triggers.read(partition, settled, 1).await?;
    let holder = match context.backbone.leases.ttl() {
        Some(_) => census.holders.get(&partition).cloned(),
        // Where leases are for good, the only worker has them all.
        None => Some(census.me.clone()),
    };
    Ok(PartitionState {
        partition,
        holder,
        oldest_waiting: waiting.first().and_then(Entry::accepted_at),
    })
}

async fn outcome_log(context: &Context) -> OutcomeLogState {
    let meta = context.log.read(|store| Ok(store.meta())).await;
    let verified_at = context.log.verified_at();
    match meta {
        Ok(meta) => OutcomeLogState {
            entries: meta.entries,
            head: meta.head.to_string(),
            verified_at,
        },
        // It is being read or rebuilt.
        Err(_) => OutcomeLogState {
            entries: 0,
            head: String::new(),
            verified_at,
        },
    }
}
