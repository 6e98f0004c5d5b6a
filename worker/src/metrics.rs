//! What a worker measures.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use stormhook_shared::domain::ledger::{Draft, Entry, OpenPlan};
use stormhook_shared::domain::outcome::{Status, Verdict};
use stormhook_shared::domain::time::Timestamp;

/// What a worker measures.
#[derive(Clone)]
pub struct WorkerMetrics {
    pub(crate) partitions: Gauge,
    pub(crate) ledger_conflicts: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) outcome_log_entries: Gauge,
    pub(crate) outcome_log_contradictions: Counter,
    plans: Counter,
    settled: Family<StatusLabel, Counter>,
    settle_seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: String,
}

/// What one entry of the ledger adds to what is measured.
#[derive(Default)]
pub(crate) struct Sample {
    is_plan: bool,
    settled: BTreeMap<Status, u64>,
    waited: Vec<Duration>,
}

impl WorkerMetrics {
    /// Registers what is measured.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            partitions: Gauge::default(),
            ledger_conflicts: Counter::default(),
            undecodable: Counter::default(),
            outcome_log_entries: Gauge::default(),
            outcome_log_contradictions: Counter::default(),
            plans: Counter::default(),
            settled: Family::default(),
            settle_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 20)),
        };
        for status in Status::ALL {
            // So that each is told from the start.
            let _ = metrics.settled.get_or_create(&label(status));
        }
        registry.register(
            "stormhook_partitions_owned",
            "Partitions of the trigger log that this worker works on",
            metrics.partitions.clone(),
        );
        registry.register(
            "stormhook_ledger_conflicts",
            "Appends that found another worker's record in the group's ledger",
            metrics.ledger_conflicts.clone(),
        );
        registry.register(
            "stormhook_triggers_undecodable",
            "Entries of the trigger log that could not be read and were recorded as failed",
            metrics.undecodable.clone(),
        );
        registry.register(
            "stormhook_outcome_log_entries",
            "Entries of this worker's outcome log",
            metrics.outcome_log_entries.clone(),
        );
        registry.register(
            "stormhook_outcome_log_contradictions",
            "Recorded signed heads that are not of this worker's outcome log",
            metrics.outcome_log_contradictions.clone(),
        );
        registry.register(
            "stormhook_plans",
            "Actions that were planned, each for one or more triggers",
            metrics.plans.clone(),
        );
        registry.register(
            "stormhook_triggers_settled",
            "Triggers that got their outcome, by its status",
            metrics.settled.clone(),
        );
        registry.register(
            "stormhook_settle_seconds",
            "How long triggers waited from their acceptance to their outcome",
            metrics.settle_seconds.clone(),
        );
        metrics
    }

    /// Counts what a stored entry brought.
    pub(crate) fn count(&self, sample: Sample) {
        if sample.is_plan {
            self.plans.inc();
        }
        for (status, count) in sample.settled {
            self.settled.get_or_create(&label(status)).inc_by(count);
        }
        for waited in sample.waited {
            self.settle_seconds.observe(waited.as_secs_f64());
        }
    }
}

impl Sample {
    /// What `entry` brings once it is stored, by which `open` comes to its end, if it does.
    pub(crate) fn of(entry: &Entry, open: Option<&OpenPlan>) -> Self {
        let mut sample = Self::default();
        match (entry, open) {
            (Entry::Planned(_), _) => sample.is_plan = true,
            (Entry::Settled { outcomes, at, .. }, _) => {
                for draft in outcomes {
                    sample.add(draft, &draft.verdict, *at);
                }
            }
            (Entry::Performed { performance, .. }, Some(open)) => {
                for (draft, verdict) in open.plan.verdicts(performance) {
                    sample.add(draft, verdict, performance.at);
                }
            }
            (Entry::Performed { .. }, None) | (Entry::Abandoned { .. }, _) => {}
            // Others append these; a group's executor does not.
            (
                Entry::Managed(_) | Entry::NotDone { .. } | Entry::Signed(_) | Entry::Began { .. },
                _,
            ) => {}
        }
        sample
    }

    fn add(&mut self, draft: &Draft, verdict: &Verdict, at: Timestamp) {
        *self.settled.entry(verdict.code.status()).or_default() += 1;
        self.waited.push(at.since(draft.trigger.accepted_at));
    }
}

fn label(status: Status) -> StatusLabel {
    StatusLabel {
        status: status.to_string(),
    }
}
