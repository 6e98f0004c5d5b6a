//! What leads to an entry: keys of its own, which are stored with its block, and the indexes that list it, which are stored
//! with its segment. Pure.

use std::collections::BTreeMap;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::domain::outcome::Outcome;

use super::keys::{self, Index};

/// The keys that lead to entries of one block.
pub(super) struct Indexed {
    /// With the entries' numbers.
    pub(super) keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many entries settle a trigger.
    pub(super) settled: u64,
}

/// The keys that lead to these `entries`, a block, of which the first has the number `first`.
pub(super) fn index(first: u64, entries: &[LogEntry]) -> Indexed {
    let mut keys = BTreeMap::new();
    let mut settled = 0;
    for (place, entry) in (first..).zip(entries) {
        let key = match entry {
            LogEntry::Settled { outcome, .. } => {
                let trigger = &outcome.trigger;
                if settled == 0 {
                    let sample = keys::accepted(trigger.accepted_at, trigger.sequence);
                    keys.insert(sample, place.to_be_bytes().to_vec());
                }
                settled += 1;
                keys::trigger(trigger.id, trigger.sequence)
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
    Indexed { keys, settled }
}

/// The indexes that list the trigger which `outcome` settles in `group`.
pub(super) fn indexes(group: &GroupKey, outcome: &Outcome) -> Vec<Index> {
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
