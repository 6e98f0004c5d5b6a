//! This worker among others: tells that it is there, takes the partitions that fall to it, renews their leases, hands
//! over what falls to somebody else, and stops work on what it could not renew in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use stormhook_shared::domain::group::Partition;
use stormhook_shared::ports::leases::{Census, Lease, Role};
use stormhook_shared::ports::{Unavailable, leases};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::assignment::assign;
use crate::context::Context;
use crate::partition::PartitionWorker;
use crate::receiver_resources;

/// How many looks at the others there are in a lease's time.
const LOOKS: u32 = 12;
/// How many looks there are for each renewal.
const LOOKS_A_RENEWAL: u32 = 2;
/// How long to wait before a failed start is tried again, where leases are for good.
const PAUSE: Duration = Duration::from_millis(200);

/// This worker among others.
pub(crate) struct Fleet {
    context: Arc<Context>,
    stop: CancellationToken,
    owned: BTreeMap<Partition, Owned>,
}

/// A partition that this worker has.
struct Owned {
    lease: Lease,
    stop: CancellationToken,
    /// Its work; it ends soon after `stop`.
    work: JoinHandle<()>,
}

impl Fleet {
    /// A worker that has nothing yet.
    pub(crate) fn new(context: Arc<Context>, stop: CancellationToken) -> Self {
        Self {
            context,
            stop,
            owned: BTreeMap::new(),
        }
    }

    /// Works on what falls to this worker until `stop`, then gives everything back.
    pub(crate) async fn run(mut self) {
        let ttl = self.leases().ttl();
        let mut looks = tokio::time::interval(ttl.map_or(PAUSE, |ttl| ttl / LOOKS));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for look in 0_u32.. {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                _ = looks.tick() => {}
            }
            if look % LOOKS_A_RENEWAL == 0
                && let Err(error) = self.renew().await
            {
                tracing::warn!(%error, "cannot renew leases, trying again");
            }
            match self.look_around().await {
                Ok(()) if ttl.is_none() => {
                    self.tell();
                    self.stop.cancelled().await;
                    break;
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot see the other workers, trying again");
                }
            }
            self.drop_lost().await;
            self.tell();
        }
        self.give_everything_back().await;
    }

    /// Renews all leases; what somebody else has taken is dropped.
    async fn renew(&mut self) -> Result<(), Unavailable> {
        let leases = self.leases();
        if leases.ttl().is_none() {
            return Ok(());
        }
        leases.announce(Role::Worker).await?;
        let renewals = self.owned.iter().map(|(partition, owned)| {
            let leases = &leases;
            async move {
                match leases.acquire(*partition).await {
                    Ok(Some(end)) => owned.lease.prolong(end),
                    // Somebody else has it: it is over.
                    Ok(None) => owned.lease.prolong(Some(Instant::now())),
                    Err(error) => {
                        tracing::warn!(%partition, %error, "a lease was not renewed");
                    }
                }
            }
        });
        join_all(renewals).await;
        Ok(())
    }

    /// Takes what falls to this worker, and gives back what falls to others.
    async fn look_around(&mut self) -> Result<(), Unavailable> {
        let leases = self.leases();
        let mut census = leases.census().await?;
        // It may not have been seen yet.
        census.workers.insert(census.me.clone());
        let mut assigned = assign(self.context.backbone.triggers.partitions(), &census);
        let mine = assigned.remove(&census.me).unwrap_or_default();
        let surplus: Vec<_> = self
            .owned
            .keys()
            .copied()
            .filter(|partition| !mine.contains(partition))
            .collect();
        self.hand_over(surplus).await;
        let free: Vec<_> = mine
            .into_iter()
            .filter(|partition| !self.owned.contains_key(partition) && is_free(&census, *partition))
            .collect();
        for partition in free {
            if let Some(end) = leases.acquire(partition).await? {
                self.begin(Lease::new(partition, end));
            }
        }
        Ok(())
    }

    fn begin(&mut self, lease: Lease) {
        let partition = lease.partition();
        tracing::info!(%partition, "taken");
        let stop = self.stop.child_token();
        let worker = PartitionWorker::new(Arc::clone(&self.context), lease.clone(), stop.clone());
        let resources =
            receiver_resources::work(Arc::clone(&self.context), lease.clone(), stop.clone());
        let work = tokio::spawn(async move {
            tokio::join!(worker.run(), resources);
        });
        self.owned.insert(partition, Owned { lease, stop, work });
    }

    /// Stops work on partitions whose leases were not renewed in time.
    async fn drop_lost(&mut self) {
        let now = Instant::now();
        let lost: Vec<_> = self
            .owned
            .iter()
            .filter(|(_, owned)| owned.lease.is_over(now))
            .map(|(partition, _)| *partition)
            .collect();
        if !lost.is_empty() {
            tracing::warn!(?lost, "lost, as their leases were not renewed in time");
        }
        self.hand_over(lost).await;
    }

    /// Stops work on partitions, and then gives them back. What takes longer than half a lease runs out by itself, so
    /// that the renewal of the others does not wait for it.
    async fn hand_over(&mut self, partitions: Vec<Partition>) {
        let leases = self.leases();
        let patience = leases.ttl().unwrap_or(PAUSE) / 2;
        let leaving = partitions
            .into_iter()
            .filter_map(|partition| Some((partition, self.owned.remove(&partition)?)));
        let leaving: Vec<_> = leaving.collect();
        let back = leaving.into_iter().map(|(partition, owned)| {
            let leases = &leases;
            owned.stop.cancel();
            async move {
                let ended = tokio::time::timeout(patience, owned.work).await;
                if ended.is_ok()
                    && let Err(error) = leases.release(partition).await
                {
                    tracing::warn!(%partition, %error, "a lease was not given back; it will run out");
                }
            }
        });
        join_all(back).await;
    }

    /// Waits for all work to end and gives its partitions back.
    async fn give_everything_back(&mut self) {
        let leases = self.leases();
        let owned = std::mem::take(&mut self.owned);
        let back = owned.into_iter().map(|(partition, owned)| {
            let leases = &leases;
            async move {
                if let Err(error) = owned.work.await {
                    tracing::error!(%partition, %error, "a partition's work ended in a panic");
                }
                if let Err(error) = leases.release(partition).await {
                    tracing::warn!(%partition, %error, "a lease was not given back; it will run out");
                }
            }
        });
        join_all(back).await;
        if let Err(error) = leases.withdraw(Role::Worker).await {
            tracing::warn!(%error, "the other workers were not told of the stop; they will see it");
        }
    }

    /// Tells how many partitions this worker has.
    fn tell(&self) {
        let owned = i64::try_from(self.owned.len()).unwrap_or(i64::MAX);
        self.context.metrics.partitions.set(owned);
    }

    fn leases(&self) -> Arc<dyn leases::Leases> {
        Arc::clone(&self.context.backbone.leases)
    }
}

fn is_free(census: &Census, partition: Partition) -> bool {
    census
        .holders
        .get(&partition)
        .is_none_or(|holder| *holder == census.me)
}
