//! One platform connection a project: `[projects.<id>]`. What every project can say is here; what each platform needs
//! to know of its connection stands in a file of its own, and no platform takes another's keys.

use std::num::NonZeroUsize;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::kubernetes::{KubernetesConfiguration, KubernetesFile};
use super::rancher::{RancherConfiguration, RancherFile};
use super::swarm::{SwarmConfiguration, SwarmFile};
use super::{Border, ConfigurationError, toml_errors};

/// How many calls to a platform run at the same time, unless the file says otherwise.
const DEFAULT_MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");
/// What a project can be on.
const PLATFORMS: &str = "rancher, swarm or kubernetes";

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

/// What stands of a project in the file: which keys it may have depends on its platform.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct ProjectFile(toml::Table);

impl ProjectFile {
    pub(super) fn check(
        self,
        border: &Border<'_>,
        key: &str,
    ) -> Result<ProjectConfiguration, ConfigurationError> {
        let mut keys = Keys {
            border,
            key,
            keys: self.0,
        };
        let name = keys.take("name")?;
        let max_in_flight = keys.take("max_in_flight")?;
        let Some(platform) = keys.take::<String>("platform")? else {
            return Err(keys.without_platform());
        };
        let platform = match platform.as_str() {
            "rancher" => PlatformConfiguration::Rancher(
                keys.read::<RancherFile>(&platform)?.check(border, key)?,
            ),
            "swarm" => {
                PlatformConfiguration::Swarm(keys.read::<SwarmFile>(&platform)?.check(border, key)?)
            }
            "kubernetes" => PlatformConfiguration::Kubernetes(
                keys.read::<KubernetesFile>(&platform)?.check(border, key)?,
            ),
            other => {
                let reason = format!("{other:?} is not a platform: {PLATFORMS}");
                return Err(border.invalid(&format!("{key}.platform"), reason));
            }
        };
        Ok(ProjectConfiguration {
            name,
            platform,
            max_in_flight: max_in_flight.unwrap_or(DEFAULT_MAX_IN_FLIGHT),
        })
    }
}

/// The keys of a project that were not taken yet; in the end, those that are for its platform.
struct Keys<'a> {
    border: &'a Border<'a>,
    key: &'a str,
    keys: toml::Table,
}

impl Keys<'_> {
    /// The value of one that every project can have.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ConfigurationError> {
        let Some(value) = self.keys.remove(name) else {
            return Ok(None);
        };
        let read = value.try_into().map(Some);
        read.map_err(|error: toml::de::Error| {
            let (_, what) = toml_errors::in_words(&error);
            self.border.invalid(&format!("{}.{name}", self.key), what)
        })
    }

    /// The rest as `T`, which takes exactly the keys of `platform`.
    fn read<T: DeserializeOwned>(self, platform: &str) -> Result<T, ConfigurationError> {
        self.keys.try_into().map_err(|error: toml::de::Error| {
            let (name, what) = toml_errors::in_words(&error);
            let key = match name {
                Some(name) => format!("{}.{name}", self.key),
                None => self.key.to_owned(),
            };
            self.border
                .invalid(&key, format!("platform {platform}: {what}"))
        })
    }

    /// What is wrong where no platform is named: perhaps one is, by a key with a mistake in it.
    fn without_platform(&self) -> ConfigurationError {
        let missing = format!("platform is missing: {PLATFORMS}");
        let mut keys = self.keys.iter();
        let reason = match keys.find(|(name, value)| !is_known(name, value)) {
            Some((name, _)) => format!("unknown field `{name}`, and {missing}"),
            None => missing,
        };
        self.border.invalid(self.key, reason)
    }
}

/// Whether a platform has this key.
fn is_known(name: &str, value: &toml::Value) -> bool {
    has::<RancherFile>(name, value)
        || has::<SwarmFile>(name, value)
        || has::<KubernetesFile>(name, value)
}

/// Whether the platform that `T` is for has it, even if not with this value.
fn has<T: DeserializeOwned>(name: &str, value: &toml::Value) -> bool {
    let mut only = toml::Table::new();
    only.insert(name.to_owned(), value.clone());
    match only.try_into::<T>() {
        Ok(_) => true,
        Err(error) => !error.message().starts_with("unknown field"),
    }
}
