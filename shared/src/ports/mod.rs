//! The ports: small traits, each named for what it gives, between the product and whatever carries its data.
//! An adapter is one folder; every adapter passes the same contract tests. No adapter code here.

pub mod cursors;
pub mod leases;
pub mod ledger;
pub mod platform;
pub mod questions;
pub mod record;
pub mod registry;
pub mod trigger_log;

use std::sync::Arc;
use std::time::Duration;

/// What carries everything between ingress and worker: one adapter of each port.
#[derive(Clone)]
pub struct Backbone {
    /// Accepted triggers.
    pub triggers: Arc<dyn trigger_log::TriggerLog>,
    /// Plans and outcomes.
    pub ledger: Arc<dyn ledger::Ledger>,
    /// Receivers.
    pub registry: Arc<dyn registry::Registry>,
    /// Who works on which partition.
    pub leases: Arc<dyn leases::Leases>,
    /// How far each partition has been worked off.
    pub cursors: Arc<dyn cursors::Cursors>,
    /// What only a worker can answer.
    pub questions: Arc<dyn questions::Questions>,
}

/// The backbone could not do what was asked of it; the same may succeed later.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// More waits already than can be kept.
    #[error("{0} is overloaded: too many requests wait already")]
    Overloaded(&'static str),
    /// No acknowledgement within the time-out.
    #[error("{what} did not acknowledge within {after:?}")]
    TimedOut {
        /// Which part.
        what: &'static str,
        /// The time-out.
        after: Duration,
    },
    /// It cannot be reached, or is being closed.
    #[error("{what} cannot be used: {reason}")]
    Down {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
}
