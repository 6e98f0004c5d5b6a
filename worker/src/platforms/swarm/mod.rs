//! Docker Swarm, through the API of an engine that manages it. What maps to what stands in docs/platforms/swarm.md;
//! facts about the API that are not plain from the code stand beside the code that depends on them.

mod answer;
mod connection;
mod image;
mod inspected;
mod node;
mod registries;
mod scale_nodes;
mod service;
mod tasks;
mod tls;
mod upgrade;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use stormhook_shared::configuration::SwarmConfiguration;
use stormhook_shared::decide::Seen;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::kind::{self, Kind, ScaleService};
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::ports::platform::{
    Forwarded, Need, Notes, Platform, PlatformError, Step, Target, TargetKind, Unusable,
};

use super::labels;
use connection::Connection;
pub use connection::SwarmError;
use inspected::Inspected;
use registries::Registries;
use scale_nodes::Nodes;
use service::Version;
use upgrade::Upgrade;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const NO_PROXY: &str = "Docker Swarm has no proxy to services, so no request can be passed on: \
                        let callers use the service's published port";

/// A swarm.
pub struct Swarm {
    connection: Connection,
    registries: Registries,
    inspected: Inspected,
}

impl Swarm {
    /// A connection to a swarm. Nothing is called yet.
    /// `change_timeout`: how long a call may take that changes something, if that is to be less than usual.
    pub fn new(
        options: &SwarmConfiguration,
        change_timeout: Option<Duration>,
    ) -> Result<Self, SwarmError> {
        let change_timeout = change_timeout.map_or(CALL_TIMEOUT, |most| most.min(CALL_TIMEOUT));
        let registries = Registries::new(options.registry_config_file.clone());
        if let Some((path, reason)) = registries.problem() {
            return Err(SwarmError::File {
                what: "the registries' credentials",
                path: path.display().to_string(),
                reason,
            });
        }
        Ok(Self {
            connection: Connection::new(options, CALL_TIMEOUT, change_timeout)?,
            registries,
            inspected: Inspected::default(),
        })
    }

    /// The service with this name or id; `None` where there is none.
    async fn service(&self, id: &str) -> Result<Option<Value>, PlatformError> {
        let found = self.connection.get(&["services", id]).await?;
        // An id like `..` leads to something else.
        Ok(found.filter(|found| found["Spec"]["Name"].is_string()))
    }

    /// The specification at `version`, which was read a moment ago; nobody's later one.
    async fn spec(
        &self,
        id: &str,
        version: Option<Version>,
    ) -> Result<(u64, Value), PlatformError> {
        if let Some(version) = version
            && let Some(spec) = self.inspected.take(id, version)
        {
            return Ok((version.index, spec));
        }
        let Some(mut found) = self.service(id).await? else {
            let message = format!("there is no service {id}");
            return Err(PlatformError::Refused { message });
        };
        let read = Version::of(&found);
        match version {
            Some(version) if version != read => Err(PlatformError::Transient {
                message: format!("service {id} was changed since it was looked at"),
                retry_after: None,
                is_untouched: true,
                is_down: false,
            }),
            _ => Ok((read.index, found["Spec"].take())),
        }
    }

    async fn check_service(
        &self,
        config: &ScaleService,
    ) -> Result<Result<Kind, Unusable>, PlatformError> {
        let id = &config.service_id;
        let unusable = |message| Ok(Err(Unusable::new("serviceId", message)));
        let Some(found) = self.service(id).await? else {
            return unusable(format!("there is no service {id}"));
        };
        let name = service::name(&found);
        match service::unscalable(&found["Spec"], name) {
            Some(reason) => unusable(reason),
            None => Ok(Ok(Kind::ScaleService(ScaleService {
                service_id: name.to_owned(),
                ..config.clone()
            }))),
        }
    }
}

#[async_trait]
impl Platform for Swarm {
    async fn probe(&self) -> Result<String, PlatformError> {
        let place = self.connection.place();
        let info = self.connection.get(&["info"]).await?.unwrap_or_default();
        let swarm = &info["Swarm"];
        if swarm["ControlAvailable"] != true {
            let message = format!(
                "the engine at {place} manages no swarm: run `docker swarm init` there, or name a manager"
            );
            return Err(PlatformError::Refused { message });
        }
        let version = info["ServerVersion"].as_str().unwrap_or("?");
        let nodes = swarm["Nodes"].as_u64().unwrap_or(0);
        Ok(format!(
            "Docker {version} at {place}, which manages a swarm of {nodes} nodes"
        ))
    }

    async fn observe(&self, group: &GroupKey, _: Need) -> Result<Seen, PlatformError> {
        match group.target() {
            Some(kind::Target::Service(id)) => {
                let found = self.service(&id).await?;
                if let Some(found) = &found {
                    self.inspected.keep(&id, found);
                }
                Ok(service::see(&id, found.as_ref()))
            }
            Some(kind::Target::Hosts(selector)) => {
                let all = self.connection.list("nodes", &[]).await?;
                Ok(Seen::Hosts(node::see(&selector, &all)))
            }
            Some(kind::Target::Services(selector)) => {
                let all = self.connection.list("services", &[]).await?;
                Ok(Seen::Services(service::matching(&selector, &all)))
            }
            Some(kind::Target::Endpoint { .. }) => Ok(Seen::Unsupported {
                reason: NO_PROXY.to_owned(),
            }),
            None => Ok(Seen::Unsupported {
                reason: format!("group {group} is of a kind that is not known here"),
            }),
        }
    }

    async fn scale_service(
        &self,
        service_id: &str,
        to: u32,
        version: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        let version = version.and_then(|version| version.parse().ok());
        let (index, spec) = self.spec(service_id, version).await?;
        if let Some(message) = service::unscalable(&spec, service_id) {
            return Err(PlatformError::Refused { message });
        }
        notes.permit(self.call_timeout())?;
        self.connection
            .update(
                &["services", service_id],
                index,
                &service::scaled(spec, to),
                None,
            )
            .await
    }

    async fn pursue(&self, action: &Action, notes: &mut Notes) -> Result<Step, PlatformError> {
        match action {
            Action::ScaleHosts {
                remove,
                activate,
                drain,
                ..
            } => {
                let nodes = Nodes {
                    activate,
                    drain,
                    remove,
                };
                scale_nodes::step(&self.connection, &nodes, notes).await
            }
            Action::UpgradeService {
                service_id,
                name,
                version,
                push,
                containers,
                batch_size,
                interval_millis,
                start_first,
                on_failure,
                monitor_millis,
            } => {
                let upgrade = Upgrade {
                    service_id,
                    name,
                    version: version.as_ref().and_then(|version| version.parse().ok()),
                    push,
                    containers,
                    batch_size: *batch_size,
                    interval_millis: *interval_millis,
                    start_first: *start_first,
                    on_failure: *on_failure,
                    monitor_millis: *monitor_millis,
                };
                upgrade::step(&self.connection, &self.registries, &upgrade, notes).await
            }
            Action::ScaleService { .. }
            | Action::UpgradeServices { .. }
            | Action::Forward { .. } => Ok(Step::Failed {
                code: Code::Unsupported,
                message: "this action is not pursued in steps".to_owned(),
            }),
        }
    }

    async fn forward(&self, _: &Forwarded<'_>, _: &mut Notes) -> Result<(), PlatformError> {
        Err(PlatformError::Refused {
            message: NO_PROXY.to_owned(),
        })
    }

    async fn check(&self, kind: &Kind) -> Result<Result<Kind, Unusable>, PlatformError> {
        match kind {
            Kind::ScaleService(config) if config.override_autoscaler => {
                let message = "nothing but its users scales a service of a swarm: \
                               leave overrideAutoscaler out";
                Ok(Err(Unusable::new("overrideAutoscaler", message)))
            }
            Kind::ScaleService(config) => self.check_service(config).await,
            Kind::ForwardPost(_) => Ok(Err(Unusable::new("driver", NO_PROXY))),
            Kind::ScaleHost(config) if config.remove && config.include_managers => {
                let message = "managers are drained, but never removed: \
                               leave remove or includeManagers out";
                Ok(Err(Unusable::new("remove", message)))
            }
            // What carries the labels is looked for when a trigger comes, and need not be there before.
            Kind::ScaleHost(_) | Kind::ServiceUpgrade(_) => Ok(Ok(kind.clone())),
        }
    }

    async fn targets(&self, of: TargetKind) -> Result<Vec<Target>, PlatformError> {
        let path = match of {
            TargetKind::Service | TargetKind::ServiceLabel => "services",
            TargetKind::HostLabel => "nodes",
        };
        let all = self.connection.list(path, &[]).await?;
        let labels = labels::count(all.iter().map(|one| &one["Spec"]["Labels"]));
        let labels = labels
            .into_iter()
            .filter(|((key, _), _)| key != node::DRAINED_AT);
        Ok(match of {
            TargetKind::Service => all.iter().filter_map(service::target).collect(),
            TargetKind::HostLabel => labels
                .map(|((key, value), count)| Target::HostLabel { key, value, count })
                .collect(),
            TargetKind::ServiceLabel => labels
                .map(|((key, value), count)| Target::ServiceLabel { key, value, count })
                .collect(),
        })
    }

    fn call_timeout(&self) -> Duration {
        self.connection.change_timeout()
    }
}
