//! Verifies one block, given where it begins: several at once where there are processors for it. Pure.

use std::num::NonZeroUsize;
use std::thread;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::{Fault, Place};
use stormhook_shared::audit::head::SignedHead;

use super::super::block::Block;
use super::super::counts::Counts;
use super::super::span::Span;
use super::indexes::{self, Sums};

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

/// Verifies blocks, on at most `threads` threads, and returns what comes of each in their order.
pub(super) fn verify_all(
    blocks: &[Unverified],
    threads: NonZeroUsize,
) -> Vec<Result<Verified, Fault>> {
    let share = blocks.len().div_ceil(threads.get()).max(1);
    thread::scope(|scope| {
        let mut shares = blocks.chunks(share);
        let first = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| scope.spawn(|| share.iter().map(verify).collect::<Vec<_>>()))
            .collect();
        let mut verified: Vec<_> = first.iter().map(verify).collect();
        for other in others {
            match other.join() {
                Ok(more) => verified.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        verified
    })
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
