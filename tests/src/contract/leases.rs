//! The contract of the leases: of one process, and of two that share their work.

use std::collections::BTreeMap;

use futures::future::join_all;
use stormhook_shared::domain::group::Partition;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::leases::{Census, LeaseEnd, Role};
use tokio::time::Instant;

use crate::wait;

/// A lease that is held is renewed, and taken anew after it was given back, each time for no longer than leases last.
pub async fn a_lease_is_taken_renewed_and_given_back(backbone: &Backbone) {
    let partition = Partition(5);
    let taken = granted(backbone, partition).await;
    let renewed = granted(backbone, partition).await;
    assert!(renewed >= taken, "{renewed:?} is before {taken:?}");
    // The second time it is not held any more, which does no harm.
    for _ in 0..2 {
        backbone.leases.release(partition).await.unwrap();
    }
    granted(backbone, partition).await;
}

/// A process that announced itself is there as what it said, however often it says so.
pub async fn whoever_announced_itself_is_there(backbone: &Backbone) {
    for _ in 0..2 {
        for role in [Role::Worker, Role::Ingress] {
            backbone.leases.announce(role).await.unwrap();
        }
        let there = census(backbone).await;
        assert!(!there.me.is_empty());
        assert_eq!(there.workers, [there.me.clone()].into());
        assert_eq!(there.ingresses, [there.me].into());
    }
}

/// Where a process shares its work with nobody, a lease is always granted, and nobody else ever holds one.
pub async fn alone_every_lease_is_granted_for_good(backbone: &Backbone) {
    let leases = &backbone.leases;
    assert_eq!(leases.ttl(), None);
    for partition in backbone.triggers.partitions().iter() {
        for _ in 0..2 {
            assert_eq!(leases.acquire(partition).await.unwrap(), Some(None));
        }
        leases.release(partition).await.unwrap();
        assert_eq!(leases.acquire(partition).await.unwrap(), Some(None));
    }
    let there = census(backbone).await;
    assert!(there.workers.iter().all(|worker| *worker == there.me));
    assert!(there.holders.values().all(|holder| *holder == there.me));
}

/// Of two processes one holds a lease, and the other gets it only once that one has given it back.
pub async fn one_of_two_holds_a_lease_until_it_gives_it_back(one: &Backbone, other: &Backbone) {
    let partition = Partition(5);
    granted(one, partition).await;
    granted(one, partition).await;
    refused(other, partition).await;
    let holder = census(one).await.me;
    let there = census(other).await;
    assert_ne!(there.me, holder);
    assert_eq!(there.holders, [(partition, holder)].into());

    // It is not the other's to give back.
    other.leases.release(partition).await.unwrap();
    refused(other, partition).await;

    one.leases.release(partition).await.unwrap();
    assert_eq!(census(other).await.holders, BTreeMap::new());
    granted(other, partition).await;
    refused(one, partition).await;
}

/// Of two processes that ask for a lease at once, one is granted it, and the other is told that it is held.
pub async fn of_two_that_ask_at_once_one_is_granted_a_lease(one: &Backbone, other: &Backbone) {
    for partition in one.triggers.partitions().iter() {
        let asked = [one, other].map(|process| process.leases.acquire(partition));
        let answers = join_all(asked).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let granted = answers.iter().flatten().flatten().count();
        assert_eq!(granted, 1, "{partition}: {answers:?}");
    }
}

/// A lease lasts beyond its first end while it is renewed. Once it is not, it runs out, not before its end, and is another's
/// from then on, whatever its former holder does.
pub async fn a_lease_runs_out_unless_it_is_renewed(one: &Backbone, other: &Backbone) {
    let (renewed, forgotten) = (Partition(5), Partition(6));
    granted(one, forgotten).await;
    let first = granted(one, renewed).await;
    let last = wait::until("the lease's first end to pass", || async {
        let end = granted(one, renewed).await;
        refused(other, renewed).await;
        if Some(Instant::now()) > first {
            Ok(end)
        } else {
            Err(format!("{end:?}"))
        }
    })
    .await;
    let taken = once_it_ran_out(other, renewed).await;
    assert!(Some(Instant::now()) >= last, "it ran out before {last:?}");
    assert!(taken > last);
    once_it_ran_out(other, forgotten).await;

    refused(one, renewed).await;
    one.leases.release(forgotten).await.unwrap();
    let there = census(other).await;
    let holders = [renewed, forgotten].map(|partition| (partition, there.me.clone()));
    assert_eq!(there.holders, holders.into());
}

/// A process is not there any more once it has said so, or has not announced itself for as long as a lease lasts.
pub async fn whoever_leaves_or_falls_silent_is_there_no_more(one: &Backbone, other: &Backbone) {
    let ttl = one.leases.ttl().unwrap();
    let leaving = census(one).await.me;
    let staying = census(other).await.me;
    one.leases.announce(Role::Worker).await.unwrap();
    other.leases.announce(Role::Worker).await.unwrap();
    other.leases.announce(Role::Ingress).await.unwrap();
    let there = census(other).await;
    assert_eq!(there.workers, [leaving.clone(), staying.clone()].into());
    assert_eq!(there.ingresses, [staying.clone()].into());

    one.leases.withdraw(Role::Worker).await.unwrap();
    assert_eq!(census(other).await.workers, [staying].into());

    let announced_at = Instant::now();
    one.leases.announce(Role::Worker).await.unwrap();
    assert!(census(other).await.workers.contains(&leaving));
    wait::until("who is silent to be gone", || async {
        let there = census(other).await;
        if there.workers.contains(&leaving) {
            Err(format!("{there:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    assert!(announced_at.elapsed() >= ttl, "it was gone before {ttl:?}");
}

/// Takes or renews a lease, which nobody else holds. Returns its end: no later than leases last, and none where all are for
/// good.
async fn granted(process: &Backbone, partition: Partition) -> LeaseEnd {
    let answer = process.leases.acquire(partition).await.unwrap();
    let end = answer.unwrap_or_else(|| panic!("{partition} is held by another process"));
    let latest = process.leases.ttl().map(|ttl| Instant::now() + ttl);
    assert_eq!(end.is_some(), latest.is_some());
    assert!(end <= latest, "{end:?} is after {latest:?}");
    end
}

/// Takes a lease that another process does not renew.
async fn once_it_ran_out(process: &Backbone, partition: Partition) -> LeaseEnd {
    wait::until("the lease to run out", || async {
        let end = process.leases.acquire(partition).await.unwrap();
        end.ok_or_else(|| "held".to_owned())
    })
    .await
}

/// Asks for a lease that another process holds.
async fn refused(process: &Backbone, partition: Partition) {
    assert_eq!(process.leases.acquire(partition).await.unwrap(), None);
}

async fn census(process: &Backbone) -> Census {
    process.leases.census().await.unwrap()
}
