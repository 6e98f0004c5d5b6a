//! `stormhook.toml`: what it may say, read into types that hold no mistake. The command line and the
//! environment come on top of it, in the programs.

mod api_key;
mod kubernetes;
mod nats;
mod project;
mod public_url;
mod rancher;
mod retention;
mod secret;
mod swarm;
mod toml_errors;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

pub use api_key::{ApiKey, ProjectScope, Role};
pub use kubernetes::KubernetesConfiguration;
pub use project::{PlatformConfiguration, ProjectConfiguration};
pub use public_url::parse_public_url;
pub use rancher::RancherConfiguration;
pub use retention::Retention;
pub use secret::{Secret, read_secret};
pub use swarm::{SwarmConfiguration, SwarmEndpoint, SwarmTls};

use crate::domain::ids::ProjectId;
use crate::nats::NatsOptions;

/// What `stormhook.toml` says. Whatever it leaves out is `None` or empty.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Where the ingress listens.
    pub listen: Option<SocketAddr>,
    /// Where a worker answers probes.
    pub probe_listen: Option<SocketAddr>,
    /// Where `worker` and `up` keep their data.
    pub data_dir: Option<PathBuf>,
    /// What carries triggers, ledger and receivers.
    pub backbone: Option<BackboneChoice>,
    /// The file with the deployment's secret.
    pub secret_file: Option<PathBuf>,
    /// The file with the seed of the key that heads of the outcome log are signed with.
    pub signing_key_file: Option<PathBuf>,
    /// What trigger URLs begin with.
    pub public_url: Option<Url>,
    /// How much of the outcome log is kept.
    pub retention: Retention,
    /// Who may manage.
    pub api_keys: Vec<ApiKey>,
    /// The platform connections.
    pub projects: BTreeMap<ProjectId, ProjectConfiguration>,
}

/// What carries triggers, ledger and receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackboneChoice {
    /// A database in this process.
    Embedded,
    /// NATS JetStream.
    Nats(Box<NatsOptions>),
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A file cannot be read.
    #[error("read {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or says something unknown.
    #[error("{path}: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A value cannot be used.
    #[error("{path}: {key}: {reason}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Which value.
        key: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}

impl std::str::FromStr for BackboneChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            _ if text.starts_with("nats://") || text.starts_with("tls://") => {
                Ok(Self::Nats(Box::new(NatsOptions::at(text))))
            }
            _ => Err(format!(
                "{text:?} is no backbone: write \"embedded\" or nats://host:4222"
            )),
        }
    }
}

impl Configuration {
    /// Reads `path`. Relative paths in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        File::read(path)?.check(&Border { path })
    }

    /// Reads `path` for a process that may not have the platforms' credentials: the projects are left out.
    pub fn read_without_projects(path: &Path) -> Result<Self, ConfigurationError> {
        let mut file = File::read(path)?;
        file.projects.clear();
        file.check(&Border { path })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<String>,
    probe_listen: Option<String>,
    data_dir: Option<PathBuf>,
    backbone: Option<String>,
    nats: Option<nats::NatsFile>,
    secret_file: Option<PathBuf>,
    signing_key_file: Option<PathBuf>,
    public_url: Option<String>,
    retention: Option<retention::RetentionFile>,
    #[serde(default)]
    api_keys: Vec<api_key::ApiKeyFile>,
    #[serde(default)]
    projects: BTreeMap<String, project::ProjectFile>,
}

impl File {
    fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigurationError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
        toml::from_str(&text).map_err(|error| ConfigurationError::Malformed {
            path: path.to_owned(),
            reason: one_line(&text, &error),
        })
    }

    fn check(self, border: &Border<'_>) -> Result<Configuration, ConfigurationError> {
        let backbone = border.parse(
            "backbone",
            self.backbone,
            "\"embedded\" or nats://host:4222",
        )?;
        let projects = self
            .projects
            .into_iter()
            .map(|(id, project)| {
                let key = format!("projects.{id}");
                let id = id.parse().map_err(|error| border.invalid(&key, error))?;
                Ok((id, project.check(border, &key)?))
            })
            .collect::<Result<BTreeMap<_, _>, ConfigurationError>>()?;
        if let Some((one, two)) = kubernetes::rivals(&projects) {
            let reason = format!(
                "project {one} would make receivers of the same objects: name different namespaces"
            );
            return Err(border.invalid(&format!("projects.{two}.receiver_resources"), reason));
        }
        Ok(Configuration {
            listen: border.parse("listen", self.listen, "an address like 0.0.0.0:8085")?,
            probe_listen: border.parse(
                "probe_listen",
                self.probe_listen,
                "an address like 0.0.0.0:8087",
            )?,
            data_dir: border.folder("data_dir", self.data_dir)?,
            backbone: nats::apply(border, backbone, self.nats)?,
            secret_file: self.secret_file.map(|path| border.path(&path)),
            signing_key_file: self.signing_key_file.map(|path| border.path(&path)),
            public_url: self
                .public_url
                .map(|text| parse_public_url(&text))
                .transpose()
                .map_err(|reason| border.invalid("public_url", reason))?,
            retention: self.retention.map(Retention::from).unwrap_or_default(),
            api_keys: self
                .api_keys
                .into_iter()
                .enumerate()
                .map(|(index, key)| key.check(border, index))
                .collect::<Result<_, _>>()?,
            projects,
        })
    }
}

/// Where values of the file become types: knows the file, so that errors can name it and paths start from it.
struct Border<'a> {
    path: &'a Path,
}

impl Border<'_> {
    fn invalid(&self, key: &str, reason: impl std::fmt::Display) -> ConfigurationError {
        ConfigurationError::Invalid {
            path: self.path.to_owned(),
            key: key.to_owned(),
            reason: reason.to_string(),
        }
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.path
            .parent()
            .map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    fn folder(
        &self,
        key: &str,
        path: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigurationError> {
        match path {
            Some(path) if path.as_os_str().is_empty() => {
                Err(self.invalid(key, "is empty: name a folder, or leave it out"))
            }
            path => Ok(path.map(|path| self.path(&path))),
        }
    }

    fn parse<T: std::str::FromStr>(
        &self,
        key: &str,
        text: Option<String>,
        expected: &str,
    ) -> Result<Option<T>, ConfigurationError> {
        text.map(|text| {
            text.parse()
                .map_err(|_| self.invalid(key, format!("{text:?} is not {expected}")))
        })
        .transpose()
    }
}

/// The parser's report in one line: where and what.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error
        .span()
        .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let (key, what) = toml_errors::in_words(error);
    let place = line.map(|line| format!("line {line}"));
    let parts = [place, key, Some(what)].into_iter().flatten();
    parts.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stormhook.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("key"), "s3cret\n").unwrap();
        Configuration::read(&path).map_err(|error| error.to_string())
    }

    const COMPLETE: &str = r#"
        listen = "0.0.0.0:8085"
        data_dir = "data"
        backbone = "nats://user:pw@a:4222,b:4222"
        public_url = "https://hooks.example.org"

        [nats]
        replicas = 3
        trigger_days = 7
        nkey_file = "key"

        [[api_keys]]
        access_key = "admin"
        secret_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
        role = "admin"
        projects = ["*"]

        [projects.1a5]
        name = "Default"
        platform = "rancher"
        url = "https://rancher.example.org/v2-beta"
        access_key = "key"
        secret_key_file = "key"
        max_in_flight = 16

        [projects.swarm]
        platform = "swarm"
        url = "tcp://swarm.example.org:2376"
        ca_file = "ca.pem"
        cert_file = "cert.pem"
        key_file = "key.pem"

        [projects.k8s]
        platform = "kubernetes"
        kubeconfig = "kubeconfig"
        context = "prod"
        namespaces = ["shop", "web"]
    "#;

    #[test]
    fn a_complete_file_is_understood() {
        let configuration = read(COMPLETE).unwrap();
        assert!(configuration.data_dir.unwrap().ends_with("data"));
        let Some(BackboneChoice::Nats(nats)) = configuration.backbone else {
            panic!("{:?}", configuration.backbone)
        };
        assert_eq!(nats.replicas, Some(3));
        assert_eq!(nats.trigger_age.unwrap().as_secs(), 7 * 86_400);
        assert!(nats.nkey_file.unwrap().ends_with("key"));
        let project = &configuration.projects[&"1a5".parse().unwrap()];
        let PlatformConfiguration::Rancher(rancher) = &project.platform else {
            panic!("{:?}", project.platform)
        };
        assert_eq!(rancher.secret_key.as_ref().unwrap().expose(), "s3cret");
        let swarm = &configuration.projects[&"swarm".parse().unwrap()];
        let PlatformConfiguration::Swarm(SwarmConfiguration {
            endpoint: SwarmEndpoint::Tcp { tls: Some(tls), .. },
            ..
        }) = &swarm.platform
        else {
            panic!("{:?}", swarm.platform)
        };
        assert!(tls.ca_file.as_ref().unwrap().is_absolute());
        let k8s = &configuration.projects[&"k8s".parse().unwrap()];
        let PlatformConfiguration::Kubernetes(k8s) = &k8s.platform else {
            panic!("{:?}", k8s.platform)
        };
        assert!(k8s.kubeconfig.as_ref().unwrap().is_absolute());
        assert_eq!(configuration.api_keys[0].projects, ProjectScope::All);
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        for (wrong, says) in [
            ("lisen = \"x\"", "lisen"),
            ("listen = \"here\"", "listen: \"here\" is not an address"),
            ("backbone = \"kafka\"", "backbone"),
            ("listen = ", "line 1"),
            (
                "listen = 8085",
                "line 1: listen: 8085 is not a text in quotes",
            ),
            ("data_dir = \"\"", "data_dir: is empty"),
            (
                "public_url = \"ftp://hooks.example.org\"",
                "public_url: ftp://hooks.example.org/ is not a URL like",
            ),
            ("retention = 5", "retention: 5 is not a section"),
            (
                "[retention]\nage_days = \"7\"",
                "line 2: retention.age_days: \"7\" is not a whole number from 0 to 4294967295",
            ),
            (
                "backbone = \"nats://a\"\n[nats]\npartitions = 70000",
                "nats.partitions: 70000 is not a whole number from 1 to 65535",
            ),
            ("[nats]\nreplicas = 3", "nats: the backbone is not NATS"),
            (
                "backbone = \"nats://a\"\n[nats]\ncert_file = \"c\"",
                "nats.cert_file",
            ),
            ("[projects.1a5]\nplatform = \"rancher\"", "projects.1a5.url"),
            (
                "[projects.1a5]\nplatfrom = \"rancher\"\nurl = \"http://a\"",
                "projects.1a5: unknown field `platfrom`, and platform is missing",
            ),
            (
                "[projects.1a5]\nurl = 5",
                "projects.1a5: platform is missing: rancher",
            ),
            (
                "[projects.1a5]\nplatform = \"rancher\"\nurl = 5",
                "projects.1a5.url: platform rancher: 5 is not a text in quotes",
            ),
            (
                "[projects.1a5]\nplatform = \"rancher\"\nurl = \"http://a\"\nmax_in_flight = 0",
                "projects.1a5.max_in_flight: 0 is not a whole number from 1 on",
            ),
            ("projects = 5", "projects: 5 is not a section"),
            (
                "[projects.1a5]\nplatform = \"mesos\"\nurl = \"http://a\"",
                "mesos",
            ),
            (
                "[projects.1a5]\nplatform = \"rancher\"\nurl = \"http://a\"\nulr = 1",
                "platform rancher: unknown field `ulr`",
            ),
            (
                "[projects.s]\nplatform = \"swarm\"\nurl = \"unix:///x\"\nsecret_key_file = \"key\"",
                "projects.s: platform swarm: unknown field `secret_key_file`",
            ),
            (
                "[projects.s]\nplatform = \"swarm\"\nurl = \"tcp://s\"\ncert_file = \"c\"",
                "cert_file and key_file go together",
            ),
            ("[projects.s]\nplatform = \"swarm\"", "projects.s.url"),
            (
                "[projects.k]\nplatform = \"kubernetes\"\nurl = \"https://k\"",
                "projects.k: platform kubernetes: unknown field `url`",
            ),
            (
                "[projects.k]\nplatform = \"kubernetes\"\nnamespaces = []",
                "projects.k.namespaces",
            ),
            (
                "[projects.a]\nplatform = \"kubernetes\"\nreceiver_resources = true\n\
                 [projects.b]\nplatform = \"kubernetes\"\nreceiver_resources = true\nnamespaces = [\"shop\"]",
                "projects.b.receiver_resources: project a would make receivers of the same objects",
            ),
            (
                "[projects.\"a/b\"]\nplatform = \"rancher\"\nurl = \"http://a\"",
                "a/b",
            ),
            (
                "[projects.1a5]\nplatform = \"rancher\"\nurl = \"http://a\"\naccess_key = \"k\"\nsecret_key_file = \"missing\"",
                "missing",
            ),
            (
                "[[api_keys]]\naccess_key = \"a\"\nsecret_sha256 = \"zz\"\nrole = \"admin\"\nprojects = [\"*\"]",
                "secret_sha256",
            ),
            (
                "[[api_keys]]\naccess_key = \"a\"\nrole = \"admin\"\nprojects = [\"*\"]\n\
                 secret_sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
                "api_keys[0].secret_sha256: is that of an empty secret",
            ),
            (
                "[[api_keys]]\naccess_key = \"a\"\nsecret_sha256 = \"zz\"\nrole = \"root\"\nprojects = [\"*\"]",
                "root",
            ),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
