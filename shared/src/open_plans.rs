//! The plans of a ledger that is read from some place on: what a plan's end means can only be told with the plan, which
//! stands earlier.

use std::collections::HashMap;

use crate::domain::ids::Revision;
use crate::domain::ledger::{Entry, Plan, Record};
use crate::ports::Unavailable;
use crate::ports::ledger::{Ledger, LedgerError, Place};

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

    /// The plan at `revision`, which has ended; `None` if the ledger does not have it any more.
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
        match found.filter(|place| place.revision == revision) {
            Some(Place {
                record:
                    Ok(Record {
                        entry: Entry::Planned(plan),
                        ..
                    }),
                ..
            }) => return Ok(Some(plan)),
            Some(_) => {}
            None if revision <= ledger.reach().await?.after => {}
            // A server that is behind has the plan's end from another one, but not yet the plan.
            None => {
                return Err(LedgerError::Unavailable(Unavailable::Down {
                    what: "the ledger",
                    reason: format!("the server that answers does not have {revision} yet"),
                }));
            }
        }
        tracing::error!(%revision, "a plan ended that the ledger does not have");
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::domain::group::GroupKey;
    use crate::ports::ledger::Reach;

    const PLAN: Revision = Revision(5);

    /// A ledger that has everything after a place, asked through a server that has nothing while it is behind.
    struct Behind {
        after: Revision,
        is_behind: AtomicBool,
    }

    #[async_trait]
    impl Ledger for Behind {
        async fn append(&self, _: Record, _: Revision) -> Result<Revision, LedgerError> {
            unreachable!("nothing is appended")
        }

        async fn last(&self, _: &GroupKey) -> Result<Option<(Revision, Record)>, LedgerError> {
            unreachable!("nobody asks for a group")
        }

        async fn read(&self, _: Revision, _: usize) -> Result<Vec<Place>, LedgerError> {
            if self.is_behind.load(Ordering::Relaxed) || self.after >= PLAN {
                return Ok(Vec::new());
            }
            let plan = serde_json::json!({
                "type": "planned",
                "action": {"type": "scaleService", "serviceId": "1s5", "name": "web", "from": 1, "to": 2},
                "drafts": [],
                "decidedAt": "2026-11-25T00:00:00.000Z",
                "deadline": "2026-11-25T00:05:00.000Z",
            });
            let entry = serde_json::from_value(plan).unwrap();
            Ok(vec![Place {
                revision: PLAN,
                record: Ok(Record::apart(GroupKey::named("g"), entry)),
            }])
        }

        async fn reach(&self) -> Result<Reach, Unavailable> {
            Ok(Reach {
                after: self.after,
                through: Revision(9),
            })
        }

        async fn wait_beyond(&self, _: Revision) -> Result<(), Unavailable> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_plan_that_a_server_does_not_have_yet_is_asked_for_again() {
        let ledger = Behind {
            after: Revision(0),
            is_behind: AtomicBool::new(true),
        };
        let mut plans = OpenPlans::default();
        let asked = plans.end(&ledger, PLAN).await;
        assert!(
            matches!(asked, Err(LedgerError::Unavailable(_))),
            "{asked:?}"
        );
        ledger.is_behind.store(false, Ordering::Relaxed);
        assert!(plans.end(&ledger, PLAN).await.unwrap().is_some());
        let gone = Behind {
            after: PLAN,
            ..ledger
        };
        assert_eq!(plans.end(&gone, PLAN).await.unwrap(), None);
    }
}
