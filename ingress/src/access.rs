//! Who may do what: HTTP Basic with the configured API keys, their roles and projects.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stormhook_shared::configuration::{ApiKey, Role};
use stormhook_shared::domain::ids::ProjectId;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::error::ApiError;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To read.
    Read,
    /// To change something.
    Write,
}

/// What was granted.
pub(crate) struct Grant {
    /// In which project.
    pub(crate) project: ProjectId,
    /// To whom.
    pub(crate) role: Role,
}

impl Grant {
    /// Whether trigger URLs, which are secrets, may be seen.
    pub(crate) fn sees_urls(&self) -> bool {
        self.role != Role::Readonly
    }
}

/// Grants what `request` needs in the project that it names, or says why not.
pub(crate) fn authorize(app: &App, request: &HttpRequest, need: Need) -> Result<Grant, ApiError> {
    let key = authenticate(app, request)?;
    if need == Need::Write && key.role == Role::Readonly {
        return Err(ApiError::forbidden(
            "a key with the role readonly cannot change anything",
        ));
    }
    let project = required(request, "projectId")?;
    let refusal = || ApiError::forbidden(format!("this key is not valid in project {project}"));
    let project: ProjectId = project.parse().map_err(|_| refusal())?;
    if !key.projects.covers(&project) {
        return Err(ApiError::forbidden(format!(
            "this key is not valid in project {project}"
        )));
    }
    Ok(Grant {
        project,
        role: key.role,
    })
}

/// The first value of a parameter in the query.
pub(crate) fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    url::form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

/// The same, of a parameter that must be there and not be empty.
pub(crate) fn required(request: &HttpRequest, name: &str) -> Result<String, ApiError> {
    parameter(request, name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::missing(name))
}

fn authenticate<'a>(app: &'a App, request: &HttpRequest) -> Result<&'a ApiKey, ApiError> {
    let (access_key, secret_key) = basic(request).ok_or_else(|| {
        ApiError::unauthorized("this call needs HTTP Basic with an access key and a secret key")
    })?;
    let digest = ApiKey::digest(&secret_key);
    // Every key is compared, so that the time tells nothing of which exist.
    let mut found = None;
    for key in &app.api_keys {
        let is_key = key.access_key.as_bytes().ct_eq(access_key.as_bytes())
            & key.secret_sha256.ct_eq(&digest);
        if bool::from(is_key) {
            found = Some(key);
        }
    }
    found.ok_or_else(|| {
        ApiError::unauthorized("there is no such access key, or its secret key is another")
    })
}

fn basic(request: &HttpRequest) -> Option<(String, String)> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (access_key, secret_key) = decoded.split_once(':')?;
    Some((access_key.to_owned(), secret_key.to_owned()))
}
