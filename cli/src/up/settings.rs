//! What `up` runs with: the command line over the environment over the configuration file over defaults.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use stormhook_shared::audit::head::SigningKey;
use stormhook_shared::configuration::{
    ApiKey, BackboneChoice, Configuration, ProjectConfiguration, ProjectScope, Retention, Role,
};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::hook_key::DeploymentSecret;
use stormhook_shared::nats::NatsOptions;
use stormhook_shared::program::data_folder::{self, DataFolder};
use url::Url;

use super::demo;
use crate::arguments::UpOptions;
use crate::client::credentials::CredentialsFile;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8085);

/// What `up` runs with.
pub struct Settings {
    pub folder: DataFolder,
    pub listen: SocketAddr,
    pub public_url: Option<Url>,
    pub secret: DeploymentSecret,
    pub api_keys: Vec<ApiKey>,
    pub projects: BTreeMap<ProjectId, ProjectConfiguration>,
    /// Where the practice platform is to be, if there is to be one.
    pub sandbox: Option<SandboxPlace>,
    /// The backbone, where it is not the embedded one.
    pub nats: Option<NatsOptions>,
    /// A signing key that the ingresses do not have.
    signing_key_file: Option<PathBuf>,
    /// How much of the outcome log is kept.
    pub retention: Retention,
    admin: Option<AdminKey>,
}

/// Where the practice platform is.
pub struct SandboxPlace {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
}

/// The key that `up` made for its operator.
struct AdminKey {
    access_key: String,
    secret_key: String,
}

impl Settings {
    /// Puts the settings together, and takes the data folder for this process.
    pub fn load(options: &UpOptions) -> Result<Self> {
        let file = match &options.config {
            Some(path) => Configuration::read(path)?,
            None => Configuration::default(),
        };
        let nats = match file.backbone {
            Some(BackboneChoice::Nats(options)) => Some(*options),
            Some(BackboneChoice::Embedded) | None => None,
        };
        let path = match options.data_dir.clone().or(file.data_dir) {
            Some(path) => path,
            None => data_folder::default_path("stormhook")?,
        };
        let folder = DataFolder::take(&path)?;
        let secret_file = options.secret_file.clone().or(file.secret_file);
        if nats.is_some() && (secret_file.is_none() || file.projects.is_empty()) {
            bail!(
                "on NATS, all processes need the same secret and the same projects: \
                 add `secret_file` and at least one [projects.<id>] to the configuration"
            );
        }
        let secret = match secret_file {
            Some(path) => DeploymentSecret::read(&path)?,
            None => folder.secret()?,
        };
        let mut api_keys = file.api_keys;
        let admin = if api_keys.is_empty() {
            let admin = AdminKey::load_or_make(&folder)?;
            api_keys.push(admin.as_api_key());
            Some(admin)
        } else {
            None
        };
        let sandbox = if file.projects.is_empty() {
            folder.make(&folder.sandbox())?;
            Some(SandboxPlace {
                listen: options.sandbox_listen,
                data_dir: folder.sandbox(),
            })
        } else {
            None
        };
        Ok(Self {
            folder,
            listen: options.listen.or(file.listen).unwrap_or(DEFAULT_LISTEN),
            public_url: options.public_url.clone().or(file.public_url),
            secret,
            api_keys,
            projects: file.projects,
            sandbox,
            nats,
            signing_key_file: file.signing_key_file,
            retention: file.retention,
            admin,
        })
    }

    /// What heads of the outcome log are signed with: the key in a file of its own, or the one that belongs to the
    /// deployment's secret.
    pub fn signing_key(&self) -> Result<SigningKey> {
        match &self.signing_key_file {
            Some(path) => Ok(SigningKey::read(path)?),
            None => Ok(SigningKey::derived(&self.secret)),
        }
    }

    /// Leaves the address and the admin key in the data folder, for the other commands.
    pub fn leave_credentials(&self, address: &str) -> Result<()> {
        let Some(admin) = &self.admin else {
            return Ok(());
        };
        let project = match self.projects.keys().next() {
            Some(project) => project.clone(),
            None => demo::project()?,
        };
        let file = CredentialsFile {
            server: address.parse().context("the server's address")?,
            project,
            access_key: admin.access_key.clone(),
            secret_key: admin.secret_key.clone(),
        };
        let file = serde_json::to_vec_pretty(&file)?;
        Ok(self.folder.write(DataFolder::CREDENTIALS, &file)?)
    }

    /// What an operator needs to know at the start.
    pub fn welcome(&self, address: &str, sandbox: Option<String>, demo: Option<String>) -> String {
        let page = self.public_url.as_ref().map_or(address, |url| url.as_str());
        let mut lines = vec![
            format!("Stormhook is up at {address}"),
            format!("  web page           {}/", page.trim_end_matches('/')),
        ];
        if let Some(admin) = &self.admin {
            lines.push(format!("  access key         {}", admin.access_key));
            lines.push(format!("  secret key         {}", admin.secret_key));
        }
        lines.push(format!(
            "  data               {}",
            self.folder.path().display()
        ));
        if let Some(sandbox) = sandbox {
            lines.push(format!("  practice platform  {sandbox}"));
        }
        if let Some(demo) = demo {
            lines.push("\nScale the demo service up by one:".to_owned());
            lines.push(format!("  curl -X POST '{demo}'"));
            lines.push("\nSee what happened, and why:".to_owned());
            lines.push(format!("  {}", self.history_command(address)));
        } else {
            lines.push("\nMake a hook:".to_owned());
            lines.push(format!("  {} receivers create --help", program()));
        }
        lines.join("\n")
    }

    /// The history command as it works in this shell. A key of the configuration is known here by its hash alone.
    fn history_command(&self, address: &str) -> String {
        let program = program();
        if self.admin.is_none() {
            return format!("{program} history --server {address} --access-key … --secret-key …");
        }
        let is_default = data_folder::default_path("stormhook")
            .is_ok_and(|default| default == self.folder.path());
        if is_default {
            format!("{program} history")
        } else {
            format!(
                "{program} history --data-dir {}",
                self.folder.path().display()
            )
        }
    }
}

/// This program as it was called.
fn program() -> String {
    let called = std::env::args().next();
    called.unwrap_or_else(|| "stormhook".to_owned())
}

impl AdminKey {
    fn load_or_make(folder: &DataFolder) -> Result<Self> {
        if let Some(file) = CredentialsFile::read(&folder.path().join(DataFolder::CREDENTIALS))? {
            return Ok(Self {
                access_key: file.access_key,
                secret_key: file.secret_key,
            });
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("make an admin key")?;
        let (access, secret) = random.split_at(8);
        Ok(Self {
            access_key: format!("admin-{}", hex::encode(access)),
            secret_key: hex::encode(secret),
        })
    }

    fn as_api_key(&self) -> ApiKey {
        ApiKey {
            access_key: self.access_key.clone(),
            secret_sha256: ApiKey::digest(&self.secret_key),
            role: Role::Admin,
            projects: ProjectScope::All,
        }
    }
}
