//! HTTP with a Cattle server. Every path is built on the configured base: links in answers may name another host,
//! and credentials must never go there.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{Method, RequestBuilder, StatusCode, Upgraded, redirect};
use serde_json::Value;
use stormhook_shared::configuration::{RancherConfiguration, Secret};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::platform::{Forwarded, PlatformError};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

use super::answer;
use crate::platforms::recording;

/// How many things a page of a list has.
const PAGE: &str = "1000";
/// How many pages a list may have.
const MOST_PAGES: usize = 1_000;

/// Why there can be no connection.
#[derive(Debug, thiserror::Error)]
pub enum RancherError {
    /// The authority's file cannot be used.
    #[error("the certificate authority {path}: {reason}")]
    Authority {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// The URL cannot be a base.
    #[error("{0} cannot be the base of an API: write it like https://rancher.example.org/v2-beta")]
    Base(Url),
    /// The HTTP client cannot be made.
    #[error("prepare the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

pub(super) struct Connection {
    http: reqwest::Client,
    base: Url,
    credentials: Option<(String, Secret)>,
    change_timeout: Duration,
}

impl Connection {
    pub(super) fn new(
        project: &ProjectId,
        options: &RancherConfiguration,
        call_timeout: Duration,
        change_timeout: Duration,
    ) -> Result<Self, RancherError> {
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .timeout(call_timeout)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("stormhook/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &options.ca_file {
            let unusable = |reason: String| RancherError::Authority {
                path: path.display().to_string(),
                reason,
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let authority = reqwest::Certificate::from_pem(&pem)
                .map_err(|error| unusable(error.to_string()))?;
            builder = builder.tls_certs_merge([authority]);
        }
        let mut base = options.url.clone();
        base.path_segments_mut()
            .map_err(|()| RancherError::Base(options.url.clone()))?
            .pop_if_empty()
            .extend(["projects", project.as_str()]);
        Ok(Self {
            http: builder.build()?,
            base,
            credentials: options.access_key.clone().zip(options.secret_key.clone()),
            change_timeout,
        })
    }

    /// How long a call may take that changes something.
    pub(super) fn change_timeout(&self) -> Duration {
        self.change_timeout
    }

    /// The resource at `path`; `None` where there is none.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Option<Value>, PlatformError> {
        answer::optional(self.call(Method::GET, self.url(path), None).await)
    }

    /// What the server calls itself, from the shortest list there is.
    pub(super) async fn greet(&self) -> Result<String, PlatformError> {
        let mut url = self.url(&["services"]);
        url.query_pairs_mut().append_pair("limit", "1");
        self.call(Method::GET, url, None)
            .await
            .map(|_| format!("Rancher at {}", self.base))
            .map_err(answer::Failure::into_error)
    }

    /// Changes the resource at `path`.
    pub(super) async fn put(&self, path: &[&str], body: &Value) -> Result<Value, PlatformError> {
        self.call(Method::PUT, self.url(path), Some(body))
            .await
            .map_err(answer::Failure::into_error)
    }

    /// Creates a resource of a type.
    pub(super) async fn create(&self, kind: &str, body: &Value) -> Result<Value, PlatformError> {
        self.call(Method::POST, self.url(&[kind]), Some(body))
            .await
            .map_err(answer::Failure::into_error)
    }

    /// Begins an action of the resource at `path`, and returns the resource.
    pub(super) async fn act(
        &self,
        path: &[&str],
        action: &str,
        body: &Value,
    ) -> Result<Value, PlatformError> {
        let mut url = self.url(path);
        url.query_pairs_mut().append_pair("action", action);
        self.call(Method::POST, url, Some(body))
            .await
            .map_err(answer::Failure::into_error)
    }

    /// Removes the resource at `path`; fine if there is none.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), PlatformError> {
        answer::optional(self.call(Method::DELETE, self.url(path), None).await).map(|_| ())
    }

    /// Passes a request on through the server's proxy.
    pub(super) async fn forward(
        &self,
        project: &ProjectId,
        request: &Forwarded<'_>,
    ) -> Result<(), PlatformError> {
        let mut url = self.base.clone();
        let (path, query) = match request.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.path, None),
        };
        let Forwarded {
            service_name, port, ..
        } = request;
        url.set_path(&format!(
            "/r/projects/{project}/{service_name}:{port}{path}"
        ));
        url.set_query(query);
        let what = format!("POST {}", url.path());
        let mut sent = self
            .authorized(self.http.post(url))
            .timeout(self.change_timeout)
            .body(request.body.to_vec());
        if let Some(content_type) = request.content_type {
            sent = sent.header(CONTENT_TYPE, content_type);
        }
        let begun = recording::begin();
        let result = match sent.send().await {
            Ok(response) => answer::forwarded(&what, response).await,
            Err(error) => Err(answer::no_answer(&what, &error).into_error()),
        };
        begun.end(what, result.as_ref().err().map(ToString::to_string));
        result
    }

    /// All resources of a type, over all pages. Rows shift between pages when others are removed meanwhile, so
    /// the same one can come twice.
    pub(super) async fn list(&self, kind: &str) -> Result<Vec<Value>, PlatformError> {
        let mut marker: Option<String> = None;
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut url = self.url(&[kind]);
            url.query_pairs_mut().append_pair("limit", PAGE);
            if let Some(marker) = &marker {
                url.query_pairs_mut().append_pair("marker", marker);
            }
            let mut page = self
                .call(Method::GET, url, None)
                .await
                .map_err(answer::Failure::into_error)?;
            let next = page["pagination"]["next"].as_str().and_then(marker_in);
            if let Value::Array(data) = page["data"].take() {
                all.extend(
                    data.into_iter()
                        .filter(|one| seen.insert(one["id"].to_string())),
                );
            }
            match next {
                Some(next) if marker.as_ref() != Some(&next) => marker = Some(next),
                _ => break,
            }
        }
        Ok(all)
    }

    /// Subscribes to the changes of the environment's resources.
    pub(super) async fn subscribe(&self) -> Result<WebSocketStream<Upgraded>, PlatformError> {
        let mut url = self.url(&["subscribe"]);
        url.query_pairs_mut()
            .append_pair("eventNames", "resource.change");
        let what = format!("GET {}", url.path());
        let key = generate_key();
        let request = self
            .authorized(self.http.get(url))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let no_answer = |error| answer::no_answer(&what, &error).into_error();
        let response = request.send().await.map_err(no_answer)?;
        let expected = derive_accept_key(key.as_bytes());
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || accepted.is_none_or(|accepted| accepted != expected.as_str())
        {
            let message = format!("{what}: no websocket, but {}", response.status());
            return Err(PlatformError::Refused { message });
        }
        let socket = response.upgrade().await.map_err(no_answer)?;
        Ok(WebSocketStream::from_raw_socket(socket, Role::Client, None).await)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Value, answer::Failure> {
        let what = format!("{method} {}", url.path());
        let is_change = method != Method::GET;
        // Cattle answers with a web page to whoever accepts anything.
        let mut request = self
            .authorized(self.http.request(method, url))
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(body) = body {
            request = request.json(body);
        }
        if is_change {
            request = request.timeout(self.change_timeout);
        }
        let begun = recording::begin();
        let result = match request.send().await {
            Ok(response) => answer::read(&what, response).await,
            Err(error) => Err(answer::no_answer(&what, &error)),
        };
        begun.end(what, result.as_ref().err().map(ToString::to_string));
        result
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Some((access_key, secret_key)) => {
                request.basic_auth(access_key, Some(secret_key.expose()))
            }
            None => request,
        }
    }
}

/// The marker in the address of a list's next page, whatever host that names.
fn marker_in(next: &str) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "marker")
        .map(|(_, marker)| marker.into_owned())
}
