//! What makes the sandbox slow, faulty or dead on purpose.

use serde::{Deserialize, Serialize};

/// The knobs. Rates are between 0 and 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Knobs {
    /// How long each Cattle call takes at least.
    pub(crate) latency_ms: u64,
    /// The share of Cattle calls that fail before they have an effect.
    pub(crate) error_rate: f64,
    /// The share of changing Cattle calls that take effect, but are answered with an error.
    pub(crate) error_after_rate: f64,
    /// Every Cattle call fails.
    pub(crate) outage: bool,
    /// What failing calls say in `Retry-After`.
    pub(crate) retry_after_seconds: Option<u64>,
    /// How long states like `upgrading` last.
    pub(crate) settle_ms: u64,
    /// The share of `PUT`s that take effect, but are answered with a conflict.
    pub(crate) conflict_rate: f64,
    /// The names of new hosts whose machines cannot be made.
    pub(crate) failing_hosts: Vec<String>,
    /// Upgrades do not end, as if new containers stayed unhealthy.
    pub(crate) stuck_upgrades: bool,
    /// What links begin with, as behind a misconfigured proxy.
    pub(crate) links_at: Option<String>,
    /// Whether changes are told to subscribers; if not, nobody can subscribe.
    pub(crate) events: bool,
    /// How long changes are gathered before they are told.
    pub(crate) event_ms: u64,
    /// What services answer to requests that are passed on to them.
    pub(crate) forward_status: u16,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            error_rate: 0.0,
            error_after_rate: 0.0,
            outage: false,
            retry_after_seconds: None,
            settle_ms: 50,
            conflict_rate: 0.0,
            failing_hosts: Vec::new(),
            stuck_upgrades: false,
            links_at: None,
            events: true,
            event_ms: 100,
            forward_status: 200,
        }
    }
}

impl Knobs {
    /// The sentence that says which knob is out of range.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if !(0.0..=1.0).contains(&self.error_rate) {
            return Some("errorRate must be between 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.error_after_rate) {
            return Some("errorAfterRate must be between 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.conflict_rate) {
            return Some("conflictRate must be between 0 and 1");
        }
        if !(200..=599).contains(&self.forward_status) {
            return Some("forwardStatus must be between 200 and 599");
        }
        if !(1..=60_000).contains(&self.event_ms) {
            return Some("eventMs must be between 1 and 60000");
        }
        if self.latency_ms > 600_000 || self.settle_ms > 3_600_000 {
            return Some("latencyMs may be 600000 at most, settleMs 3600000");
        }
        None
    }
}
