//! Tells how the platform connections are, as their calls show it: in metrics, and in `/readyz` as soon as the circuit
//! breaker leaves a platform alone or lets calls through again.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::platform::PlatformError;
use stormhook_shared::telemetry::Readiness;

/// Where all connections tell how they are.
#[derive(Clone)]
pub struct PlatformHealth {
    readiness: Arc<Readiness>,
    reachable: Family<Project, Gauge>,
    running: Family<Project, Gauge>,
    calls: Family<Call, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Project {
    project: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    project: String,
    result: &'static str,
}

impl PlatformHealth {
    /// Registers what is measured; `readiness`: where `/readyz` gets it from.
    pub fn register(registry: &mut Registry, readiness: Arc<Readiness>) -> Self {
        let health = Self {
            readiness,
            reachable: Family::default(),
            running: Family::default(),
            calls: Family::default(),
        };
        registry.register(
            "stormhook_platform_reachable",
            "1 while calls are made, 0 while the circuit breaker leaves the platform alone",
            health.reachable.clone(),
        );
        registry.register(
            "stormhook_platform_running",
            "Steps that are being taken on the platform just now",
            health.running.clone(),
        );
        registry.register(
            "stormhook_platform_steps",
            "Steps that were taken on the platform, by their result",
            health.calls.clone(),
        );
        health
    }

    /// Where the connection of `project` tells.
    pub(super) fn of(&self, project: &ProjectId) -> ConnectionHealth {
        let label = Project {
            project: project.to_string(),
        };
        let health = ConnectionHealth {
            project: project.clone(),
            reachable: self.reachable.get_or_create(&label).clone(),
            running: self.running.get_or_create(&label).clone(),
            of_all: self.clone(),
        };
        health.reachable.set(1);
        health
    }
}

/// Where one connection tells how it is.
pub(super) struct ConnectionHealth {
    project: ProjectId,
    reachable: Gauge,
    running: Gauge,
    of_all: PlatformHealth,
}

impl ConnectionHealth {
    /// Calls are made.
    pub(super) fn is_reachable(&self) {
        self.reachable.set(1);
        let readiness = &self.of_all.readiness;
        readiness.report_platform(&self.project, Ok(()));
    }

    /// The platform is left alone, after this error.
    pub(super) fn is_left_alone(&self, error: &PlatformError) {
        self.reachable.set(0);
        let why = format!("failed several times in a row and is left alone for a moment: {error}");
        let readiness = &self.of_all.readiness;
        readiness.report_platform(&self.project, Err(why));
    }

    /// A step begins; it is over when the guard is dropped.
    pub(super) fn begins(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// A step ended.
    pub(super) fn ended<T>(&self, result: &Result<T, PlatformError>) {
        let result = match result {
            Ok(_) => "fine",
            Err(PlatformError::Transient { .. }) => "transient",
            Err(PlatformError::LeaseEnds) => "leaseEnds",
            Err(PlatformError::DeadlineOver) => "deadlineOver",
            Err(PlatformError::Refused { .. }) => "refused",
        };
        let project = self.project.to_string();
        let call = Call { project, result };
        self.of_all.calls.get_or_create(&call).inc();
    }
}

/// A step that is being taken.
pub(super) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
