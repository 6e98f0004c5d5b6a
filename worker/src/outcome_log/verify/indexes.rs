//! What each index must have, and what it has: to tell whether both are the same entries.

use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::domain::outcome::Outcome;

use super::super::keys::{self, Index};
use super::super::listing;
use super::super::lookup::parse_number;
use super::super::store::StoreError;

/// The indexes in the order in which they are verified.
pub(super) const INDEXES: usize = NUMBERED + Index::COMPLETE.len() + 2;
/// How many of them lead to numbers, not to listings.
pub(super) const NUMBERED: usize = 6;
pub(super) const PLANS: usize = 1;
pub(super) const MANAGED: usize = 3;
pub(super) const CALLS: usize = 4;
pub(super) const SIGNED: usize = 5;
const ACCEPTED: usize = 2;

/// The first byte of an index's keys.
pub(super) fn tag(index: usize) -> u8 {
    let complete = Index::COMPLETE;
    match index {
        0 => keys::TRIGGER,
        PLANS => keys::PLAN,
        ACCEPTED => keys::ACCEPTED,
        MANAGED => keys::MANAGED,
        CALLS => keys::CALLS,
        SIGNED => keys::SIGNED,
        _ if index == INDEXES - 2 => Index::KEY,
        _ if index == INDEXES - 1 => Index::REPLAY,
        _ => complete[index - NUMBERED],
    }
}

/// How many triggers of a listing are read in the time of a key.
const LISTED_IN_A_KEYS_TIME: u64 = 64;

/// Tells of what an index has under a key. Returns the time of how many keys that takes.
pub(super) fn list(
    index: usize,
    key: &[u8],
    value: &[u8],
    mut tell: impl FnMut(u64, u64),
) -> Result<u64, StoreError> {
    if index < NUMBERED {
        tell(parse_number(value)?, keys::last_number(key).unwrap_or(0));
        return Ok(1);
    }
    let (_, triggers) = listing::read(key, value)?;
    for (Sequence(place), number) in &triggers {
        tell(*number, *place);
    }
    Ok(1 + triggers.len() as u64 / LISTED_IN_A_KEYS_TIME)
}

/// What each index has of some entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums([Sum; INDEXES]);

impl Sums {
    pub(super) const NOTHING: Self = Self([Sum::NOTHING; INDEXES]);

    /// What the index has.
    pub(super) fn of(&self, index: usize) -> Sum {
        self.0[index]
    }

    /// Adds the entry of this number to one index, where it stands under `place`.
    pub(super) fn add(&mut self, index: usize, number: u64, place: u64) {
        self.0[index].add(number, place);
    }

    /// Takes an entry out of one index.
    pub(super) fn remove(&mut self, index: usize, number: u64, place: u64) {
        self.0[index].remove(number, place);
    }

    /// Adds the entry of this number, which settles a trigger, to every index that it belongs to.
    pub(super) fn settled(&mut self, number: u64, outcome: &Outcome, is_first_of_block: bool) {
        let Sequence(place) = outcome.trigger.sequence;
        let mut sum = Sum::NOTHING;
        sum.add(number, place);
        for (index, expected) in self.0.iter_mut().enumerate() {
            let is_in = match index {
                0 => true,
                ACCEPTED => is_first_of_block,
                _ if index < NUMBERED => false,
                _ if index < INDEXES - 2 => true,
                _ if index == INDEXES - 2 => outcome.trigger.idempotency_key.is_some(),
                _ => outcome.trigger.replay_of.is_some(),
            };
            if is_in {
                expected.plus(sum);
            }
        }
    }

    /// Adds what other entries are in.
    pub(super) fn plus(&mut self, other: &Self) {
        for (sum, other) in self.0.iter_mut().zip(other.0) {
            sum.plus(other);
        }
    }
}

/// Entries with their places in the trigger log or in the ledger, counted and summed: to tell whether two lists have
/// the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) count: u64,
    sum: u64,
}

impl Sum {
    pub(super) const NOTHING: Self = Self { count: 0, sum: 0 };

    pub(super) fn add(&mut self, number: u64, place: u64) {
        self.plus(Self {
            count: 1,
            sum: mixed(number, place),
        });
    }

    fn remove(&mut self, number: u64, place: u64) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(mixed(number, place));
    }

    fn plus(&mut self, other: Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

fn mixed(number: u64, place: u64) -> u64 {
    let mut mixed = number.rotate_left(32) ^ place;
    // The finalizer of SplitMix64: one flipped bit in changes half of those out.
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
