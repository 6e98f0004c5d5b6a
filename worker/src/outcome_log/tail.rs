//! Turns the ledger's records into the outcome log's entries: an outcome for every trigger, whether it was
//! settled at once or by the end of a plan.

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::Revision;
use stormhook_shared::domain::ledger::{Entry, Plan, Record};
use stormhook_shared::open_plans::OpenPlans;
use stormhook_shared::ports::ledger::{Ledger, LedgerError, Place};
use stormhook_shared::ports::questions::PlanSummary;

/// How many records are read at once, at most.
const LARGEST_PAGE: usize = 256;
/// About how many entries are made at once: records of a storm bring a thousand each, others one.
const ENTRIES: usize = 2_000;

/// What comes of some records.
pub(super) struct Page {
    /// The place of the first of them.
    pub(super) first: Revision,
    /// That of the last.
    pub(super) through: Revision,
    pub(super) entries: Vec<LogEntry>,
}

/// Reads the ledger from its beginning to its end.
pub(super) struct Tail<'a> {
    ledger: &'a dyn Ledger,
    open_plans: OpenPlans,
    page: usize,
}

impl<'a> Tail<'a> {
    pub(super) fn new(ledger: &'a dyn Ledger) -> Self {
        Self {
            ledger,
            open_plans: OpenPlans::default(),
            page: 1,
        }
    }

    /// The entries that come of the records after `applied`, if there are any.
    pub(super) async fn read_after(&mut self, applied: Revision) -> Result<Page, LedgerError> {
        let places = self.ledger.read(applied, self.page).await?;
        let page = Page {
            first: places.first().map_or(applied, |place| place.revision),
            through: places.last().map_or(applied, |place| place.revision),
            entries: self.translate_all(places).await?,
        };
        let is_large = page.entries.len() > ENTRIES;
        self.page = if is_large {
            self.page / 2
        } else {
            self.page * 2
        }
        .clamp(1, LARGEST_PAGE);
        Ok(page)
    }

    /// The entries that come of the last records up to `through` of a ledger that has none up to `gone`: as many as can be
    /// told.
    pub(super) async fn last_entries(
        &mut self,
        gone: Revision,
        through: Revision,
    ) -> Result<Vec<LogEntry>, LedgerError> {
        let before = through.0.saturating_sub(LARGEST_PAGE as u64);
        let after = Revision(before.max(gone.0));
        let mut places = self.ledger.read(after, LARGEST_PAGE).await?;
        places.retain(|place| place.revision <= through);
        let is_untold = |place: &Place| matches!(&place.record, Ok(Record { entry: Entry::Performed { plan, .. }, .. }) if *plan <= gone);
        let untold = places.iter().rposition(is_untold);
        let told = places.split_off(untold.map_or(0, |last| last + 1));
        self.translate_all(told).await
    }

    async fn translate_all(&mut self, places: Vec<Place>) -> Result<Vec<LogEntry>, LedgerError> {
        let mut entries = Vec::new();
        for Place { revision, record } in places {
            match record {
                Ok(record) => self.translate(revision, record, &mut entries).await?,
                // The same on every worker, so that their chains stay equal.
                Err(reason) => {
                    tracing::error!(%revision, reason, "undecodable record in the ledger, passed over");
                }
            }
        }
        Ok(entries)
    }

    async fn translate(
        &mut self,
        revision: Revision,
        record: Record,
        entries: &mut Vec<LogEntry>,
    ) -> Result<(), LedgerError> {
        let group = record.group;
        match record.entry {
            Entry::Planned(plan) => {
                entries.push(LogEntry::Planned {
                    group,
                    plan: summary(revision, &plan),
                });
                self.open_plans.begin(revision, plan);
            }
            Entry::Performed { plan, performance } => {
                let record = called(revision, &group, &performance.calls, entries);
                if let Some(open) = self.open_plans.end(self.ledger, plan).await? {
                    entries.extend(
                        open.outcomes(&performance)
                            .map(|outcome| LogEntry::Settled {
                                group: group.clone(),
                                plan: Some(plan),
                                record,
                                outcome,
                            }),
                    );
                }
            }
            Entry::Abandoned { plan, reason } => {
                self.open_plans.abandon(plan);
                entries.push(LogEntry::Abandoned {
                    group,
                    plan,
                    reason,
                });
            }
            Entry::Managed(call) => entries.push(LogEntry::Managed { revision, call }),
            Entry::NotDone {
                project,
                call,
                reason,
                at,
            } => entries.push(LogEntry::NotDone {
                project,
                call,
                reason,
                at,
            }),
            Entry::Signed(head) => entries.push(LogEntry::Signed { head }),
            // It stands first in the logs that begin there, and is no news to others.
            Entry::Began { .. } => {}
            Entry::Settled {
                outcomes,
                at,
                calls,
            } => {
                let record = called(revision, &group, &calls, entries);
                entries.extend(outcomes.iter().map(|draft| LogEntry::Settled {
                    group: group.clone(),
                    plan: None,
                    record,
                    outcome: draft.settle(0, at),
                }));
            }
        }
        Ok(())
    }
}

/// Adds what was called for the record at `revision`, where there is something. Older records have nothing, so that
/// their entries are the same as ever.
fn called(
    revision: Revision,
    group: &GroupKey,
    calls: &Calls,
    entries: &mut Vec<LogEntry>,
) -> Option<Revision> {
    if calls.is_empty() {
        return None;
    }
    entries.push(LogEntry::Called {
        group: group.clone(),
        record: revision,
        calls: calls.clone(),
    });
    Some(revision)
}

fn summary(revision: Revision, plan: &Plan) -> PlanSummary {
    PlanSummary {
        revision,
        action: plan.action.clone(),
        triggers: plan.drafts.len(),
        decided_at: plan.decided_at,
        drift: plan.drift,
        calls: plan.calls.clone(),
    }
}
