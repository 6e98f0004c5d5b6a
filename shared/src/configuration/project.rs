//! One platform connection a project: `[projects.<id>]`. What every project can say is here; what each platform needs
//! to know of its connection stands in a file of its own, and no platform takes another's keys.

use std::num::NonZeroUsize;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::kubernetes::{KubernetesConfiguration, KubernetesFile};
use super::rancher::{RancherConfiguration, RancherFile};
use super::swarm::{SwarmConfiguration, SwarmFile};
use super::{Border, ConfigurationError};

/// How many calls to a platform run at the same time, unless the file says otherwise.
const DEFAULT_MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");

/// A project and its platform connection.
#[derive(Debug, Clone)]
pub struct ProjectConfiguration {
    /// Its name, for people.
    pub name: Option<String>,
    /// What its triggers act upon.
    pub platform: PlatformConfiguration,
    /// How many calls run at the same time.
    pub max_in_flight: NonZeroUsize,
}

/// How a platform is reached.
#[derive(Debug, Clone)]
pub enum PlatformConfiguration {
    /// Rancher 1.6's Cattle API.
    Rancher(RancherConfiguration),
    /// Docker Swarm.
    Swarm(SwarmConfiguration),
    /// Kubernetes.
    Kubernetes(KubernetesConfiguration),
}

#[derive(Deserialize)]
pub(super) struct ProjectFile {
    name: Option<String>,
    platform: String,
    max_in_flight: Option<NonZeroUsize>,
    /// What is for its platform.
    #[serde(flatten)]
    connection: toml::Table,
}

impl ProjectFile {
    pub(super) fn check(
        self,
        border: &Border<'_>,
        key: &str,
    ) -> Result<ProjectConfiguration, ConfigurationError> {
        let connection = Connection {
            border,
            key,
            platform: &self.platform,
            keys: self.connection,
        };
        let platform = match self.platform.as_str() {
            "rancher" => PlatformConfiguration::Rancher(
                connection.read::<RancherFile>()?.check(border, key)?,
            ),
            "swarm" => {
                PlatformConfiguration::Swarm(connection.read::<SwarmFile>()?.check(border, key)?)
            }
            "kubernetes" => PlatformConfiguration::Kubernetes(
                connection.read::<KubernetesFile>()?.check(border, key)?,
            ),
            other => {
                let reason = format!("{other:?} is not a platform: rancher, swarm or kubernetes");
                return Err(border.invalid(&format!("{key}.platform"), reason));
            }
        };
        Ok(ProjectConfiguration {
            name: self.name,
            platform,
            max_in_flight: self.max_in_flight.unwrap_or(DEFAULT_MAX_IN_FLIGHT),
        })
    }
}

/// The keys that are for one platform.
struct Connection<'a> {
    border: &'a Border<'a>,
    key: &'a str,
    platform: &'a str,
    keys: toml::Table,
}

impl Connection<'_> {
    /// The keys as `T`, which takes exactly those of the platform.
    fn read<T: DeserializeOwned>(self) -> Result<T, ConfigurationError> {
        self.keys.try_into().map_err(|error: toml::de::Error| {
            let what = error.message().replace('\n', ", ");
            let reason = format!("platform {}: {what}", self.platform);
            self.border.invalid(self.key, reason)
        })
    }
}
