//! The decision core: which verdict each trigger gets, and which one action a batch of them needs. Pure: no
//! clock, no I/O, no async, no logging. The rules are those of docs/verdicts.md.

pub mod alert;
mod checks;
mod filter;
mod fold;
mod resume;
mod scale_service;

pub use filter::InvalidGlob;
pub use filter::check_glob;
pub use fold::{Batch, Waiting, fold};
pub use resume::{Progress, progress};

use crate::domain::outcome::Verdict;

/// What a platform reports of the thing that a group acts upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A service that can be scaled.
    Service(ServiceSeen),
    /// It is gone.
    Gone {
        /// How the platform says so.
        reason: String,
    },
    /// It is there, but of a sort that cannot be acted upon.
    Unsupported {
        /// Of which sort.
        reason: String,
    },
    /// It could not be read, and will not be: the verdict for every trigger that needs it.
    Unreadable(Verdict),
}

/// A service that can be scaled, as the platform reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSeen {
    /// The platform's id of it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The desired scale, not the count of running containers.
    pub scale: u32,
    /// The platform's version of what was read, where it has versions.
    pub version: Option<String>,
}
