//! One group's work: its waiting triggers, the executor that decides them in order, and the performance of a
//! plan. Only one executor a group exists in a process; the ledger's compare-and-swap keeps other processes out.

mod budget;
mod children;
mod executor;
mod part;
mod performance;
mod progress;
mod pursuit;
mod queue;

pub(crate) use budget::Budget;
pub(crate) use executor::Executor;
pub(crate) use performance::{Interrupted, pause, pauses};
pub(crate) use progress::Progress;
pub(crate) use queue::GroupQueue;
