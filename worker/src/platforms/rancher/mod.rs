//! Rancher 1.6's Cattle API, v2-beta. Facts about it that are not plain from the code stand beside the code that
//! depends on them.

mod answer;
mod connection;
mod host;
mod news;
mod old_hooks;
mod rows;
mod scale_hosts;
mod service;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stormhook_shared::configuration::RancherConfiguration;
use stormhook_shared::decide::Seen;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::kind::{self, Kind, OnFailure};
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::ports::platform::{
    Forwarded, Need, News, Notes, Platform, PlatformError, Step, Target, TargetKind, Unusable,
};
use tokio::sync::Semaphore;

use super::labels;
use connection::Connection;
pub use connection::RancherError;
use news::Feed;
pub use old_hooks::OldHook;
use upgrade::Upgrade;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One environment of a Cattle server.
pub struct Rancher {
    project: ProjectId,
    connection: Arc<Connection>,
    feed: Feed,
    /// One step at a time that gives out names for hosts.
    adding_hosts: Semaphore,
}

impl Rancher {
    /// A connection to the environment `project`. Nothing is called yet.
    /// `change_timeout`: how long a call may take that changes something, if that is to be less than usual.
    pub fn new(
        project: &ProjectId,
        options: &RancherConfiguration,
        change_timeout: Option<Duration>,
    ) -> Result<Self, RancherError> {
        let change_timeout = change_timeout.map_or(CALL_TIMEOUT, |most| most.min(CALL_TIMEOUT));
        let connection = Connection::new(project, options, CALL_TIMEOUT, change_timeout)?;
        let connection = Arc::new(connection);
        Ok(Self {
            project: project.clone(),
            feed: Feed::new(Arc::clone(&connection)),
            connection,
            adding_hosts: Semaphore::new(1),
        })
    }

    /// The receiver hooks that Rancher's own service keeps in this environment.
    pub async fn old_hooks(&self) -> Result<Vec<OldHook>, PlatformError> {
        let objects = self.connection.list("genericObjects").await?;
        Ok(old_hooks::among(&objects))
    }

    /// The service as the API shows it; `None` where there is none with this id.
    async fn service(&self, id: &str) -> Result<Option<Value>, PlatformError> {
        self.connection.get(&["services", id]).await
    }
}

#[async_trait]
impl Platform for Rancher {
    async fn probe(&self) -> Result<String, PlatformError> {
        self.connection.greet().await
    }

    async fn observe(&self, group: &GroupKey, _need: Need) -> Result<Seen, PlatformError> {
        match group.target() {
            Some(kind::Target::Service(id)) => {
                let found = self.service(&id).await?;
                service::see(&id, found.as_ref())
            }
            Some(kind::Target::Hosts(selector)) => {
                let all = self.connection.list("hosts").await?;
                Ok(Seen::Hosts(host::see(&selector, &all)))
            }
            Some(kind::Target::Services(selector)) => {
                let all = self.connection.list("services").await?;
                Ok(Seen::Services(service::matching(&selector, &all)))
            }
            Some(kind::Target::Endpoint { .. }) => Ok(Seen::Endpoint),
            None => Ok(Seen::Unsupported {
                reason: format!("group {group} is of a kind that is not known here"),
            }),
        }
    }

    async fn scale_service(
        &self,
        service_id: &str,
        to: u32,
        _version: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        notes.permit(self.call_timeout())?;
        // Nothing but the scale: Cattle ignores what cannot be changed, but stores everything else it is sent.
        self.connection
            .put(&["services", service_id], &json!({"scale": to}))
            .await
            .map(|_| ())
    }

    async fn pursue(&self, action: &Action, notes: &mut Notes) -> Result<Step, PlatformError> {
        match action {
            Action::ScaleHosts { create, remove, .. } => {
                let adding = &self.adding_hosts;
                scale_hosts::step(&self.connection, adding, create, remove, notes).await
            }
            Action::UpgradeService {
                service_id,
                name,
                push,
                containers,
                batch_size,
                interval_millis,
                start_first,
                ..
            } => {
                let upgrade = Upgrade {
                    service_id,
                    name,
                    push,
                    containers,
                    batch_size: *batch_size,
                    interval_millis: *interval_millis,
                    start_first: *start_first,
                };
                upgrade::step(&self.connection, &upgrade, notes).await
            }
            Action::ScaleService { .. }
            | Action::UpgradeServices { .. }
            | Action::Forward { .. } => Ok(Step::Failed {
                code: Code::Unsupported,
                message: "this action is not pursued in steps".to_owned(),
            }),
        }
    }

    async fn forward(
        &self,
        request: &Forwarded<'_>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        // It only has to be sent under the lease: whoever takes the group over does not send it again
        // (docs/decisions/014), so that the service may take longer to answer.
        notes.permit(self.call_timeout())?;
        self.connection.forward(request).await
    }

    async fn check(&self, kind: &Kind) -> Result<Result<Kind, Unusable>, PlatformError> {
        let unusable = |field: &str, message: String| Ok(Err(Unusable::new(field, message)));
        if let Some(option) = foreign_option(kind) {
            return Ok(Err(option));
        }
        match kind {
            Kind::ScaleService(config) => {
                let found = self.service(&config.service_id).await?;
                match service::problem(&config.service_id, found.as_ref()) {
                    None => Ok(Ok(kind.clone())),
                    Some(message) => unusable("serviceId", message),
                }
            }
            Kind::ForwardPost(config) if config.project_id != self.project => unusable(
                "projectId",
                format!(
                    "requests can be passed on within project {} only, not to {}",
                    self.project, config.project_id
                ),
            ),
            // What carries the labels is looked for when a trigger comes, and need not be there before.
            Kind::ScaleHost(_) | Kind::ServiceUpgrade(_) | Kind::ForwardPost(_) => {
                Ok(Ok(kind.clone()))
            }
        }
    }

    async fn targets(&self, of: TargetKind) -> Result<Vec<Target>, PlatformError> {
        match of {
            TargetKind::Service => {
                let stacks = self.connection.list("stacks").await?;
                let name = |stack: &Value| {
                    Some((
                        stack["id"].as_str()?.to_owned(),
                        stack["name"].as_str()?.to_owned(),
                    ))
                };
                let stacks: BTreeMap<_, _> = stacks.iter().filter_map(name).collect();
                let services = self.connection.list("services").await?;
                Ok(services
                    .iter()
                    .filter_map(|service| service::target(service, &stacks))
                    .collect())
            }
            TargetKind::HostLabel => {
                let hosts = self.connection.list("hosts").await?;
                let labels = hosts.iter().filter(|host| host::counts(host));
                Ok(labels::count(labels.map(|host| &host["labels"]))
                    .into_iter()
                    .map(|((key, value), count)| Target::HostLabel { key, value, count })
                    .collect())
            }
            TargetKind::ServiceLabel => {
                let services = self.connection.list("services").await?;
                let configs = services.iter().flat_map(service::configs);
                Ok(labels::count(configs.map(|config| &config["labels"]))
                    .into_iter()
                    .map(|((key, value), count)| Target::ServiceLabel { key, value, count })
                    .collect())
            }
        }
    }

    fn call_timeout(&self) -> Duration {
        self.connection.change_timeout()
    }

    fn news(&self, action: &Action) -> Option<Box<dyn News>> {
        self.feed.news(action)
    }
}

/// What a receiver asks for that other platforms have, and Cattle does not.
fn foreign_option(kind: &Kind) -> Option<Unusable> {
    match kind {
        Kind::ScaleService(config) if config.override_autoscaler => Some(Unusable::new(
            "overrideAutoscaler",
            "Rancher has no autoscalers to override: leave overrideAutoscaler out",
        )),
        Kind::ScaleHost(config) if config.remove => Some(Unusable::new(
            "remove",
            "Rancher always removes the hosts that go: leave remove out",
        )),
        Kind::ScaleHost(config) if config.include_managers => Some(Unusable::new(
            "includeManagers",
            "none of Rancher's hosts manages it: leave includeManagers out",
        )),
        Kind::ServiceUpgrade(config) if config.on_failure != OnFailure::Pause => {
            Some(Unusable::new(
                "onFailure",
                "Rancher leaves an upgrade that fails as it is: onFailure can only be pause",
            ))
        }
        Kind::ServiceUpgrade(config) if config.monitor.is_some() => Some(Unusable::new(
            "monitorSeconds",
            "Rancher cannot be told how long to watch new containers: leave monitorSeconds out",
        )),
        _ => None,
    }
}
