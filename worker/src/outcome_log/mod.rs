//! The worker's own copy of the ledger: an append-only, hash-chained log in sled, with the indexes that history
//! needs. It can always be rebuilt from the ledger; nothing is decided from it.
//!
//! sled 0.34 does not survive every kill, so a log that does not open, or does not verify, is set aside and
//! built anew (`aside`): from the ledger (`follow`), and where that does not reach back, from another worker (`fetch`).

mod aside;
mod beginning;
mod block;
mod counts;
mod entries;
mod fetch;
mod follow;
mod heads;
mod history;
mod import;
mod indexing;
mod keeper;
mod keys;
mod listing;
mod lookup;
mod peers;
mod recent;
mod retention;
mod segment;
mod setback;
mod span;
mod store;
mod tail;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

pub(crate) use counts::counts;
pub(crate) use history::{Decision, decisions, item, maybe_waiting, merge, settled, settled_item};
pub use import::{Import, ImportError};
pub(crate) use keeper::{OutcomeLog, Unreadable};
pub(crate) use peers::Peers;
pub(crate) use recent::receiver_counts;
pub(crate) use store::{Store, StoreError};
pub(crate) use verify::Verification;
