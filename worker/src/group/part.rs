//! A part of one group's triggers, as it is read from the log.

use futures::future::try_join_all;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::trigger_log::{self, TriggerLog};

/// Up to how many places from each other triggers are read together: to find the next one, nats-server looks at all in
/// between.
const CLOSE: u64 = 8;
/// How many triggers are read at once where they are far from each other.
const READS_AT_ONCE: usize = 64;

/// Which of a group's triggers to read.
pub(super) enum Part {
    /// Those at these places.
    Places(Vec<Sequence>),
    /// So many after this place.
    After(Sequence, usize),
}

impl Part {
    /// The entries, as far as a server has them, which may be behind.
    pub(super) async fn read(
        &self,
        log: &dyn TriggerLog,
        group: &GroupKey,
    ) -> Result<Vec<trigger_log::Entry>, Unavailable> {
        let places = match self {
            Self::Places(places) => places,
            Self::After(after, count) => return log.read_group(group, *after, *count).await,
        };
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Ok(Vec::new());
        };
        let distance = (last.0 - first.0) / places.len() as u64;
        if distance <= CLOSE {
            let before = Sequence(first.0.saturating_sub(1));
            return log.read_group(group, before, places.len()).await;
        }
        let mut found = Vec::with_capacity(places.len());
        for some in places.chunks(READS_AT_ONCE) {
            let some = try_join_all(some.iter().map(|place| log.get(*place))).await?;
            found.extend(some.into_iter().flatten().map(trigger_log::Entry::Trigger));
        }
        Ok(found)
    }

    /// Whether `entries` have everything that is known to be there. Between known places there may be some that cannot be
    /// read, and a server that is behind lacks the last ones.
    pub(super) fn is_all_in(&self, entries: &[trigger_log::Entry]) -> bool {
        let has = |place: &Sequence| {
            let found = entries.binary_search_by_key(place, trigger_log::Entry::sequence);
            found.is_ok()
        };
        match self {
            Self::Places(places) => places.iter().all(has),
            Self::After(..) => true,
        }
    }
}

/// The trigger at a place, where it can be read.
pub(super) fn readable(entry: trigger_log::Entry) -> Option<Logged> {
    match entry {
        trigger_log::Entry::Trigger(logged) => Some(logged),
        trigger_log::Entry::Undecodable { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormhook_shared::domain::time::Timestamp;
    use stormhook_tests::contract::trigger_log::trigger;

    #[test]
    fn an_entry_that_cannot_be_read_takes_no_place() {
        let logged = |sequence| {
            trigger_log::Entry::Trigger(Logged {
                sequence: Sequence(sequence),
                trigger: trigger("g", None, Timestamp::from_millis(0)),
            })
        };
        let undecodable = trigger_log::Entry::Undecodable {
            sequence: Sequence(7),
            found_at: Timestamp::from_millis(0),
            reason: "junk".to_owned(),
        };
        let part = Part::Places(vec![Sequence(5), Sequence(9)]);
        assert!(part.is_all_in(&[logged(5), logged(9)]));
        assert!(!part.is_all_in(&[logged(5), undecodable]));
        assert!(!part.is_all_in(&[logged(5)]));
    }
}
