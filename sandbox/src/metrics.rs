//! What the sandbox tells Prometheus: the scale and the load of its services, and the calls that it got.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;
use std::sync::atomic::AtomicU64;

#[derive(Default)]
pub(crate) struct Metrics {
    calls: Family<Call, Counter>,
    /// Who listens for changes.
    pub(crate) subscribers: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Service {
    id: String,
    name: String,
}

type Gauges = Family<Service, Gauge<f64, AtomicU64>>;

impl Metrics {
    pub(crate) fn count(&self, method: &str, status: u16) {
        let method = method.to_owned();
        self.calls.get_or_create(&Call { method, status }).inc();
    }

    /// The metrics' text, with the gauges of `services` as they are now.
    pub(crate) fn text<'a>(
        &self,
        services: impl Iterator<Item = &'a Value>,
    ) -> Result<String, std::fmt::Error> {
        let (scales, demands, loads) = (Gauges::default(), Gauges::default(), Gauges::default());
        for service in services.filter(|service| service["removed"].is_null()) {
            let text = |field: &str| service[field].as_str().unwrap_or_default().to_owned();
            let labels = Service {
                id: text("id"),
                name: text("name"),
            };
            let scale = service["scale"].as_f64().unwrap_or(0.0);
            let demand = service["demand"].as_f64().unwrap_or(0.0);
            scales.get_or_create(&labels).set(scale);
            demands.get_or_create(&labels).set(demand);
            loads.get_or_create(&labels).set(demand / scale.max(1.0));
        }
        let mut registry = Registry::default();
        registry.register("sandbox_service_scale", "Desired scale", scales);
        registry.register(
            "sandbox_service_demand",
            "Work to be done, in containers",
            demands,
        );
        registry.register("sandbox_service_load", "Demand for each container", loads);
        registry.register("sandbox_calls", "Cattle calls", self.calls.clone());
        registry.register(
            "sandbox_subscribers",
            "Who listens for changes",
            self.subscribers.clone(),
        );
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}
