//! Tells the rest of the fleet that this ingress is there.

use std::sync::Arc;

use stormhook_shared::ports::leases::{Leases, Role};
use tokio_util::sync::CancellationToken;

/// How often it is told while what was told before still counts.
const TOLD_PER_TTL: u32 = 3;

/// Tells that this ingress is there until `stop`, and then that it leaves. A process that has no others tells nobody.
pub(crate) async fn tell(leases: Arc<dyn Leases>, stop: CancellationToken) {
    let Some(ttl) = leases.ttl() else { return };
    let mut times = tokio::time::interval(ttl / TOLD_PER_TTL);
    times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = times.tick() => {}
        }
        // Nothing depends on it but what the system page shows.
        if let Err(error) = leases.announce(Role::Ingress).await {
            tracing::debug!(%error, "the others were not told of this ingress, trying again");
        }
    }
    if let Err(error) = leases.withdraw(Role::Ingress).await {
        tracing::debug!(%error, "the others were not told of the stop; they will see it");
    }
}
