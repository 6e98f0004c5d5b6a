//! Compares an action's start and goal with what the platform reports: before it is performed, before it is
//! tried again, and by whoever finds its plan open in the ledger.

use super::Seen;

/// How far an action has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The goal is there.
    Reached,
    /// What it starts from is still there.
    NotBegun,
    /// Something else is there: somebody changed it meanwhile.
    Elsewhere {
        /// What, in words.
        found: String,
    },
}

/// How far a service has come on its way from one scale to another, by what the platform reports.
pub fn progress(from: u32, to: u32, seen: &Seen) -> Progress {
    let found = match seen {
        Seen::Service(service) => match &service.unscalable {
            Some(reason) => reason.clone(),
            None if service.scale == to => return Progress::Reached,
            None if service.scale == from => return Progress::NotBegun,
            None => format!("its scale is {}", service.scale),
        },
        Seen::Gone { reason } | Seen::Unsupported { reason } => reason.clone(),
        Seen::Unreadable(verdict) => verdict.message.clone(),
        Seen::Hosts(_) | Seen::Services(_) | Seen::Endpoint => "it is no service".to_owned(),
    };
    Progress::Elsewhere { found }
}
