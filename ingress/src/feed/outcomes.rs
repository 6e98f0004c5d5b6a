//! The outcomes that records of the ledger bring, as events.

use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, Revision};
use stormhook_shared::domain::ledger::{Entry, Record};
use stormhook_shared::domain::outcome::Outcome;
use stormhook_shared::open_plans::OpenPlans;
use stormhook_shared::ports::ledger::{Ledger, LedgerError, Place};

use super::event::Event;
use super::place::LedgerPlace;

/// Reads outcomes from the ledger.
pub(super) struct Outcomes<'a> {
    pub(super) ledger: &'a dyn Ledger,
    /// What links begin with.
    pub(super) base: &'a str,
    open_plans: OpenPlans,
}

impl<'a> Outcomes<'a> {
    pub(super) fn new(ledger: &'a dyn Ledger, base: &'a str) -> Self {
        Self {
            ledger,
            base,
            open_plans: OpenPlans::default(),
        }
    }

    /// The events of the next `limit` records after `after` at most, and the last record's place; `None` if there is
    /// none.
    pub(super) async fn read_after(
        &mut self,
        after: Revision,
        limit: usize,
    ) -> Result<Option<(Revision, Vec<(ProjectId, Event)>)>, LedgerError> {
        let mut events = Vec::new();
        let mut through = None;
        for Place { revision, record } in self.ledger.read(after, limit).await? {
            if let Ok(record) = record {
                self.tell(revision, record, &mut events).await?;
            }
            through = Some(revision);
        }
        Ok(through.map(|through| (through, events)))
    }

    async fn tell(
        &mut self,
        revision: Revision,
        record: Record,
        events: &mut Vec<(ProjectId, Event)>,
    ) -> Result<(), LedgerError> {
        let outcomes: Vec<_> = match record.entry {
            Entry::Planned(plan) => {
                self.open_plans.begin(revision, plan);
                return Ok(());
            }
            Entry::Abandoned { plan, .. } => {
                self.open_plans.abandon(plan);
                return Ok(());
            }
            // These belong to no trigger.
            Entry::Managed(_) | Entry::NotDone { .. } | Entry::Signed(_) | Entry::Began { .. } => {
                return Ok(());
            }
            Entry::Performed { plan, performance } => {
                match self.open_plans.end(self.ledger, plan).await? {
                    Some(plan) => plan.outcomes(&performance).collect(),
                    None => return Ok(()),
                }
            }
            Entry::Settled { outcomes, at, .. } => {
                outcomes.iter().map(|draft| draft.settle(0, at)).collect()
            }
        };
        self.add(revision, &record.group, outcomes, events);
        Ok(())
    }

    fn add(
        &self,
        revision: Revision,
        group: &GroupKey,
        outcomes: Vec<Outcome>,
        events: &mut Vec<(ProjectId, Event)>,
    ) {
        let count = outcomes.len();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            // What could not be read belongs to no project.
            let Some(receiver) = &outcome.trigger.receiver else {
                continue;
            };
            let project = receiver.project.clone();
            let place = LedgerPlace::of_outcome(revision, index, count);
            let event = Event::outcome(self.base, place, &project, group.clone(), outcome);
            events.push((project, event));
        }
    }
}
