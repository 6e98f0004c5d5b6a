//! Compares an action's start and goal with what the platform reports: before it is performed, before it is
//! tried again, and by whoever finds its plan open in the ledger.

use super::Seen;
use crate::domain::ledger::Action;

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

/// How far `action` has come, by what the platform reports.
pub fn progress(action: &Action, seen: &Seen) -> Progress {
    match (action, seen) {
        (Action::ScaleService { from, to, .. }, Seen::Service(service)) => {
            if service.scale == *to {
                Progress::Reached
            } else if service.scale == *from {
                Progress::NotBegun
            } else {
                Progress::Elsewhere {
                    found: format!("its scale is {}", service.scale),
                }
            }
        }
        (_, Seen::Gone { reason } | Seen::Unsupported { reason }) => Progress::Elsewhere {
            found: reason.clone(),
        },
        (_, Seen::Unreadable(verdict)) => Progress::Elsewhere {
            found: verdict.message.clone(),
        },
    }
}
