//! Who may do what: the configured API keys, by HTTP Basic or a session of the web page, with their roles and projects.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stormhook_shared::configuration::{ApiKey, ProjectScope, Role};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::session_key::Session;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::error::ApiError;
use crate::session;

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
    /// Where else.
    pub(crate) projects: ProjectScope,
    /// Until when, if by a session.
    pub(crate) expires: Option<Timestamp>,
    /// By which key.
    pub(crate) access_key: String,
}

impl Grant {
    /// Whether trigger URLs, which are secrets, may be seen.
    pub(crate) fn sees_urls(&self) -> bool {
        self.role != Role::Readonly
    }
}

/// Grants what `request` needs in the project that it names, or says why not.
pub(crate) fn authorize(app: &App, request: &HttpRequest, need: Need) -> Result<Grant, ApiError> {
    let (key, session) = authenticate(app, request)?;
    if let (Need::Write, Some(session)) = (need, &session) {
        session::check_csrf(app, request, session)?;
    }
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
        projects: key.projects.clone(),
        expires: session.map(|session| session.expires),
        access_key: key.access_key.clone(),
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

/// Who calls: by HTTP Basic or, without that, by a session.
fn authenticate<'a>(
    app: &'a App,
    request: &HttpRequest,
) -> Result<(&'a ApiKey, Option<Session>), ApiError> {
    if request.headers().contains_key(AUTHORIZATION) {
        let (access_key, secret_key) = basic(request).ok_or_else(unknown)?;
        return Ok((find_key(app, &access_key, &secret_key)?, None));
    }
    if request.cookie(session::COOKIE).is_some() {
        let (session, key) = of_session(app, request)?;
        return Ok((key, Some(session)));
    }
    Err(unknown())
}

fn unknown() -> ApiError {
    ApiError::unauthorized("this call needs HTTP Basic with an access key and a secret key")
}

/// The session that `request` is part of.
pub(crate) fn of_session<'a>(
    app: &'a App,
    request: &HttpRequest,
) -> Result<(Session, &'a ApiKey), ApiError> {
    let cookie = request.cookie(session::COOKIE);
    let cookie = cookie.ok_or_else(|| ApiError::unauthorized("nobody is signed in"))?;
    app.session_keys
        .verify(cookie.value(), &app.api_keys, Timestamp::now())
        .ok_or_else(|| ApiError::unauthorized("the session has ended; sign in again"))
}

/// The key with this access key and this secret key.
pub(crate) fn find_key<'a>(
    app: &'a App,
    access_key: &str,
    secret_key: &str,
) -> Result<&'a ApiKey, ApiError> {
    let digest = ApiKey::digest(secret_key);
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
