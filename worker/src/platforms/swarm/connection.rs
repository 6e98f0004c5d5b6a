//! HTTP with a Docker engine, in raw JSON: a service is sent back with everything that was read of it, also what no
//! client knows of.
//!
//! Every path names the version of the API that the engine speaks by itself. Under an older one it would leave newer
//! fields out of its answers and reset them when it is sent a service without them. Its answers tell the version, so
//! an engine that was upgraded meanwhile is noticed at the next one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, redirect};
use serde_json::Value;
use stormhook_shared::configuration::{SwarmConfiguration, SwarmEndpoint};
use stormhook_shared::ports::platform::PlatformError;
use url::Url;

use super::answer::{self, Answered, Failure};
use super::tls::secured;
use crate::platforms::recording;

const AUTH_HEADER: &str = "X-Registry-Auth";

/// Why there can be no connection.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// A file of the configuration cannot be used.
    #[error("{what} {path}: {reason}")]
    File {
        /// What it is for.
        what: &'static str,
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// The address is none.
    #[error("{0} is no address of an engine")]
    Address(String),
    /// The HTTP client cannot be made.
    #[error("prepare the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

pub(super) struct Connection {
    http: reqwest::Client,
    base: Url,
    place: String,
    change_timeout: Duration,
    version: Mutex<Option<String>>,
}

/// A call to be made.
#[derive(Clone, Copy)]
struct Call<'a> {
    method: &'static str,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Value>,
    registry_auth: Option<&'a str>,
}

impl Connection {
    pub(super) fn new(
        options: &SwarmConfiguration,
        call_timeout: Duration,
        change_timeout: Duration,
    ) -> Result<Self, SwarmError> {
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .timeout(call_timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("stormhook/", env!("CARGO_PKG_VERSION")));
        let (builder, base, place) = match &options.endpoint {
            SwarmEndpoint::Unix(path) => (
                builder.unix_socket(path.clone()),
                "http://docker/".to_owned(),
                format!("unix://{}", path.display()),
            ),
            SwarmEndpoint::Tcp { authority, tls } => {
                let place = format!("tcp://{authority}");
                match tls {
                    None => (builder, format!("http://{authority}/"), place),
                    Some(tls) => (
                        secured(builder, tls)?,
                        format!("https://{authority}/"),
                        place,
                    ),
                }
            }
        };
        Ok(Self {
            http: builder.build()?,
            base: base.parse().map_err(|_| SwarmError::Address(base))?,
            place,
            change_timeout,
            version: Mutex::new(None),
        })
    }

    /// How long a call may take that changes something.
    pub(super) fn change_timeout(&self) -> Duration {
        self.change_timeout
    }

    /// Where the engine is, for people.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What is at `path`; `None` where there is nothing.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Option<Value>, PlatformError> {
        self.find(path, &[], None).await
    }

    /// What is at `path` and lets `query` through; `None` where there is nothing.
    pub(super) async fn find(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        registry_auth: Option<&str>,
    ) -> Result<Option<Value>, PlatformError> {
        let call = Call {
            method: "GET",
            path,
            query,
            body: None,
            registry_auth,
        };
        answer::optional(self.call(call).await)
    }

    /// The list at `path`, as far as `query` lets it through. The engine has no pages.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, PlatformError> {
        let found = self.find(&[path], query, None).await?;
        match found {
            Some(Value::Array(all)) => Ok(all),
            Some(Value::Null) | None => Ok(Vec::new()),
            Some(other) => {
                let start: String = other.to_string().chars().take(80).collect();
                Err(PlatformError::Refused {
                    message: format!("GET /{path}: a list was expected, but it is {start}"),
                })
            }
        }
    }

    /// Replaces the specification of what is at `path`, if it is still at the version `index`.
    pub(super) async fn update(
        &self,
        path: &[&str],
        index: u64,
        spec: &Value,
        registry_auth: Option<&str>,
    ) -> Result<(), PlatformError> {
        let path: Vec<_> = path.iter().copied().chain(["update"]).collect();
        let index = index.to_string();
        let call = Call {
            method: "POST",
            path: &path,
            query: &[("version", &index)],
            body: Some(spec),
            registry_auth,
        };
        match self.call(call).await {
            Ok(_) => Ok(()),
            Err(Failure::Error(error)) => Err(error),
            // Removed since it was read: whoever reads it again sees that.
            Err(Failure::NotFound(message)) => Err(PlatformError::Transient {
                message,
                retry_after: None,
                is_untouched: true,
                is_down: false,
            }),
        }
    }

    /// Removes what is at `path`, even if it is in use; fine if there is nothing.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), PlatformError> {
        let call = Call {
            method: "DELETE",
            path,
            query: &[("force", "true")],
            body: None,
            registry_auth: None,
        };
        answer::optional(self.call(call).await).map(|_| ())
    }

    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        let version = match self.known_version() {
            Some(version) => version,
            None => {
                let ping = Call {
                    method: "GET",
                    path: &["_ping"],
                    query: &[],
                    body: None,
                    registry_auth: None,
                };
                let answered = self.send(ping, None).await?;
                self.remember(answered.version.as_deref());
                answered.body?;
                self.known_version().ok_or_else(|| {
                    let message = format!(
                        "GET /_ping: what answers at {} is no Docker engine",
                        self.place
                    );
                    Failure::Error(PlatformError::Refused { message })
                })?
            }
        };
        let answered = self.send(call, Some(&version)).await?;
        self.remember(answered.version.as_deref());
        let is_other = answered.version.is_some_and(|own| own != version);
        if is_other && call.method == "GET" {
            let newest = self.known_version();
            return self.send(call, newest.as_deref()).await?.body;
        }
        answered.body
    }

    async fn send(&self, call: Call<'_>, version: Option<&str>) -> Result<Answered, Failure> {
        let Call {
            path, query, body, ..
        } = call;
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            segments.extend(version.map(|version| format!("v{version}")));
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let what = format!("{} /{}", call.method, path.join("/"));
        let method = match call.method {
            "GET" => Method::GET,
            "DELETE" => Method::DELETE,
            _ => Method::POST,
        };
        let is_change = method != Method::GET;
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(auth) = call.registry_auth {
            request = request.header(AUTH_HEADER, auth);
        }
        if is_change {
            request = request.timeout(self.change_timeout);
        }
        let begun = recording::begin();
        let answered = match request.send().await {
            Ok(response) => Ok(answer::read(&what, response).await),
            Err(error) => Err(answer::no_answer(
                &format!("{what} at {}", self.place),
                &error,
            )),
        };
        let failure = match &answered {
            Ok(answered) => answered.body.as_ref().err(),
            Err(failure) => Some(failure),
        };
        begun.end(what, failure.map(ToString::to_string));
        answered
    }

    fn known_version(&self) -> Option<String> {
        self.version
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, version: Option<&str>) {
        if let Some(version) = version {
            *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
        }
    }
}
