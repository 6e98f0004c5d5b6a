//! What the indexes have of a block's entries. Pure.

use std::collections::BTreeMap;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::domain::outcome::Outcome;

use super::keys::{self, Index};
use super::listing::Listing;

/// What the indexes have of a block.
pub(super) struct Indexed {
    /// By key.
    pub(super) keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many entries settle a trigger.
    pub(super) settled: u64,
}

/// What the indexes have of a block with these `entries`, of which the first has the number `first`.
pub(super) fn index(first: u64, entries: &[LogEntry]) -> Indexed {
    let mut listings: BTreeMap<Vec<u8>, Listing> = BTreeMap::new();
    let mut keys = BTreeMap::new();
    let mut settled = 0;
    for (offset, (place, entry)) in (first..).zip(entries).enumerate() {
        let key = match entry {
            LogEntry::Settled { group, outcome, .. } => {
                let trigger = &outcome.trigger;
                let sequence = trigger.sequence;
                if settled == 0 {
                    let sample = keys::accepted(trigger.accepted_at, sequence);
                    keys.insert(sample, place.to_be_bytes().to_vec());
                }
                settled += 1;
                for index in indexes(group, outcome) {
                    let key = index.key(keys::bucket(sequence), first);
                    listings.entry(key).or_default().add(sequence, offset);
                }
                keys::trigger(trigger.id, sequence)
            }
            LogEntry::Planned { plan, .. } => keys::plan(plan.revision),
            LogEntry::Called { record, .. } => keys::calls(*record),
            LogEntry::Managed { call, .. } => keys::managed(&call.project, place),
            LogEntry::NotDone { project, .. } => keys::managed(project, place),
            LogEntry::Signed { head } => keys::signed(head.number, place),
            LogEntry::Abandoned { .. } | LogEntry::Began { .. } => continue,
        };
        keys.insert(key, place.to_be_bytes().to_vec());
    }
    let listings = listings.into_iter();
    keys.extend(listings.map(|(key, listing)| (key, listing.as_bytes().to_vec())));
    Indexed { keys, settled }
}

fn indexes(group: &GroupKey, outcome: &Outcome) -> Vec<Index> {
    // An undecodable trigger has no receiver: it is found in a project and under a receiver that nobody has.
    let nobody = ReceiverId::from_bytes([0; ReceiverId::BYTES]);
    let trigger = &outcome.trigger;
    let (project, receiver) = trigger
        .receiver
        .as_ref()
        .map_or((None, nobody), |receiver| {
            (Some(&receiver.project), receiver.id)
        });
    let code = outcome.verdict.code;
    let mut indexes = vec![
        Index::sequence(),
        Index::project(project),
        Index::receiver(receiver),
        Index::group(group),
        Index::status(project, code.status()),
        Index::code(project, code),
    ];
    let key = trigger.idempotency_key.as_ref();
    indexes.extend(key.map(|key| Index::key_of_caller(project, key)));
    indexes.extend(trigger.replay_of.map(Index::replay_of));
    indexes
}
