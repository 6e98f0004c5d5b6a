//! Verifies blocks, given where they begin: several at once where there are processors for it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::{Fault, Place};
use stormhook_shared::audit::head::SignedHead;

use super::super::block::Block;
use super::super::counts::Counts;
use super::super::keys;
use super::super::span::Span;
use super::super::store::{Store, StoreError};
use super::indexes::{self, Sums};

/// How many blocks are verified at once, at most.
const BLOCKS: usize = 64;

/// For how many another thread is worth its while.
const BLOCKS_A_THREAD: usize = 8;

/// A block to be verified.
pub(super) struct Unverified {
    /// Where the one before it ends, as far as that says so itself.
    pub(super) before: Place,
    pub(super) bytes: sled::IVec,
}

/// A block that is as it was written, if what comes before it is.
pub(super) struct Verified {
    /// The places of its entries.
    pub(super) places: Vec<Place>,
    /// The heads that it records, with the numbers of the entries that do.
    pub(super) signed: Vec<(SignedHead, u64)>,
    /// What the indexes must have of it.
    pub(super) sums: Sums,
    /// What it adds to the counts.
    pub(super) counts: Counts,
}

/// Blocks that follow each other.
pub(super) struct Following {
    pub(super) blocks: Vec<Unverified>,
    /// Where they end, as far as they say so themselves.
    pub(super) last: Place,
    /// The number of the first entry of the block after them, if that does not follow.
    pub(super) found: Option<u64>,
}

impl Following {
    /// The next blocks of `store` after `last`.
    pub(super) fn read(store: &Store, last: Place) -> Result<Self, StoreError> {
        let mut following = Self {
            blocks: Vec::with_capacity(BLOCKS),
            last,
            found: None,
        };
        let rest = keys::block(last.number + 1)..vec![keys::BLOCK + 1];
        for item in store.db.range(rest).take(BLOCKS) {
            let (key, bytes) = item?;
            let before = following.last;
            if *key != *keys::block(before.number + 1) {
                following.found = Some(keys::last_number(&key).unwrap_or(0));
                break;
            }
            let header = Block::header(&bytes);
            following.blocks.push(Unverified { before, bytes });
            // A block that does not say where it ends is the last one that can be verified.
            let Some(header) = header else { break };
            following.last = Place {
                number: before.number + u64::from(header.count),
                hash: header.head,
            };
        }
        Ok(following)
    }
}

/// Verifies blocks, on at most `threads` threads, of which this one first does something else. Returns what comes of each block, in
/// their order, and of that.
pub(super) fn verify_all<T>(
    blocks: &[Unverified],
    threads: NonZeroUsize,
    meanwhile: impl FnOnce() -> T,
) -> (Vec<Result<Verified, Fault>>, T) {
    let threads = threads.get().min(blocks.len().div_ceil(BLOCKS_A_THREAD));
    let next = AtomicUsize::new(0);
    let verify_some = || {
        let mut verified = Vec::new();
        while let Some((place, block)) = {
            let place = next.fetch_add(1, Ordering::Relaxed);
            blocks.get(place).map(|block| (place, block))
        } {
            verified.push((place, verify(block)));
        }
        verified
    };
    let (mut verified, done) = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(verify_some)).collect();
        let done = meanwhile();
        let mut verified = verify_some();
        for other in others {
            let more = other.join();
            verified.extend(more.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        (verified, done)
    });
    verified.sort_unstable_by_key(|(place, _)| *place);
    let verified = verified.into_iter().map(|(_, verified)| verified);
    (verified.collect(), done)
}

fn verify(Unverified { before, bytes }: &Unverified) -> Result<Verified, Fault> {
    let mut at = *before;
    let fault = |at: Place, what: String| Fault {
        number: at.number + 1,
        what,
    };
    let whole = Block::decode(bytes);
    let is_whole = whole.is_some();
    let block = whole
        .or_else(|| Block::decode_damaged(bytes))
        .ok_or_else(|| fault(at, "its block cannot be read".to_owned()))?;
    let mut verified = Verified {
        places: Vec::with_capacity(block.entries.len()),
        signed: Vec::new(),
        sums: Sums::NOTHING,
        counts: Counts::default(),
    };
    let mut is_sampled = false;
    let mut accepted = Span::NOTHING;
    for (offset, bytes) in block.entries.iter().enumerate() {
        let next = at.next(bytes);
        if !block.has_mark(offset, next.hash) {
            let what = "it does not fit the chain: it, or its hash, is not what was written";
            return Err(fault(at, what.to_owned()));
        }
        let entry = LogEntry::from_json(bytes)
            .map_err(|error| fault(at, format!("it cannot be read: {error}")))?;
        at = next;
        let number = at.number;
        verified.places.push(at);
        accepted = accepted.with(&entry);
        match entry {
            LogEntry::Settled { outcome, .. } => {
                let is_first = !std::mem::replace(&mut is_sampled, true);
                verified.counts.add(&outcome);
                verified.sums.settled(number, &outcome, is_first);
            }
            LogEntry::Planned { plan, .. } => {
                verified.sums.add(indexes::PLANS, number, plan.revision.0);
            }
            LogEntry::Signed { head } => {
                verified.sums.add(indexes::SIGNED, number, number);
                verified.signed.push((head, number));
            }
            LogEntry::Managed { .. } | LogEntry::NotDone { .. } => {
                verified.sums.add(indexes::MANAGED, number, number);
            }
            LogEntry::Called { record, .. } => {
                verified.sums.add(indexes::CALLS, number, record.0);
            }
            LogEntry::Abandoned { .. } | LogEntry::Began { .. } => {}
        }
    }
    if at.hash != block.head || accepted != block.accepted || !is_whole {
        let what =
            "it is missing, or the sums stored with the block before are not what was written";
        return Err(fault(at, what.to_owned()));
    }
    Ok(verified)
}
