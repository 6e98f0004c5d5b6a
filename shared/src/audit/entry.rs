//! What the outcome log has an entry for.

use serde::{Deserialize, Serialize};

use super::head::SignedHead;
use crate::domain::call::Calls;
use crate::domain::group::GroupKey;
use crate::domain::ids::{ProjectId, Revision};
use crate::domain::management::ManagementCall;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::ports::questions::PlanSummary;

/// One entry of the outcome log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LogEntry {
    /// A trigger came to its end.
    #[serde(rename_all = "camelCase")]
    Settled {
        /// Its group.
        group: GroupKey,
        /// The plan that it was part of, by its place in the ledger.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<Revision>,
        /// The ledger's record that says so, where calls of the platform led to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<Revision>,
        /// The final word.
        outcome: Outcome,
    },
    /// An action was decided on.
    Planned {
        /// Its group.
        group: GroupKey,
        /// What it does.
        plan: PlanSummary,
    },
    /// What was called to settle the triggers of a record of the ledger.
    Called {
        /// Their group.
        group: GroupKey,
        /// The record's place in the ledger.
        record: Revision,
        /// What was called.
        calls: Calls,
    },
    /// A plan was not performed, and its triggers were decided anew.
    Abandoned {
        /// Its group.
        group: GroupKey,
        /// Its place in the ledger.
        plan: Revision,
        /// Why.
        reason: String,
    },
    /// Somebody managed something.
    Managed {
        /// Its place in the ledger.
        revision: Revision,
        /// Who did what.
        call: Box<ManagementCall>,
    },
    /// What an earlier entry says that somebody was about to do was not done.
    NotDone {
        /// In which project.
        project: ProjectId,
        /// The place of that call in the ledger.
        call: Revision,
        /// Why.
        reason: String,
        /// When that was known.
        at: Timestamp,
    },
    /// The head of the chain was signed.
    Signed {
        /// The head.
        head: SignedHead,
    },
    /// The log begins here, or goes on here behind a gap, as nobody had what was in between: neither the ledger nor another
    /// worker.
    Began {
        /// The last record of the ledger that is gone.
        after: Revision,
        /// When that was found.
        at: Timestamp,
    },
}

/// What nearly all entries begin with.
const SETTLED: &[u8] = br#"{"type":"settled","#;

/// [`LogEntry::Settled`], for which serde need not look for the type first: that makes it copy everything.
#[derive(Deserialize)]
struct Settled {
    group: GroupKey,
    plan: Option<Revision>,
    record: Option<Revision>,
    outcome: Outcome,
}

impl LogEntry {
    /// Reads an entry as it is stored.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if !bytes.starts_with(SETTLED) {
            return serde_json::from_slice(bytes);
        }
        let Settled {
            group,
            plan,
            record,
            outcome,
        } = serde_json::from_slice(bytes)?;
        Ok(Self::Settled {
            group,
            plan,
            record,
            outcome,
        })
    }

    /// When it happened, where the entry says.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Settled { outcome, .. } => Some(outcome.settled_at),
            Self::Planned { plan, .. } => Some(plan.decided_at),
            Self::Abandoned { .. } => None,
            Self::Called { calls, .. } => calls.kept.first().map(|call| call.at),
            Self::Managed { call, .. } => Some(call.at),
            Self::NotDone { at, .. } | Self::Began { at, .. } => Some(*at),
            Self::Signed { head } => Some(head.at),
        }
    }
}
