//! Rancher 1.6's Cattle API, v2-beta: services. Facts about it that are not plain from the code stand beside the
//! code that depends on them.

mod answer;
mod connection;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stormhook_shared::configuration::RancherConfiguration;
use stormhook_shared::decide::Seen;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::domain::receiver::Kind;
use stormhook_shared::ports::platform::{Platform, PlatformError, Target, TargetKind, Unusable};

use connection::Connection;
pub use connection::RancherError;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One environment of a Cattle server.
pub struct Rancher {
    connection: Connection,
}

impl Rancher {
    /// A connection to the environment `project`. Nothing is called yet.
    pub fn new(project: &ProjectId, options: &RancherConfiguration) -> Result<Self, RancherError> {
        Ok(Self {
            connection: Connection::new(project, options, CALL_TIMEOUT)?,
        })
    }

    /// The service as the API shows it; `None` where there is none with this id.
    async fn service(&self, id: &str) -> Result<Option<Value>, PlatformError> {
        self.connection.get(&["services", id]).await
    }
}

#[async_trait]
impl Platform for Rancher {
    async fn observe(&self, group: &GroupKey) -> Result<Seen, PlatformError> {
        let Some(id) = service::id_in(group) else {
            return Ok(Seen::Unsupported {
                reason: format!("group {group} is no service"),
            });
        };
        let found = self.service(id).await?;
        service::see(id, found.as_ref())
    }

    async fn perform(&self, action: &Action) -> Result<(), PlatformError> {
        let Action::ScaleService { service_id, to, .. } = action;
        // Nothing but the scale: Cattle ignores what cannot be changed, but stores everything else it is sent.
        self.connection
            .put(&["services", service_id], &json!({"scale": to}))
            .await
            .map(|_| ())
    }

    async fn check(&self, kind: &Kind) -> Result<Result<(), Unusable>, PlatformError> {
        let Kind::ScaleService(config) = kind;
        let found = self.service(&config.service_id).await?;
        Ok(
            match service::kind_of_problem(&config.service_id, found.as_ref()) {
                None => Ok(()),
                Some(problem) => Err(Unusable {
                    field: "serviceId".to_owned(),
                    message: problem.into_sentence(),
                }),
            },
        )
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
                let labels = service::count_labels(hosts.iter().map(|host| &host["labels"]));
                Ok(labels
                    .into_iter()
                    .map(|((key, value), count)| Target::HostLabel { key, value, count })
                    .collect())
            }
            TargetKind::ServiceLabel => {
                let services = self.connection.list("services").await?;
                let labels = services
                    .iter()
                    .map(|service| &service["launchConfig"]["labels"]);
                Ok(service::count_labels(labels)
                    .into_iter()
                    .map(|((key, value), count)| Target::ServiceLabel { key, value, count })
                    .collect())
            }
        }
    }

    fn call_timeout(&self) -> Duration {
        CALL_TIMEOUT
    }
}
