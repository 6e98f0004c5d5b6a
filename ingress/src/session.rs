//! Sessions of the web page: signing in with an access key and a secret key, staying signed in, signing out. A session is
//! a cookie that scripts cannot read; every change in it also needs a token that only the page itself can know.

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use stormhook_shared::configuration::{ApiKey, ProjectScope};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::session_key::Session;

use crate::access::{find_key, of_session};
use crate::app::App;
use crate::body;
use crate::error::ApiError;

/// The cookie.
pub(crate) const COOKIE: &str = "stormhook_session";
/// The header with the token that a change needs.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";

/// `POST /v1-webhooks/session`: signs in.
pub(crate) async fn begin(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    refuse_foreign(&request)?;
    let body = body::read_json(&request, payload).await?;
    let text = |field: &str| {
        body[field].as_str().ok_or_else(|| {
            ApiError::invalid("MissingRequired", field, format!("{field} is missing"))
        })
    };
    let key = find_key(&app, text("accessKey")?, text("secretKey")?)?;
    let session = Session::begin(key, Timestamp::now());
    answer(&app, &request, &session, key).await
}

/// `GET /v1-webhooks/session`: who is signed in; stays signed in for longer.
pub(crate) async fn show(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (session, key) = of_session(&app, &request)?;
    let session = session.renewed(Timestamp::now());
    answer(&app, &request, &session, key).await
}

/// `DELETE /v1-webhooks/session`: signs out.
pub(crate) async fn end(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_foreign(&request)?;
    let mut cookie = cookie(&app, &request, String::new());
    cookie.make_removal();
    Ok(HttpResponse::NoContent().cookie(cookie).finish())
}

/// Refuses what another site made a browser send.
pub(crate) fn refuse_foreign(request: &HttpRequest) -> Result<(), ApiError> {
    let header = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    let is_foreign = match (header("sec-fetch-site"), header("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = request.connection_info().host().to_owned();
            origin
                .split_once("://")
                .is_none_or(|(_, from)| from != host)
        }
        (None, None) => false,
    };
    if is_foreign {
        let message = "this call came from another site's page";
        return Err(ApiError::forbidden(message));
    }
    Ok(())
}

/// Refuses a change without the session's token.
pub(crate) fn check_csrf(
    app: &App,
    request: &HttpRequest,
    session: &Session,
) -> Result<(), ApiError> {
    refuse_foreign(request)?;
    let token = request.headers().get(CSRF_HEADER);
    let token = token.and_then(|token| token.to_str().ok());
    if token.is_some_and(|token| app.session_keys.is_csrf_token(token, session)) {
        return Ok(());
    }
    let message = "a change in a session needs its csrfToken in the header X-CSRF-Token";
    Err(ApiError::forbidden(message))
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    session: &Session,
    key: &ApiKey,
) -> Result<HttpResponse, ApiError> {
    let token = app.session_keys.token(session, key);
    let mut cookie = cookie(app, request, token);
    let seconds = session.expires.since(Timestamp::now()).as_secs();
    cookie.set_max_age(time::Duration::seconds(
        i64::try_from(seconds).unwrap_or(i64::MAX),
    ));
    Ok(HttpResponse::Ok().cookie(cookie).json(json!({
        "type": "session",
        "accessKey": session.access_key,
        "role": key.role,
        "projects": projects(app, &key.projects).await,
        "csrfToken": app.session_keys.csrf_token(session),
        "expiresAt": session.expires,
    })))
}

/// The projects that the key is valid in, with their names where a worker tells them.
async fn projects(app: &App, scope: &ProjectScope) -> Vec<Value> {
    let mut known = app.projects().await;
    match scope {
        ProjectScope::All => {}
        ProjectScope::Only(only) => {
            known.retain(|project, _| only.contains(project));
            for project in only {
                known.entry(project.clone()).or_default();
            }
        }
    }
    known
        .into_iter()
        .map(|(id, name)| json!({"id": id, "name": name}))
        .collect()
}

fn cookie(app: &App, request: &HttpRequest, value: String) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(app.base(request).starts_with("https://"))
        .finish()
}
