//! Stretches of the log as it is stored, by number or by time, for exports.

use std::time::Duration;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::Place;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::record::{EntriesPage, EntriesQuery, Position};

use super::block::Block;
use super::keys;
use super::lookup::{entry, parse_number, unreadable};
use super::store::{Store, StoreError};

/// By how much the clocks of workers may differ: entries are in the order of the ledger, and their times follow that
/// order only up to this.
const CLOCK_SKEW: Duration = Duration::from_secs(600);
const CLOCK_SKEW_MILLIS: i64 = 600_000;
/// About how many bytes a page has.
const PAGE_BYTES: usize = 1024 * 1024;

/// A block with its entries' places.
struct Stretch {
    /// The place before its first entry.
    before: Place,
    block: Block,
}

impl Stretch {
    /// The number of its last entry.
    fn last(&self) -> u64 {
        self.before.number + self.block.entries.len() as u64
    }
}

impl Store {
    /// The place of the entry with this number, or before the first that is kept; `None` if it is not kept.
    pub(crate) fn place(&self, number: u64) -> Result<Option<Place>, StoreError> {
        if number == self.meta().base.number {
            return Ok(Some(self.meta().base));
        }
        let Some(stretch) = self.stretch(number)? else {
            return Ok(None);
        };
        let mut place = stretch.before;
        for entry in &stretch.block.entries {
            place = place.next(entry);
            if place.number == number {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// The newest management calls in `project` before the entry `before`, with their numbers, and whether there are
    /// more.
    pub(crate) fn management_calls(
        &self,
        project: &ProjectId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<(u64, LogEntry)>, bool), StoreError> {
        let first = self.meta().base.number + 1;
        let before = before.unwrap_or(u64::MAX).max(first);
        let range = keys::managed(project, first)..keys::managed(project, before);
        let mut calls = Vec::new();
        for item in self.db.range(range).rev() {
            let number = parse_number(&item?.1)?;
            let Some(entry) = self.entry(number)? else {
                return Err(unreadable(number));
            };
            let of = match &entry {
                LogEntry::Managed { call, .. } => Some(&call.project),
                LogEntry::NotDone { project, .. } => Some(project),
                _ => None,
            };
            if of != Some(project) {
                continue; // Another project whose hash is the same.
            }
            if calls.len() == limit {
                return Ok((calls, true));
            }
            calls.push((number, entry));
        }
        Ok((calls, false))
    }

    /// A page of what `query` asks for; `None` if it begins before or after what is kept.
    pub(crate) fn page(&self, query: &EntriesQuery) -> Result<Option<EntriesPage>, StoreError> {
        let meta = self.meta();
        let after = match (query.after, query.since) {
            (Some(after), _) => after,
            (None, Some(since)) => self.last_before(since)?,
            (None, None) => meta.base.number,
        };
        let through = match (query.through, query.until) {
            (Some(through), _) => through.min(meta.entries),
            (None, Some(until)) => self.last_before(until)?.max(after),
            (None, None) => meta.entries,
        };
        let Some(after) = self.place(after)? else {
            return Ok(None);
        };
        let mut page = EntriesPage {
            after,
            through,
            entries: Vec::new(),
            position: (through == meta.entries && !meta.is_unfinished()).then_some(Position {
                applied: meta.applied,
                beyond: meta.beyond,
            }),
        };
        let (mut number, mut bytes) = (after.number, 0);
        'page: while number < through {
            let Some(stretch) = self.stretch(number + 1)? else {
                break;
            };
            for (of, entry) in (stretch.before.number + 1..).zip(stretch.block.entries) {
                if of <= number {
                    continue;
                }
                if of > through || page.entries.len() >= query.limit || bytes >= PAGE_BYTES {
                    break 'page;
                }
                let entry = String::from_utf8(entry).map_err(|_| unreadable(of))?;
                bytes += entry.len();
                number = of;
                page.entries.push(entry);
            }
        }
        Ok(Some(page))
    }

    /// The number of the last entry that happened before `at` and that only such entries precede, as far as they tell.
    pub(super) fn last_before(&self, at: Timestamp) -> Result<u64, StoreError> {
        let early = Timestamp::from_millis(at.as_millis().saturating_sub(CLOCK_SKEW_MILLIS));
        let late = at.plus(CLOCK_SKEW);
        let (mut low, mut high) = (self.meta().base.number, self.meta().entries);
        // Everything before the last block that begins early is early; halves until that is found.
        let mut begin = low;
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let Some(stretch) = self.stretch(middle)? else {
                return Err(unreadable(middle));
            };
            match time(&stretch.block)? {
                Some(time) if time >= early => high = stretch.before.number,
                _ => {
                    begin = stretch.before.number;
                    low = stretch.last().min(high);
                }
            }
        }
        // From here on times are mixed: the last that is early enough, before all are late.
        let mut last = begin;
        let mut number = begin;
        while number < self.meta().entries {
            let Some(stretch) = self.stretch(number + 1)? else {
                return Err(unreadable(number + 1));
            };
            for bytes in stretch
                .block
                .entries
                .iter()
                .skip(usize::try_from(number - stretch.before.number).unwrap_or(0))
            {
                number += 1;
                match entry(bytes)?.at() {
                    Some(time) if time >= late => return Ok(last),
                    Some(time) if time < at => last = number,
                    _ => {}
                }
            }
        }
        Ok(last)
    }

    /// The block that has the entry with this number.
    fn stretch(&self, number: u64) -> Result<Option<Stretch>, StoreError> {
        let base = self.meta().base;
        if number <= base.number {
            return Ok(None); // Dropped, and perhaps not removed yet.
        }
        let Some(item) = self
            .db
            .range(keys::block(0)..=keys::block(number))
            .next_back()
        else {
            return Ok(None);
        };
        let (key, value) = item?;
        let first = keys::last_number(&key).unwrap_or(0);
        let block = Block::decode(&value).ok_or_else(|| unreadable(first))?;
        if number < first || number >= first + block.entries.len() as u64 {
            return Ok(None);
        }
        let hash = if first == base.number + 1 {
            base.hash
        } else {
            let before = keys::block(0)..keys::block(first);
            let before = self.db.range(before).next_back().transpose()?;
            let before = before.and_then(|(_, value)| Block::decode(&value));
            before.ok_or_else(|| unreadable(first - 1))?.head
        };
        Ok(Some(Stretch {
            before: Place {
                number: first - 1,
                hash,
            },
            block,
        }))
    }
}

/// When the first entry of a block that says so happened.
fn time(block: &Block) -> Result<Option<Timestamp>, StoreError> {
    for bytes in &block.entries {
        if let Some(at) = entry(bytes)?.at() {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::settled;
    use super::*;
    use stormhook_shared::audit::export::{Checker, Writer};
    use stormhook_shared::domain::ids::Revision;

    /// A thousand entries, one a minute, each second one a minute early.
    fn log(folder: &std::path::Path) -> Store {
        let mut store = Store::open(&folder.join("log")).unwrap();
        let entries: Vec<_> = (1..=1_000)
            .map(|number| {
                let mut entry = settled(number);
                if let LogEntry::Settled { outcome, .. } = &mut entry {
                    outcome.settled_at = Timestamp::from_millis((number as i64 ^ 1) * 60_000);
                }
                entry
            })
            .collect();
        for (revision, some) in (1..).zip(entries.chunks(90)) {
            store.append(Revision(revision), some).unwrap();
        }
        store
    }

    fn query(after: Option<u64>, since: Option<i64>, until: Option<i64>) -> EntriesQuery {
        let minute = |minute: i64| Timestamp::from_millis(minute * 60_000);
        EntriesQuery {
            worker: None,
            after,
            through: None,
            since: since.map(minute),
            until: until.map(minute),
            limit: 100,
        }
    }

    #[test]
    fn pages_make_an_export_that_checks() {
        let folder = tempfile::tempdir().unwrap();
        let store = log(folder.path());
        let first = store.page(&query(None, None, None)).unwrap().unwrap();
        let (mut writer, line) = Writer::begin(first.after);
        let mut checker = Checker::new(Vec::new()).unwrap();
        checker.line(&line).unwrap();
        let mut page = first;
        while !page.entries.is_empty() {
            for entry in &page.entries {
                checker.line(&writer.entry(entry)).unwrap();
            }
            let after = writer.place().number;
            page = store
                .page(&query(Some(after), None, None))
                .unwrap()
                .unwrap();
            assert_eq!(page.after, writer.place());
        }
        checker.line(&writer.end()).unwrap();
        assert_eq!(checker.end().unwrap().ended, store.meta().last());
        assert_eq!(store.page(&query(Some(1_001), None, None)).unwrap(), None);
    }

    #[test]
    fn a_range_of_time_becomes_a_range_of_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let store = log(folder.path());
        for (since, until) in [
            (0, 2_000),
            (1, 2),
            (100, 101),
            (333, 667),
            (999, 1_000),
            (1_500, 1_600),
        ] {
            let page = store
                .page(&query(None, Some(since), Some(until)))
                .unwrap()
                .unwrap();
            let before = |minute: i64| {
                (1..=1_000_i64)
                    .rev()
                    .find(|number| (number ^ 1) < minute)
                    .unwrap_or(0) as u64
            };
            let found = (page.after.number, page.through);
            assert_eq!(found, (before(since), before(until)), "{since} to {until}");
        }
    }
}
