//! The plans of a ledger that is read from some place on: what a plan's end means can only be told with the plan, which
//! stands earlier.

use std::collections::HashMap;

use crate::domain::ids::Revision;
use crate::domain::ledger::{Entry, Plan, Record};
use crate::ports::ledger::{Ledger, LedgerError};

/// How many open plans are remembered; others are read from the ledger again when they end.
const MOST_REMEMBERED: usize = 256;

/// The plans whose end has not been read yet.
#[derive(Debug, Default)]
pub struct OpenPlans {
    remembered: HashMap<Revision, Plan>,
}

impl OpenPlans {
    /// Notes the plan at `revision`.
    pub fn begin(&mut self, revision: Revision, plan: Plan) {
        if self.remembered.len() < MOST_REMEMBERED {
            self.remembered.insert(revision, plan);
        }
    }

    /// Forgets the plan at `revision`.
    pub fn abandon(&mut self, revision: Revision) {
        self.remembered.remove(&revision);
    }

    /// The plan at `revision`, which has ended; `None` if the ledger does not have it.
    pub async fn end(
        &mut self,
        ledger: &dyn Ledger,
        revision: Revision,
    ) -> Result<Option<Plan>, LedgerError> {
        if let Some(plan) = self.remembered.remove(&revision) {
            return Ok(Some(plan));
        }
        let before = Revision(revision.0.saturating_sub(1));
        let found = ledger.read(before, 1).await?.pop();
        let record = found.filter(|place| place.revision == revision);
        match record.map(|place| place.record) {
            Some(Ok(Record {
                entry: Entry::Planned(plan),
                ..
            })) => Ok(Some(plan)),
            _ => {
                tracing::error!(%revision, "a plan ended that the ledger does not have");
                Ok(None)
            }
        }
    }
}
