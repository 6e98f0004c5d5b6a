//! Which worker is to have which partition. Pure: every worker comes to the same answer from the same census.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use stormhook_shared::domain::group::{Partition, Partitions};
use stormhook_shared::ports::leases::{Census, WorkerId};

/// The partitions of each worker. They are spread evenly; a worker keeps what it has, as far as that is its share, and
/// what is free or too much goes to whom rendezvous hashing prefers of those that have room. So only those move that
/// must.
pub(crate) fn assign(
    partitions: Partitions,
    census: &Census,
) -> BTreeMap<WorkerId, BTreeSet<Partition>> {
    let mut assigned: BTreeMap<_, BTreeSet<_>> = census
        .workers
        .iter()
        .map(|worker| (worker.clone(), BTreeSet::new()))
        .collect();
    for (partition, holder) in &census.holders {
        if let Some(held) = assigned.get_mut(holder) {
            held.insert(*partition);
        }
    }
    let shares = shares(partitions, &assigned);
    for (worker, held) in &mut assigned {
        let share = shares.get(worker).copied().unwrap_or_default();
        let mut preferred: Vec<_> = held.iter().copied().collect();
        preferred.sort_by_key(|partition| std::cmp::Reverse(preference(worker, *partition)));
        *held = preferred.into_iter().take(share).collect();
    }
    let kept: BTreeSet<_> = assigned.values().flatten().copied().collect();
    for partition in partitions.iter().filter(|one| !kept.contains(one)) {
        let preferred = assigned
            .iter_mut()
            .filter(|(worker, held)| Some(&held.len()) < shares.get(*worker))
            .max_by_key(|(worker, _)| preference(worker, partition));
        if let Some((_, held)) = preferred {
            held.insert(partition);
        }
    }
    assigned
}

/// How many partitions each worker gets: the same number, and one more for those that have the most already.
fn shares(
    partitions: Partitions,
    held: &BTreeMap<WorkerId, BTreeSet<Partition>>,
) -> BTreeMap<WorkerId, usize> {
    let count = usize::from(partitions.0.get());
    let workers = held.len().max(1);
    let mut order: Vec<_> = held.iter().collect();
    order.sort_by_key(|(worker, held)| (std::cmp::Reverse(held.len()), (*worker).clone()));
    let one_more = count % workers;
    order
        .into_iter()
        .enumerate()
        .map(|(place, (worker, _))| {
            (
                worker.clone(),
                count / workers + usize::from(place < one_more),
            )
        })
        .collect()
}

fn preference(worker: &str, partition: Partition) -> [u8; 32] {
    Sha256::new()
        .chain_update(partition.0.to_be_bytes())
        .chain_update(worker)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(workers: usize, holders: &BTreeMap<WorkerId, BTreeSet<Partition>>) -> Census {
        Census {
            me: String::new(),
            workers: (0..workers).map(|number| format!("w{number}")).collect(),
            holders: holders
                .iter()
                .flat_map(|(worker, held)| held.iter().map(|one| (*one, worker.clone())))
                .collect(),
            ..Census::default()
        }
    }

    fn moved(
        before: &BTreeMap<WorkerId, BTreeSet<Partition>>,
        after: &BTreeMap<WorkerId, BTreeSet<Partition>>,
    ) -> usize {
        let nothing = BTreeSet::new();
        after
            .iter()
            .map(|(worker, held)| {
                let had = before.get(worker).unwrap_or(&nothing);
                held.difference(had).count()
            })
            .sum()
    }

    #[test]
    fn all_partitions_are_spread_evenly_and_only_those_move_that_must() {
        let all = Partitions::DEFAULT;
        let mut before = assign(all, &census(1, &BTreeMap::new()));
        for workers in (2..12).chain((1..11).rev()) {
            let after = assign(all, &census(workers, &before));
            let counts: Vec<_> = after.values().map(BTreeSet::len).collect();
            assert_eq!(counts.iter().sum::<usize>(), 32);
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            let share = |worker: usize| after[&format!("w{worker}")].len();
            let must = if workers > before.len() {
                share(workers - 1)
            } else {
                before[&format!("w{workers}")].len()
            };
            assert_eq!(moved(&before, &after), must, "{workers} workers");
            before = after;
        }
    }
}
