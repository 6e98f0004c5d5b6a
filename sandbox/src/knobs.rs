//! What makes the sandbox slow, faulty or dead on purpose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The knobs. Rates are between 0 and 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Knobs {
    /// How long each Cattle call takes at least, and each request to a service, before it has an effect.
    pub(crate) latency_ms: u64,
    /// For how long the answers to changing Cattle calls are held back after their effect.
    pub(crate) answer_late_ms: u64,
    /// What the next calls are answered with instead of what they would be.
    pub(crate) fault: Option<Fault>,
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
    /// The domain that new hosts' agents find themselves in: they tell their hostnames with it.
    pub(crate) agent_domain: Option<String>,
    /// Upgrades do not end, as if new containers stayed unhealthy.
    pub(crate) stuck_upgrades: bool,
    /// Where evacuations end.
    pub(crate) evacuations_end: EvacuationEnd,
    /// What links begin with, as behind a misconfigured proxy.
    pub(crate) links_at: Option<String>,
    /// The API is below `/rancher` and nowhere else, as behind a proxy that leads to other things, too.
    pub(crate) prefixed: bool,
    /// Whoever takes anything is shown a web page, not only browsers.
    pub(crate) pages_for_all: bool,
    /// By how many rows each page of a list but the first begins too early, as if rows had come before it meanwhile; below 0
    /// too late, as if some had gone.
    pub(crate) page_shift: i32,
    /// Whether changes are told to subscribers; if not, nobody can subscribe.
    pub(crate) events: bool,
    /// How long changes are gathered before they are told.
    pub(crate) event_ms: u64,
    /// What services answer to requests that are passed on to them.
    pub(crate) forward_status: u16,
    /// How long services take to answer to requests that have arrived, by their names.
    pub(crate) slow_services: BTreeMap<String, u64>,
}

/// In which state a host is left by its evacuation.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum EvacuationEnd {
    /// Its containers cannot be stopped: it goes on without end.
    Deactivating,
    /// Something else keeps the host from being removed: Cattle gives up without a word.
    Inactive,
    #[default]
    Removed,
    /// It is purged at once. Cattle tells nobody of that.
    Purged,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            answer_late_ms: 0,
            fault: None,
            error_rate: 0.0,
            error_after_rate: 0.0,
            outage: false,
            retry_after_seconds: None,
            settle_ms: 50,
            conflict_rate: 0.0,
            failing_hosts: Vec::new(),
            agent_domain: None,
            stuck_upgrades: false,
            evacuations_end: EvacuationEnd::default(),
            links_at: None,
            prefixed: false,
            pages_for_all: false,
            page_shift: 0,
            events: true,
            event_ms: 100,
            forward_status: 200,
            slow_services: BTreeMap::new(),
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
        let mut slow = self.slow_services.values().chain([&self.answer_late_ms]);
        if slow.any(|millis| *millis > 600_000) {
            return Some("answerLateMs and each of slowServices may be 600000 at most");
        }
        self.fault.as_ref().and_then(Fault::problem)
    }
}
