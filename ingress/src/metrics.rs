//! What an ingress measures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What an ingress measures.
#[derive(Clone)]
pub struct IngressMetrics {
    pub(crate) accepted: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) refused: Family<Reason, Counter>,
    pub(crate) append_seconds: Histogram,
    pub(crate) slow_viewers: Counter,
}

/// Why a trigger was refused: the code of its error.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
}

impl IngressMetrics {
    /// Registers what is measured.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            accepted: Counter::default(),
            duplicates: Counter::default(),
            refused: Family::default(),
            append_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
            slow_viewers: Counter::default(),
        };
        registry.register(
            "stormhook_triggers_accepted",
            "Triggers appended to the log",
            metrics.accepted.clone(),
        );
        registry.register(
            "stormhook_triggers_duplicate",
            "Requests whose idempotency key had been used before",
            metrics.duplicates.clone(),
        );
        registry.register(
            "stormhook_triggers_refused",
            "Requests to trigger URLs that were answered with an error",
            metrics.refused.clone(),
        );
        registry.register(
            "stormhook_append_seconds",
            "How long the log took to acknowledge a trigger",
            metrics.append_seconds.clone(),
        );
        registry.register(
            "stormhook_slow_viewers",
            "Viewers of the live feed that did not keep up and were told to begin anew",
            metrics.slow_viewers.clone(),
        );
        metrics
    }
}
