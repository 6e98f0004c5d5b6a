//! What leads to an entry: keys of its own, which are stored with its block, and its places in the indexes' listings, which
//! are stored with its segment. Pure.

use std::collections::BTreeMap;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::domain::outcome::Outcome;

use super::keys::{self, Index};
use super::listing::Listing;

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

/// A stretch of the log whose listings are stored together: there are far fewer keys than if each block had its own, and
/// each key costs some hundred bytes of writing, whatever it leads to. While it grows, its listings are in memory.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The number of its first entry.
    first: u64,
    /// The number of its last entry.
    last: u64,
    /// By their keys.
    listings: BTreeMap<Vec<u8>, Listing>,
}

impl Segment {
    /// How many entries it has at least, before its listings are stored.
    const FULL: u64 = 8_192;

    /// The segment after entry `number`, which has nothing yet.
    pub(super) fn after(number: u64) -> Self {
        Self {
            first: number + 1,
            last: number,
            listings: BTreeMap::new(),
        }
    }

    /// The number of its first entry.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of its last entry.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether it is full with `more` entries.
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        self.last + 1 - self.first + more as u64 >= Self::FULL
    }

    /// The listings by their keys.
    pub(super) fn listings(&self) -> &BTreeMap<Vec<u8>, Listing> {
        &self.listings
    }

    /// Adds a block, of which the first entry has the number `first`.
    pub(super) fn add(&mut self, first: u64, entries: &[LogEntry]) {
        for (number, entry) in (first..).zip(entries) {
            self.last = number;
            let LogEntry::Settled { group, outcome, .. } = entry else {
                continue;
            };
            let sequence = outcome.trigger.sequence;
            // A block more than full at most.
            let offset = u16::try_from(number - self.first).unwrap_or(u16::MAX);
            for index in indexes(group, outcome) {
                let key = index.key(keys::bucket(sequence), self.first);
                self.listings.entry(key).or_default().add(sequence, offset);
            }
        }
    }
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
