//! How far a viewer has seen the feed: a place in the ledger, one in the trigger log, one in the registry. All three mean
//! the same on every ingress, so that a viewer can go on at another one.

use std::fmt;
use std::str::FromStr;

use stormhook_shared::domain::ids::{Revision, Sequence};

/// All outcomes of a record.
const ALL: u32 = u32::MAX;

/// How far a viewer has seen the feed, as in the ids of its events: `41-1042-7`, or `41.3-1042-7` in the midst of the
/// outcomes of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) ledger: LedgerPlace,
    pub(super) trigger: Sequence,
    pub(super) registry: Revision,
}

/// Everything before `revision`, and so many outcomes of the record there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LedgerPlace {
    pub(super) revision: Revision,
    outcomes: u32,
}

impl LedgerPlace {
    /// After the record at `revision`.
    pub(super) fn through(revision: Revision) -> Self {
        Self {
            revision,
            outcomes: ALL,
        }
    }

    /// After the outcome `index` of the `count` ones of the record at `revision`.
    pub(super) fn of_outcome(revision: Revision, index: usize, count: usize) -> Self {
        let outcomes = match u32::try_from(index + 1) {
            Ok(outcomes) if index + 1 < count => outcomes,
            _ => ALL,
        };
        Self { revision, outcomes }
    }

    /// The last record of which everything was seen.
    pub(super) fn complete(self) -> Revision {
        match self.outcomes {
            ALL => self.revision,
            _ => Revision(self.revision.0.saturating_sub(1)),
        }
    }
}

/// One step on: where an event stands in the log that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Ledger(LedgerPlace),
    Trigger(Sequence),
    Registry(Revision),
}

impl Place {
    /// Whether the step leads beyond this place.
    pub(super) fn is_before(&self, step: Step) -> bool {
        match step {
            Step::Ledger(ledger) => self.ledger < ledger,
            Step::Trigger(trigger) => self.trigger < trigger,
            Step::Registry(registry) => self.registry < registry,
        }
    }

    /// Takes the step.
    pub(super) fn advance(&mut self, step: Step) {
        match step {
            Step::Ledger(ledger) => self.ledger = self.ledger.max(ledger),
            Step::Trigger(trigger) => self.trigger = self.trigger.max(trigger),
            Step::Registry(registry) => self.registry = self.registry.max(registry),
        }
    }

    /// Whether nothing was seen that `other` has not seen.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.ledger <= other.ledger
            && self.trigger <= other.trigger
            && self.registry <= other.registry
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ledger,
            trigger,
            registry,
        } = self;
        match ledger.outcomes {
            ALL => write!(f, "{}-{trigger}-{registry}", ledger.revision),
            outcomes => write!(f, "{}.{outcomes}-{trigger}-{registry}", ledger.revision),
        }
    }
}

/// A text that is no place.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the id of an event of this feed")]
pub(crate) struct NotAPlace(String);

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let parse = || {
            let mut parts = text.split('-');
            let (ledger, trigger, registry) = (parts.next()?, parts.next()?, parts.next()?);
            let (revision, outcomes) = match ledger.split_once('.') {
                Some((revision, outcomes)) => (revision, outcomes.parse().ok()?),
                None => (ledger, ALL),
            };
            let ledger = LedgerPlace {
                revision: Revision(revision.parse().ok()?),
                outcomes,
            };
            let place = Self {
                ledger,
                trigger: Sequence(trigger.parse().ok()?),
                registry: Revision(registry.parse().ok()?),
            };
            parts.next().is_none().then_some(place)
        };
        parse().ok_or_else(|| NotAPlace(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for text in ["0-0-0", "41-1042-7", "41.3-1042-7"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in ["", "1", "1-2", "1-2-3-4", "a-2-3", "1.-2-3", "-1-2-3"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_outcomes_of_a_record_come_one_after_the_other() {
        let mut place: Place = "40-9-9".parse().unwrap();
        for index in 0..3 {
            let step = Step::Ledger(LedgerPlace::of_outcome(Revision(41), index, 3));
            assert!(place.is_before(step));
            assert_eq!(place.ledger.complete(), Revision(40));
            place.advance(step);
            assert!(!place.is_before(step));
        }
        assert_eq!(place.ledger, LedgerPlace::through(Revision(41)));
        assert_eq!(place.to_string(), "41-9-9");
    }
}
