//! The four kinds of receivers, each with its configuration.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::ProjectId;
use super::push::Tag;
use super::scaling::{Amount, Bounds, Direction};
use super::selector::Selector;

/// What a receiver's triggers do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "camelCase")]
pub enum Kind {
    /// Scales one service up or down.
    ScaleService(ScaleService),
    /// Adds hosts to a group, or removes some.
    ScaleHost(ScaleHost),
    /// Upgrades every service that waits for a pushed image.
    ServiceUpgrade(ServiceUpgrade),
    /// Passes requests on to a service.
    ForwardPost(ForwardPost),
}

impl Kind {
    /// Which kind it is, without its configuration.
    pub fn driver(&self) -> Driver {
        match self {
            Self::ScaleService(_) => Driver::ScaleService,
            Self::ScaleHost(_) => Driver::ScaleHost,
            Self::ServiceUpgrade(_) => Driver::ServiceUpgrade,
            Self::ForwardPost(_) => Driver::ForwardPost,
        }
    }

    /// What it acts upon.
    pub fn target(&self) -> Target {
        match self {
            Self::ScaleService(config) => Target::Service(config.service_id.clone()),
            Self::ScaleHost(config) => Target::Hosts(config.host_selector.clone()),
            Self::ServiceUpgrade(config) => Target::Services(config.service_selector.clone()),
            Self::ForwardPost(config) => Target::Endpoint {
                service_name: config.service_name.clone(),
                port: config.port,
            },
        }
    }

    /// The field that names what it acts upon.
    pub fn target_field(&self) -> &'static str {
        match self {
            Self::ScaleService(_) => "serviceId",
            Self::ScaleHost(_) => "hostSelector",
            Self::ServiceUpgrade(_) => "serviceSelector",
            Self::ForwardPost(_) => "serviceName",
        }
    }

    /// How long after its acceptance a trigger is retried, where the receiver does not say: five minutes; a quarter of
    /// an hour for what takes its time.
    pub fn default_deadline(driver: Driver) -> Duration {
        match driver {
            Driver::ScaleService | Driver::ForwardPost => Duration::from_secs(300),
            Driver::ScaleHost | Driver::ServiceUpgrade => Duration::from_secs(900),
        }
    }
}

/// What a group of triggers acts upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One service, by its platform's id.
    Service(String),
    /// All hosts with these labels.
    Hosts(Selector),
    /// All services with these labels.
    Services(Selector),
    /// A port of a service.
    Endpoint {
        /// The service's name.
        service_name: String,
        /// The port.
        port: NonZeroU16,
    },
}

/// The name of a kind, as the API spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is a variant of `Kind`")]
pub enum Driver {
    ScaleService,
    ScaleHost,
    ServiceUpgrade,
    ForwardPost,
}

impl Driver {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ScaleService,
        Self::ScaleHost,
        Self::ServiceUpgrade,
        Self::ForwardPost,
    ];

    /// Whether it makes something larger or smaller, so that the end of an alert means something to it.
    pub fn is_scaling(self) -> bool {
        matches!(self, Self::ScaleService | Self::ScaleHost)
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScaleService => "scaleService",
            Self::ScaleHost => "scaleHost",
            Self::ServiceUpgrade => "serviceUpgrade",
            Self::ForwardPost => "forwardPost",
        })
    }
}

/// A text that names no driver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("driver must be scaleService, scaleHost, serviceUpgrade or forwardPost, but it is {0:?}")]
pub struct UnknownDriver(String);

impl FromStr for Driver {
    type Err = UnknownDriver;

    fn from_str(text: &str) -> Result<Self, UnknownDriver> {
        Self::ALL
            .into_iter()
            .find(|driver| driver.to_string() == text)
            .ok_or_else(|| UnknownDriver(text.chars().take(80).collect()))
    }
}

/// Scale `service_id` by `amount`, within `bounds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleService {
    /// The platform's own id of the service.
    pub service_id: String,
    /// By how much, in which direction, between which bounds.
    #[serde(flatten)]
    pub scaling: Scaling,
    /// It is scaled also where an autoscaler of the platform may undo that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub override_autoscaler: bool,
}

/// Add hosts to the group that `host_selector` means, or remove some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleHost {
    /// The labels that all hosts of the group carry.
    pub host_selector: Selector,
    /// By how much, in which direction, between which bounds.
    #[serde(flatten)]
    pub scaling: Scaling,
    /// Which hosts go first.
    pub delete_option: DeleteOption,
    /// Hosts of a fixed pool are not only drained, but removed from the cluster.
    #[serde(default)]
    pub remove: bool,
    /// Hosts that manage the cluster are drained and activated too.
    #[serde(default)]
    pub include_managers: bool,
}

/// By how much, in which direction, between which bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// Up or down.
    pub action: Direction,
    /// How many are added or removed.
    pub amount: Amount,
    /// What no trigger crosses.
    #[serde(flatten)]
    pub bounds: Bounds,
}

/// Which hosts go first, among those that work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeleteOption {
    /// The youngest.
    MostRecent,
    /// The oldest.
    LeastRecent,
}

/// Upgrade the services that `service_selector` means to a pushed image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceUpgrade {
    /// The labels that a service's container carries.
    pub service_selector: Selector,
    /// The tag that it waits for.
    pub tag: Tag,
    /// Only pushes of this repository count; any where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whose notifications come.
    pub payload_format: PayloadFormat,
    /// How images of Alibaba's registry are addressed.
    pub address_type: AddressType,
    /// How many containers are replaced at once.
    pub batch_size: NonZeroU32,
    /// The pause between two batches.
    pub interval: Duration,
    /// New containers are started before old ones are stopped.
    pub start_first: bool,
    /// An upgrade starts this long after the last push, and no later than six times that after the first.
    pub settle: Duration,
    /// What the platform does with an upgrade whose new containers fail.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long the platform watches each new container for that; as long as it likes where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Duration>,
}

/// What a platform does with an upgrade whose new containers fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// It leaves things as they are.
    #[default]
    Pause,
    /// It goes on all the same.
    Continue,
    /// It goes back to what ran before.
    Rollback,
}

impl OnFailure {
    /// All of them, as the API spells them.
    pub const ALL: [(&'static str, Self); 3] = [
        ("pause", Self::Pause),
        ("continue", Self::Continue),
        ("rollback", Self::Rollback),
    ];
}

/// Who sends notifications of pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the registry of its name")]
pub enum PayloadFormat {
    Dockerhub,
    Alicloud,
    Azure,
    Ghcr,
    Harbor,
    Quay,
    Gitlab,
    Distribution,
    Gitea,
    /// `{"image": "repo/name", "tag": "v1"}`
    Generic,
}

impl PayloadFormat {
    /// All of them, as the API spells them.
    pub const ALL: [(&'static str, Self); 10] = [
        ("dockerhub", Self::Dockerhub),
        ("alicloud", Self::Alicloud),
        ("azure", Self::Azure),
        ("ghcr", Self::Ghcr),
        ("harbor", Self::Harbor),
        ("quay", Self::Quay),
        ("gitlab", Self::Gitlab),
        ("distribution", Self::Distribution),
        ("gitea", Self::Gitea),
        ("generic", Self::Generic),
    ];
}

/// How images of Alibaba's registry are addressed: publicly, from its network, or from a private cloud in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the first part of the address")]
pub enum AddressType {
    Registry,
    RegistryInternal,
    RegistryVpc,
}

impl AddressType {
    /// All of them, as the API spells them.
    pub const ALL: [(&'static str, Self); 3] = [
        ("registry", Self::Registry),
        ("registry-internal", Self::RegistryInternal),
        ("registry-vpc", Self::RegistryVpc),
    ];
}

/// Pass requests on to a port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardPost {
    /// The platform's project.
    pub project_id: ProjectId,
    /// The service's name.
    pub service_name: String,
    /// Its port.
    pub port: NonZeroU16,
    /// The path, beginning with a slash.
    pub path: String,
}
