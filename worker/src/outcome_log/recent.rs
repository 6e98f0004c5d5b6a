//! What came of the triggers that receivers got lately, minute by minute: kept in memory, as whoever lists receivers wants
//! it of all of them at once. Made anew from the newest entries when the log is opened; its memory is bounded by the
//! receivers that were called lately.

use std::collections::{BTreeMap, HashMap};

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId};
use stormhook_shared::domain::outcome::Outcome;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::{
    NewestTrigger, ReceiverCount, ReceiverCounts, ReceiverCountsQuery,
};

use super::block::Block;
use super::counts::Counted;
use super::keys;
use super::store::{Store, StoreError};

const MINUTE_MILLIS: i64 = 60 * 1_000;
/// How many minutes are kept: more than are told, as the clocks of ingresses and workers may differ.
const KEPT_MINUTES: u64 = ReceiverCounts::MINUTES * 2;

/// What came of the triggers of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The last minute in which anything was settled.
    last: u64,
    receivers: HashMap<ReceiverId, Called>,
}

/// What came of one receiver's triggers.
#[derive(Debug)]
struct Called {
    project: ProjectId,
    /// By the minute in which they were accepted.
    minutes: BTreeMap<u64, Counted>,
    newest: NewestTrigger,
}

impl Recent {
    /// What the newest entries in `db` tell. What cannot be read is for the verification to name.
    pub(super) fn read(db: &sled::Db) -> Result<Self, StoreError> {
        let mut recent = Self::default();
        for block in db.scan_prefix([keys::BLOCK]).rev() {
            let Some(block) = Block::decode(&block?.1) else {
                break;
            };
            let entries = block.entries.iter();
            let entries: Vec<LogEntry> = entries
                .filter_map(|bytes| serde_json::from_slice(bytes).ok())
                .collect();
            recent.add(&entries);
            let oldest = outcomes(&entries).map(|outcome| minute(outcome.settled_at));
            // Nothing is settled before it is accepted.
            if oldest.min().is_some_and(|oldest| oldest < recent.first()) {
                break;
            }
        }
        Ok(recent)
    }

    /// Counts the triggers that `entries` settle.
    pub(super) fn add(&mut self, entries: &[LogEntry]) {
        let newest = outcomes(entries).map(|outcome| minute(outcome.settled_at));
        let last = newest.max().unwrap_or(0).max(self.last);
        if last > self.last {
            self.last = last;
            self.forget();
        }
        for outcome in outcomes(entries) {
            if minute(outcome.trigger.accepted_at) >= self.first() {
                self.count(outcome);
            }
        }
    }

    fn count(&mut self, outcome: &Outcome) {
        let Some(receiver) = &outcome.trigger.receiver else {
            return;
        };
        let called = self.receivers.entry(receiver.id).or_insert_with(|| Called {
            project: receiver.project.clone(),
            minutes: BTreeMap::new(),
            newest: newest(outcome),
        });
        let minute = minute(outcome.trigger.accepted_at);
        let counted = called.minutes.entry(minute).or_default();
        *counted = counted.plus(Counted::one(outcome.verdict.code.status()));
        if outcome.trigger.sequence > called.newest.sequence {
            called.newest = newest(outcome);
        }
    }

    /// The first minute that is kept.
    fn first(&self) -> u64 {
        (self.last + 1).saturating_sub(KEPT_MINUTES)
    }

    fn forget(&mut self) {
        let first = self.first();
        self.receivers.retain(|_, called| {
            called.minutes = called.minutes.split_off(&first);
            !called.minutes.is_empty()
        });
    }
}

/// What came of the triggers that the receivers of a project got in the last hour.
pub(crate) fn receiver_counts(
    store: &Store,
    query: &ReceiverCountsQuery,
) -> Result<ReceiverCounts, StoreError> {
    let last = minute(query.until);
    let first = (last + 1).saturating_sub(ReceiverCounts::MINUTES);
    let of_project = store.recent().receivers.iter();
    let mut receivers: Vec<_> = of_project
        .filter(|(_, called)| called.project == query.project)
        .filter_map(|(receiver, called)| told(*receiver, called, first, last))
        .collect();
    receivers.sort_by_key(|count| count.receiver);
    Ok(ReceiverCounts {
        since: Timestamp::from_millis(i64::try_from(first).unwrap_or(0) * MINUTE_MILLIS),
        through: store.meta().applied,
        receivers,
    })
}

/// What is told of a receiver; `None` if it got nothing then.
fn told(receiver: ReceiverId, called: &Called, first: u64, last: u64) -> Option<ReceiverCount> {
    called.minutes.range(first..=last).next()?;
    let minutes = (first..=last).map(|minute| {
        let counted = called.minutes.get(&minute).copied();
        counted.unwrap_or_default()
    });
    let minutes: Vec<_> = minutes.collect();
    let sum = minutes
        .iter()
        .copied()
        .fold(Counted::default(), Counted::plus);
    let [succeeded, rejected, skipped, failed] = sum.by_status();
    Some(ReceiverCount {
        receiver,
        succeeded,
        rejected,
        skipped,
        failed,
        minutes: minutes
            .iter()
            .map(|counted| counted.by_status().iter().sum())
            .collect(),
        newest: called.newest.clone(),
    })
}

fn newest(outcome: &Outcome) -> NewestTrigger {
    NewestTrigger {
        id: outcome.trigger.id,
        sequence: outcome.trigger.sequence,
        accepted_at: outcome.trigger.accepted_at,
        status: outcome.verdict.code.status(),
        code: outcome.verdict.code,
        message: outcome.verdict.message.clone(),
    }
}

fn outcomes(entries: &[LogEntry]) -> impl Iterator<Item = &Outcome> {
    entries.iter().filter_map(|entry| match entry {
        LogEntry::Settled { outcome, .. } => Some(outcome),
        _ => None,
    })
}

/// The minute since 1970.
fn minute(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / MINUTE_MILLIS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::settled;
    use super::*;
    use stormhook_shared::domain::ids::Revision;

    /// The trigger with this number, accepted and settled in these minutes.
    fn entry(number: u64, accepted: i64, settled_in: i64) -> LogEntry {
        let mut entry = settled(number);
        if let LogEntry::Settled { outcome, .. } = &mut entry {
            outcome.trigger.accepted_at = Timestamp::from_millis(accepted * MINUTE_MILLIS);
            outcome.settled_at = Timestamp::from_millis(settled_in * MINUTE_MILLIS);
        }
        entry
    }

    fn query(project: &str, minute: i64) -> ReceiverCountsQuery {
        ReceiverCountsQuery {
            project: project.parse().unwrap(),
            until: Timestamp::from_millis(minute * MINUTE_MILLIS + 30_000),
        }
    }

    #[test]
    fn the_last_hour_is_counted_minute_by_minute_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut store = Store::open(&path).unwrap();
        // One trigger a minute for ten hours, by three receivers in turn; every tenth waited for half an hour.
        for number in 1..=600_u64 {
            let minute = i64::try_from(number).unwrap();
            let waited = if number % 10 == 0 { 30 } else { 0 };
            let entry = entry(number, minute - waited, minute);
            store.append(Revision(number), &[entry]).unwrap();
        }
        let count = |store: &Store, minute| {
            let counts = receiver_counts(store, &query("1a5", minute)).unwrap();
            assert_eq!(counts.since.as_millis(), (minute - 59) * MINUTE_MILLIS);
            counts
        };
        let found = count(&store, 600);
        assert_eq!((found.receivers.len(), found.through), (3, Revision(600)));
        // Of the minutes 541 to 600, these were accepted: 54 at once, and those of 580, 590 and 600 half an hour before.
        let total = |counts: &ReceiverCounts| -> u64 {
            let receivers = counts.receivers.iter();
            receivers.map(|one| one.minutes.iter().sum::<u64>()).sum()
        };
        assert_eq!(total(&found), 57);
        for one in &found.receivers {
            assert_eq!(one.minutes.len() as u64, ReceiverCounts::MINUTES);
            assert_eq!(one.minutes.iter().sum::<u64>(), one.succeeded);
        }
        let newest = found
            .receivers
            .iter()
            .map(|one| one.newest.sequence.0)
            .max();
        let highest = (1..=600).map(|number| sequence(&settled(number))).max();
        assert_eq!(newest, highest);
        assert!(
            store
                .recent()
                .receivers
                .values()
                .all(|called| called.minutes.len() <= 120)
        );
        assert_eq!(
            count(&store, 658).receivers.len(),
            1,
            "only the newest is left"
        );
        assert!(count(&store, 700).receivers.is_empty());
        let other = receiver_counts(&store, &query("1a6", 600)).unwrap();
        assert!(other.receivers.is_empty());

        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(count(&store, 600), found);
    }

    fn sequence(entry: &LogEntry) -> u64 {
        let LogEntry::Settled { outcome, .. } = entry else {
            return 0;
        };
        outcome.trigger.sequence.0
    }
}
