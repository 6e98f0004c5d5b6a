//! Kubernetes, and what runs on it: Cluster API and Rancher 2. Facts about them that are not plain from the code stand
//! beside the code that depends on them.

mod address;
pub(crate) mod answer;
mod autoscalers;
pub(crate) mod connection;
mod discovery;
mod image;
mod machine;
mod machine_pools;
mod rollout;
mod targets;
mod upgrade;
mod workload;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use stormhook_shared::configuration::KubernetesConfiguration;
use stormhook_shared::decide::{MatchedService, Seen};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::kind::{self, Kind, OnFailure};
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::ports::platform::{
    Forwarded, Need, Notes, Platform, PlatformError, Step, Target, TargetKind, Unusable,
};

use address::{Address, Resource, Workload};
use answer::{Failure, passing};
use autoscalers::Autoscalers;
use connection::Connection;
pub use connection::KubernetesError;
use discovery::{Discovery, Sort};
use machine_pools::Resize;
use upgrade::Upgrade;

/// One cluster, or some namespaces of it.
pub struct Kubernetes {
    project: ProjectId,
    connection: Connection,
    namespaces: Option<Vec<String>>,
    discovery: Discovery,
    autoscalers: Autoscalers,
}

impl Kubernetes {
    /// A connection to the API server. Nothing is called yet. `change_timeout`: how long a call may take that changes
    /// something, if that is to be less than usual.
    pub fn new(
        project: &ProjectId,
        options: &KubernetesConfiguration,
        change_timeout: Option<Duration>,
    ) -> Result<Self, KubernetesError> {
        Ok(Self {
            project: project.clone(),
            connection: Connection::new(options, change_timeout)?,
            namespaces: options.namespaces.clone(),
            discovery: Discovery::default(),
            autoscalers: Autoscalers::default(),
        })
    }

    /// The namespaces to look into; the one `None` means all at once.
    fn namespaces(&self) -> Vec<Option<&str>> {
        match &self.namespaces {
            None => vec![None],
            Some(namespaces) => namespaces.iter().map(|one| Some(one.as_str())).collect(),
        }
    }

    /// What an id names, if it is not outside of the project.
    fn address(&self, id: &str) -> Result<Address, String> {
        let address = Address::parse(id)?;
        self.permit(&address.namespace)?;
        Ok(address)
    }

    fn permit(&self, namespace: &str) -> Result<(), String> {
        match &self.namespaces {
            Some(namespaces) if !namespaces.iter().any(|one| one == namespace) => Err(format!(
                "the namespace {namespace} is not one of project {}: {}",
                self.project,
                namespaces.join(", ")
            )),
            _ => Ok(()),
        }
    }

    async fn sort(&self, group: &str, plural: &str) -> Result<Option<Sort>, PlatformError> {
        self.discovery.sort(&self.connection, group, plural).await
    }

    /// The path of what is named, with how to speak of its sort; or why it cannot be used.
    async fn locate(&self, address: &Address) -> Result<Result<Sort, String>, PlatformError> {
        let found = self.discovery.sort_of(&self.connection, address).await?;
        let problem = match &found {
            None => format!("the cluster knows no such sort of things as {address} names"),
            Some(sort) if !sort.has_scale => format!("{address} has no scale to be set"),
            Some(_) => String::new(),
        };
        Ok(found.filter(|_| problem.is_empty()).ok_or(problem))
    }

    async fn see_scale(&self, address: &Address) -> Result<Seen, PlatformError> {
        let sort = match self.locate(address).await? {
            Ok(sort) => sort,
            Err(reason) => return Ok(Seen::Unsupported { reason }),
        };
        let Address {
            namespace, name, ..
        } = address;
        let path = format!("{}/scale", sort.path_of(namespace, name));
        let scale = match self.connection.get(&path).await {
            Ok(scale) => scale,
            Err(Failure::NotFound(_)) => {
                self.discovery.forget(&sort);
                let reason = format!("there is no {address}");
                return Ok(Seen::Gone { reason });
            }
            Err(other) => return Err(other.into_error()),
        };
        let mut seen = workload::see_scale(address, &scale);
        if let Seen::Service(service) = &mut seen {
            let autoscalers = &self.autoscalers;
            let scaled_by = autoscalers.of(&self.connection, &sort, namespace, name);
            service.autoscaled = scaled_by.await?;
        }
        Ok(seen)
    }

    /// What it runs, and with `Need::Everything` also what a decision on its scale needs.
    async fn see_containers(&self, address: &Address, need: Need) -> Result<Seen, PlatformError> {
        let Resource::Apps(workload) = address.resource else {
            let reason = format!("{address} is of a sort that cannot be upgraded here");
            return Ok(Seen::Unsupported { reason });
        };
        let path = path_of(workload, address);
        let Some(object) = answer::optional(self.connection.get(&path).await)? else {
            let reason = format!("there is no {address}");
            return Ok(Seen::Gone { reason });
        };
        let mut seen = workload::see(address, &object);
        if let (Seen::Service(service), Need::Everything) = (&mut seen, need) {
            let sort = Sort::from(workload);
            if !sort.has_scale {
                service.unscalable = Some(format!("{address} has no scale to be set"));
            }
            let Address {
                namespace, name, ..
            } = address;
            let autoscalers = &self.autoscalers;
            let scaled_by = autoscalers.of(&self.connection, &sort, namespace, name);
            service.autoscaled = scaled_by.await?;
        }
        Ok(seen)
    }

    /// The workloads that carry the labels.
    async fn matching(&self, selector: &Selector) -> Result<Vec<MatchedService>, PlatformError> {
        let mut all = Vec::new();
        for workload in Workload::UPGRADABLE {
            for namespace in self.namespaces() {
                let path = Sort::from(workload).path(namespace);
                let keep = |one: &serde_json::Value| matched(workload, selector, one);
                let found = self.connection.list(&path, None, keep).await?;
                all.extend(found.unwrap_or_default());
            }
        }
        Ok(all)
    }

    /// Somebody else's change came first; says whose.
    async fn overtaken(&self, address: &Address, sort: &Sort, message: String) -> PlatformError {
        let path = sort.path_of(&address.namespace, &address.name);
        let by = match self.connection.get(&path).await {
            Ok(object) => workload::last_changed_by(&object).map(str::to_owned),
            Err(_) => None,
        };
        let by = by.map_or_else(String::new, |by| format!(" (last changed by {by})"));
        passing(format!("{message}{by}"), true)
    }

    async fn check_scale(
        &self,
        id: &str,
        overrides: bool,
    ) -> Result<Option<String>, PlatformError> {
        let address = match self.address(id) {
            Ok(address) => address,
            Err(reason) => return Ok(Some(reason)),
        };
        Ok(match self.see_scale(&address).await? {
            Seen::Service(service) => service
                .autoscaled
                .filter(|_| !overrides)
                .map(|why| format!("{why}; say overrideAutoscaler to do it all the same")),
            Seen::Gone { reason } | Seen::Unsupported { reason } => Some(reason),
            _ => None,
        })
    }

    /// The proxy's path to a service, or why there is none.
    fn proxy_path(&self, service: &str, port: u16, path: &str) -> Result<String, String> {
        let only = match self.namespaces.as_deref() {
            Some([only]) => Some(only.as_str()),
            _ => None,
        };
        let named = service.split_once('/').or_else(|| Some((only?, service)));
        let (namespace, name) = named
            .filter(|(namespace, name)| address::is_name(namespace) && address::is_name(name))
            .ok_or_else(|| format!("{service:?} names no service: write it like shop/web"))?;
        self.permit(namespace)?;
        Ok(format!(
            "/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy{path}"
        ))
    }
}

#[async_trait]
impl Platform for Kubernetes {
    async fn probe(&self) -> Result<String, PlatformError> {
        let told = self.connection.get("/version").await;
        let told = told.map_err(Failure::into_error)?;
        // Whoever is nobody may ask for the version, too.
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": "default"}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let reviewed = self.connection.post(path, &review).await;
        reviewed.map_err(Failure::into_error)?;
        let version = told["gitVersion"].as_str().unwrap_or("of some version");
        Ok(format!("Kubernetes {version}"))
    }

    async fn observe(&self, group: &GroupKey, need: Need) -> Result<Seen, PlatformError> {
        match group.target() {
            Some(kind::Target::Service(id)) => match (self.address(&id), need) {
                (Err(reason), _) => Ok(Seen::Unsupported { reason }),
                (Ok(address), Need::Scale) => self.see_scale(&address).await,
                (Ok(address), need) => self.see_containers(&address, need).await,
            },
            Some(kind::Target::Hosts(selector)) => self.see_machines(&selector).await,
            Some(kind::Target::Services(selector)) => {
                Ok(Seen::Services(self.matching(&selector).await?))
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
        version: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        let refused = |message| PlatformError::Refused { message };
        let address = self.address(service_id).map_err(refused)?;
        let sort = self.locate(&address).await?.map_err(refused)?;
        let path = sort.path_of(&address.namespace, &address.name);
        notes.permit(self.call_timeout())?;
        let scale = workload::scale(&address, to, version);
        match self.connection.put(&format!("{path}/scale"), &scale).await {
            Ok(_) => Ok(()),
            Err(Failure::Conflict(message)) => Err(self.overtaken(&address, &sort, message).await),
            Err(failure) => Err(failure.of_change()),
        }
    }

    async fn pursue(&self, action: &Action, notes: &mut Notes) -> Result<Step, PlatformError> {
        let unsupported = |message: String| {
            let code = Code::Unsupported;
            Ok(Step::Failed { code, message })
        };
        match action {
            Action::ScaleHosts {
                from,
                to,
                remove,
                pool: Some(pool),
                ..
            } => {
                let resize = Resize {
                    pool,
                    from: *from,
                    to: *to,
                    remove,
                };
                self.resize(&resize, notes).await
            }
            Action::UpgradeService {
                service_id,
                push,
                containers,
                batch_size,
                interval_millis,
                start_first,
                on_failure,
                ..
            } => {
                let address = match self.address(service_id) {
                    Ok(address) => address,
                    Err(reason) => return unsupported(reason),
                };
                let Resource::Apps(workload) = address.resource else {
                    return unsupported(format!("{address} cannot be upgraded here"));
                };
                let mark = notes.decided_at.to_string();
                let upgrade = Upgrade {
                    workload,
                    address: &address,
                    push,
                    containers,
                    batch_size: *batch_size,
                    interval_millis: *interval_millis,
                    start_first: *start_first,
                    on_failure: *on_failure,
                    mark: &mark,
                };
                let path = path_of(workload, &address);
                upgrade::step(&self.connection, &path, &upgrade, notes).await
            }
            _ => unsupported("this action is not pursued in steps on Kubernetes".to_owned()),
        }
    }

    async fn forward(
        &self,
        request: &Forwarded<'_>,
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        let path = self
            .proxy_path(request.service_name, request.port, request.path)
            .map_err(|message| PlatformError::Refused { message })?;
        notes.permit(self.call_timeout())?;
        self.connection
            .forward(&path, request.content_type, request.body)
            .await
    }

    async fn check(&self, kind: &Kind) -> Result<Result<Kind, Unusable>, PlatformError> {
        let problem = match kind {
            Kind::ScaleService(config) => self
                .check_scale(&config.service_id, config.override_autoscaler)
                .await?
                .map(|message| ("serviceId", message)),
            Kind::ForwardPost(config) if config.project_id != self.project => Some((
                "projectId",
                format!(
                    "requests can be passed on within project {} only, not to {}",
                    self.project, config.project_id
                ),
            )),
            Kind::ForwardPost(config) => self
                .proxy_path(&config.service_name, config.port.get(), "/")
                .err()
                .map(|message| ("serviceName", message)),
            Kind::ScaleHost(config) if config.remove => Some((
                "remove",
                "machines that go are always removed here: leave remove out".to_owned(),
            )),
            Kind::ServiceUpgrade(config) if config.monitor.is_some() => Some((
                "monitorSeconds",
                "a workload's own minReadySeconds (intervalMillis) and progressDeadlineSeconds say how long it is watched: leave monitorSeconds out".to_owned(),
            )),
            Kind::ScaleHost(_) => {
                let known = self.sort(machine::GROUP, "machinedeployments").await?;
                let message = "the cluster has no machine pools: neither Cluster API nor Rancher manages machines here";
                known.is_none().then(|| ("hostSelector", message.to_owned()))
            }
            // What carries the labels is looked for when a trigger comes, and need not be there before.
            Kind::ServiceUpgrade(config) if config.on_failure == OnFailure::Continue => Some((
                "onFailure",
                "Kubernetes goes on by itself: say pause or rollback".to_owned(),
            )),
            Kind::ServiceUpgrade(_) => None,
        };
        Ok(match problem {
            None => Ok(kind.clone()),
            Some((field, message)) => Err(Unusable {
                field: field.to_owned(),
                message,
            }),
        })
    }

    async fn targets(&self, of: TargetKind) -> Result<Vec<Target>, PlatformError> {
        self.choices(of).await
    }

    fn call_timeout(&self) -> Duration {
        self.connection.change_timeout()
    }
}

fn path_of(workload: Workload, address: &Address) -> String {
    Sort::from(workload).path_of(&address.namespace, &address.name)
}

fn matched(
    workload: Workload,
    selector: &Selector,
    object: &serde_json::Value,
) -> Option<MatchedService> {
    let metadata = &object["metadata"];
    let is_meant = selector.matches(&workload::labels(object)) && !workload::is_leaving(object);
    let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
    let address = Address::of(workload, namespace, name);
    is_meant.then(|| MatchedService {
        id: address.to_string(),
        name: address.shown(),
        repositories: Some(workload::repositories(object)),
    })
}
