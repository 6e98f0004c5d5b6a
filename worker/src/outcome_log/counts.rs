//! How many triggers came to which end in each hour, by when they were accepted: kept along with the entries, so that
//! a chart over weeks reads a few hundred small values.

use std::collections::BTreeMap;
use std::ops::Range;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::outcome::{Outcome, Status};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::questions::{CountsQuery, HourCounts};

use super::keys;
use super::store::{Store, StoreError};

const HOUR_MILLIS: i64 = 60 * 60 * 1_000;

/// Of one hour, or minute: how many of each status, in the order of [`Status::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted([u64; Status::ALL.len()]);

/// What some entries add, by the key under which it is counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<Vec<u8>, Counted>);

impl Counts {
    /// Counts the trigger that `outcome` settles.
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let receiver = outcome.trigger.receiver.as_ref();
        let project = receiver.map(|receiver| &receiver.project);
        let key = keys::count(project, hour(outcome.trigger.accepted_at));
        let counted = self.0.entry(key).or_default();
        *counted = counted.plus(Counted::one(outcome.verdict.code.status()));
    }

    /// Counts the triggers that `entries` settle.
    pub(super) fn of(entries: &[LogEntry]) -> Self {
        let mut counts = Self::default();
        for entry in entries {
            if let LogEntry::Settled { outcome, .. } = entry {
                counts.add(outcome);
            }
        }
        counts
    }

    /// Adds what others counted.
    pub(super) fn add_all(&mut self, others: Self) {
        for (key, more) in others.into_iter() {
            let counted = self.0.entry(key).or_default();
            *counted = counted.plus(more);
        }
    }

    /// The keys with what is counted under them.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (Vec<u8>, Counted)> {
        self.0.into_iter()
    }
}

impl Counted {
    /// One of this status.
    pub(super) fn one(status: Status) -> Self {
        Self(Status::ALL.map(|counts| u64::from(counts == status)))
    }

    /// How many of each status, in the order of [`Status::ALL`].
    pub(super) fn by_status(self) -> [u64; Status::ALL.len()] {
        self.0
    }

    /// Both together.
    pub(super) fn plus(mut self, other: Self) -> Self {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count += other;
        }
        self
    }

    /// What is left of it without the other.
    pub(super) fn minus(mut self, other: Self) -> Self {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_sub(other);
        }
        self
    }

    /// Nothing is counted.
    pub(super) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// As stored: eight bytes a status.
    pub(super) fn encode(self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|count| count.to_be_bytes())
            .collect()
    }

    /// What [`Counted::encode`] made into these bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged("a count has the wrong length".to_owned());
        let (counts, rest) = bytes.as_chunks::<8>();
        let counts: [[u8; 8]; Status::ALL.len()] = counts.try_into().map_err(|_| damaged())?;
        if !rest.is_empty() {
            return Err(damaged());
        }
        Ok(Self(counts.map(u64::from_be_bytes)))
    }
}

/// The hours that `query` asks for, the oldest first, also those in which nothing was accepted.
pub(crate) fn counts(store: &Store, query: &CountsQuery) -> Result<Vec<HourCounts>, StoreError> {
    let hours = hours(query);
    let mut counts = Vec::new();
    for hour in hours {
        let Counted([succeeded, rejected, skipped, failed]) =
            store.counted(&keys::count(Some(&query.project), hour))?;
        counts.push(HourCounts {
            hour: Timestamp::from_millis(i64::try_from(hour).unwrap_or(0) * HOUR_MILLIS),
            succeeded,
            rejected,
            skipped,
            failed,
        });
    }
    Ok(counts)
}

fn hours(query: &CountsQuery) -> Range<u64> {
    let first = hour(query.since);
    let until = Timestamp::from_millis(query.until.as_millis().saturating_add(HOUR_MILLIS - 1));
    first..hour(until).min(first.saturating_add(CountsQuery::MOST_HOURS))
}

/// The hour since 1970.
fn hour(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / HOUR_MILLIS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome_log::store::tests::entries;
    use stormhook_shared::domain::ids::Revision;

    #[test]
    fn hours_are_counted_whole_and_also_when_nothing_happened() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("log")).unwrap();
        store.append(Revision(1), &entries(500)).unwrap();
        let query = |project: &str, since: &str, until: &str| CountsQuery {
            project: project.parse().unwrap(),
            since: since.parse().unwrap(),
            until: until.parse().unwrap(),
        };
        let found = query("1a5", "1970-01-01T00:20:00Z", "1970-01-01T02:00:00.001Z");
        let found = counts(&store, &found).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.hour.to_string(), one.succeeded, one.failed))
            .collect();
        assert_eq!(
            told,
            [
                ("1970-01-01T00:00:00.000Z".to_owned(), 499, 0),
                ("1970-01-01T01:00:00.000Z".to_owned(), 0, 0),
                ("1970-01-01T02:00:00.000Z".to_owned(), 0, 0),
            ]
        );
        let other = query("1a6", "1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z");
        assert_eq!(counts(&store, &other).unwrap()[0].succeeded, 0);
    }
}
