//! Who may manage receivers and read history: `[[api_keys]]`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Border, ConfigurationError};
use crate::domain::ids::ProjectId;

/// Access to the management API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The user name of HTTP Basic.
    pub access_key: String,
    /// SHA-256 of the password of HTTP Basic.
    pub secret_sha256: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// Where.
    pub projects: ProjectScope,
}

impl ApiKey {
    /// What is stored of a secret key.
    pub fn digest(secret_key: &str) -> [u8; 32] {
        Sha256::digest(secret_key.as_bytes()).into()
    }
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Manage receivers and read history.
    Member,
    /// Read, but see no trigger URL.
    Readonly,
}

/// In which projects an API key is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectScope {
    /// In all, also future ones.
    All,
    /// In these.
    Only(BTreeSet<ProjectId>),
}

impl ProjectScope {
    /// Whether the key is valid in `project`.
    pub fn covers(&self, project: &ProjectId) -> bool {
        match self {
            Self::All => true,
            Self::Only(projects) => projects.contains(project),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyFile {
    access_key: String,
    secret_sha256: String,
    role: Role,
    projects: Vec<String>,
}

impl ApiKeyFile {
    pub(super) fn check(
        self,
        border: &Border<'_>,
        index: usize,
    ) -> Result<ApiKey, ConfigurationError> {
        let name = |field: &str| format!("api_keys[{index}].{field}");
        if self.access_key.is_empty() || self.access_key.contains(':') {
            let reason = "must not be empty and must not contain \":\" (HTTP Basic ends it there)";
            return Err(border.invalid(&name("access_key"), reason));
        }
        let mut secret_sha256 = [0; 32];
        hex::decode_to_slice(&self.secret_sha256, &mut secret_sha256).map_err(|_| {
            border.invalid(
                &name("secret_sha256"),
                "must be 64 hex digits; make it with: printf %s SECRET | sha256sum",
            )
        })?;
        if secret_sha256 == ApiKey::digest("") {
            let reason = "is that of an empty secret: perhaps the variable with the secret was not set where it was made with: \
                 printf %s \"$SECRET\" | sha256sum";
            return Err(border.invalid(&name("secret_sha256"), reason));
        }
        let projects = if self.projects.iter().any(|project| project == "*") {
            ProjectScope::All
        } else {
            let parse = |project: &String| {
                project
                    .parse()
                    .map_err(|error| border.invalid(&name("projects"), error))
            };
            ProjectScope::Only(self.projects.iter().map(parse).collect::<Result<_, _>>()?)
        };
        Ok(ApiKey {
            access_key: self.access_key,
            secret_sha256,
            role: self.role,
            projects,
        })
    }
}
