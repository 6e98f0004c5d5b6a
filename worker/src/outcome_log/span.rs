//! The time in which the triggers of a block were accepted, so that blocks of other times need not be read. Pure.

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::time::Timestamp;

/// From the first to the last time at which one of some triggers was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    first: i64,
    last: i64,
}

impl Span {
    /// How many bytes it has, as stored.
    pub(super) const BYTES: usize = 16;
    /// That of no triggers: it overlaps nothing.
    pub(super) const NOTHING: Self = Self {
        first: i64::MAX,
        last: i64::MIN,
    };

    /// That of the triggers which `entries` settle.
    pub(super) fn of(entries: &[LogEntry]) -> Self {
        entries.iter().fold(Self::NOTHING, Self::with)
    }

    /// That of one entry more.
    pub(super) fn with(self, entry: &LogEntry) -> Self {
        let LogEntry::Settled { outcome, .. } = entry else {
            return self;
        };
        let at = outcome.trigger.accepted_at.as_millis();
        Self {
            first: self.first.min(at),
            last: self.last.max(at),
        }
    }

    /// Whether one of the triggers may have been accepted at `since` or later, and before `until`.
    pub(super) fn overlaps(self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        self.first <= self.last
            && since.is_none_or(|since| self.last >= since.as_millis())
            && until.is_none_or(|until| self.first < until.as_millis())
    }

    /// As stored.
    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let [first, last] = [self.first, self.last]
            .map(i64::cast_unsigned)
            .map(u128::from);
        (first << 64 | last).to_be_bytes()
    }

    /// What [`Span::encode`] made into these bytes.
    pub(super) fn decode(bytes: [u8; Self::BYTES]) -> Self {
        let both = u128::from_be_bytes(bytes);
        let half = |bits: u128| (bits as u64).cast_signed();
        Self {
            first: half(both >> 64),
            last: half(both),
        }
    }
}
