//! Compares signed heads with a chain that is read once, from its beginning to its end: those that are recorded in it,
//! and those that were kept elsewhere.

use std::collections::{BTreeMap, VecDeque};

use super::chain::ChainHash;
use super::export::{Fault, Place};
use super::head::SignedHead;

/// How many hashes are remembered: a head is recorded shortly after the entry that it is the hash of.
const REMEMBERED: usize = 100_000;

/// The heads to compare with, and the hashes to compare them with.
#[derive(Debug)]
pub struct KnownHeads {
    /// Kept elsewhere, by number, as far as the chain has not come to them.
    kept: BTreeMap<u64, Vec<SignedHead>>,
    /// The hashes of the last entries, and the number of the first of them.
    passed: VecDeque<ChainHash>,
    first: u64,
    fitting: u64,
    /// The last entry that a fitting head is the hash of.
    vouched: Option<u64>,
}

impl KnownHeads {
    /// Heads that were `kept` elsewhere. Their signatures must be good.
    pub fn new(kept: Vec<SignedHead>) -> Result<Self, Fault> {
        let mut by_number: BTreeMap<u64, Vec<SignedHead>> = BTreeMap::new();
        for head in kept {
            verify(&head, head.number)?;
            by_number.entry(head.number).or_default().push(head);
        }
        Ok(Self {
            kept: by_number,
            passed: VecDeque::new(),
            first: 0,
            fitting: 0,
            vouched: None,
        })
    }

    /// The chain has come to `place`.
    pub fn passes(&mut self, place: Place) -> Result<(), Fault> {
        if self.passed.is_empty() {
            self.first = place.number;
        }
        self.passed.push_back(place.hash);
        if self.passed.len() > REMEMBERED {
            self.passed.pop_front();
            self.first += 1;
        }
        for head in self.kept.remove(&place.number).unwrap_or_default() {
            self.compare(&head, place.hash)?;
        }
        Ok(())
    }

    /// The entry of this number records `head`.
    pub fn recorded(&mut self, head: &SignedHead, number: u64) -> Result<(), Fault> {
        verify(head, number)?;
        let there = head.number.checked_sub(self.first);
        let there = there.and_then(|offset| usize::try_from(offset).ok());
        match there.and_then(|offset| self.passed.get(offset)).copied() {
            Some(hash) => self.compare(head, hash),
            // Where this chain begins, that is not known any more.
            None if head.number < self.first && self.passed.len() < REMEMBERED => Ok(()),
            None => Err(Fault {
                number,
                what: format!(
                    "it signs entry {}, which is not shortly before it",
                    head.number
                ),
            }),
        }
    }

    /// How many heads have fitted so far.
    pub fn fitting(&self) -> u64 {
        self.fitting
    }

    /// Up to which entry heads that fitted so far vouch for the chain, if one fitted.
    pub fn vouched(&self) -> Option<u64> {
        self.vouched
    }

    /// The chain is over: every kept head must have been passed.
    pub fn end(mut self, began: Place, ended: Place) -> Result<(), Fault> {
        match self.kept.pop_first() {
            None => Ok(()),
            Some((number, _)) => Err(Fault {
                number,
                what: format!(
                    "a head was kept of it, but it is not in this export, which has entries {} to {}",
                    began.number + 1,
                    ended.number
                ),
            }),
        }
    }

    fn compare(&mut self, head: &SignedHead, found: ChainHash) -> Result<(), Fault> {
        if head.hash != found {
            return Err(Fault {
                number: head.number,
                what: format!(
                    "another hash was signed at {}: {}, but found is {found}; this or an entry before it was rewritten",
                    head.at, head.hash
                ),
            });
        }
        self.fitting += 1;
        self.vouched = self.vouched.max(Some(head.number));
        Ok(())
    }
}

fn verify(head: &SignedHead, number: u64) -> Result<(), Fault> {
    head.verify().map_err(|error| Fault {
        number,
        what: error.to_string(),
    })
}
