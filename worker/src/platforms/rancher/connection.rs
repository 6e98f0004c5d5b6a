//! HTTP with a Cattle server. Every path is built on the configured base: links in answers may name another host,
//! and credentials must never go there.

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
use super::rows::{self, Rows};
use crate::platforms::{authorities, recording};

/// How many things a page of a list has.
const PAGE: &str = "1000";
/// How many pages a list may have.
const MOST_PAGES: usize = 1_000;
/// How often a list is read that others make shorter meanwhile.
const MOST_READINGS: usize = 3;

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
    /// Where requests to the environment's services go.
    proxy: Url,
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
            let authorities =
                authorities::read(path).map_err(|reason| RancherError::Authority {
                    path: path.display().to_string(),
                    reason,
                })?;
            builder = builder.tls_certs_merge(authorities);
        }
        let mut base = options.url.clone();
        base.path_segments_mut()
            .map_err(|()| RancherError::Base(options.url.clone()))?
            .pop_if_empty()
            .extend(["projects", project.as_str()]);
        Ok(Self {
            http: builder.build()?,
            proxy: proxy(&options.url, project)?,
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
    pub(super) async fn forward(&self, request: &Forwarded<'_>) -> Result<(), PlatformError> {
        let url =
            address(&self.proxy, request).map_err(|message| PlatformError::Refused { message })?;
        let what = format!("POST {}", url.path());
        let mut sent = self
            .authorized(self.http.post(url))
            .body(request.body.to_vec());
        if let Some(content_type) = request.content_type {
            sent = sent.header(CONTENT_TYPE, content_type);
        }
        let begun = recording::begin();
        let result = match sent.send().await {
            Ok(response) => answer::forwarded(&what, response).await,
            Err(error) => Err(answer::no_answer(&what, &error).into_error().behind_proxy()),
        };
        begun.end(what, result.as_ref().err().map(ToString::to_string));
        result
    }

    /// All resources of a type, over all pages, each once.
    pub(super) async fn list(&self, kind: &str) -> Result<Vec<Value>, PlatformError> {
        for _ in 0..MOST_READINGS {
            if let Some(all) = self.read_list(kind).await? {
                return Ok(all);
            }
        }
        Err(PlatformError::Transient {
            message: format!("GET {kind}: they are removed faster than they can be read"),
            retry_after: None,
            is_untouched: true,
            is_down: false,
        })
    }

    /// The same; `None` where so many were removed meanwhile that some may have been passed over.
    async fn read_list(&self, kind: &str) -> Result<Option<Vec<Value>>, PlatformError> {
        let mut marker: Option<String> = None;
        let mut overlaps = false;
        let mut rows = Rows::default();
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
            let data = match page["data"].take() {
                Value::Array(data) => data,
                _ => Vec::new(),
            };
            let count = data.len();
            let follows = rows.add(data);
            if overlaps && !follows {
                return Ok(None);
            }
            let Some((next, has_old)) = next.map(|next| rows::with_overlap(next, count)) else {
                return Ok(Some(rows.into_all()));
            };
            if marker.as_ref() == Some(&next) {
                break;
            }
            (marker, overlaps) = (Some(next), has_old);
        }
        let message = format!("GET {kind}: its pages do not come to an end");
        Err(PlatformError::Refused { message })
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
        let action = url.query_pairs().find(|(name, _)| name == "action");
        let action = action.map_or_else(String::new, |(_, action)| format!("?action={action}"));
        let what = format!("{method} {}{action}", url.path());
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
            Ok(response) => answer::read(&what, is_change, response).await,
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

/// Where Cattle's proxy listens for requests to services, by the address of its API.
fn proxy(api: &Url, project: &ProjectId) -> Result<Url, RancherError> {
    let is_version = |segment: &str| {
        segment.starts_with('v') && segment[1..].starts_with(|c: char| c.is_ascii_digit())
    };
    let mut proxy = api.clone();
    let has_version = api
        .path_segments()
        .and_then(|mut segments| segments.rfind(|segment| !segment.is_empty()))
        .is_some_and(is_version);
    let mut segments = proxy
        .path_segments_mut()
        .map_err(|()| RancherError::Base(api.clone()))?;
    segments.pop_if_empty();
    if has_version {
        segments.pop();
    }
    segments.extend(["r", "projects", project.as_str()]);
    drop(segments);
    Ok(proxy)
}

/// Where `request` goes behind the proxy, or why it would leave the service's own paths.
fn address(proxy: &Url, request: &Forwarded<'_>) -> Result<Url, String> {
    let (path, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path, None),
    };
    let mut url = proxy.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(&format!("{}:{}", request.service_name, request.port));
    }
    let own = format!("{}/", url.path());
    url.set_path(&format!("{own}{}", path.trim_start_matches('/')));
    url.set_query(query);
    let lower = url.path().to_ascii_lowercase();
    // What is behind the proxy may read these as a step out.
    let is_hidden = lower.contains("%2f") || lower.contains("%5c");
    if url.path().starts_with(&own) && !is_hidden {
        Ok(url)
    } else {
        Err(format!("POST {path}: it leads out of the service's paths"))
    }
}

/// The marker in the address of a list's next page, whatever host that names.
fn marker_in(next: &str) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "marker")
        .map(|(_, marker)| marker.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(api: &str, service_name: &str, path: &str) -> Result<String, String> {
        let proxy = proxy(&api.parse().unwrap(), &"1a5".parse().unwrap()).unwrap();
        let request = Forwarded {
            service_name,
            port: 80,
            path,
            content_type: None,
            body: b"",
        };
        address(&proxy, &request).map(String::from)
    }

    #[test]
    fn requests_are_passed_on_beside_the_api() {
        for (api, expected) in [
            (
                "http://rancher/v2-beta",
                "http://rancher/r/projects/1a5/web:80/go?a=1",
            ),
            (
                "http://rancher/v2-beta/",
                "http://rancher/r/projects/1a5/web:80/go?a=1",
            ),
            (
                "https://proxy:8443/rancher/v1",
                "https://proxy:8443/rancher/r/projects/1a5/web:80/go?a=1",
            ),
            (
                "https://proxy/vault",
                "https://proxy/vault/r/projects/1a5/web:80/go?a=1",
            ),
            (
                "https://proxy",
                "https://proxy/r/projects/1a5/web:80/go?a=1",
            ),
        ] {
            assert_eq!(
                forwarded(api, "web", "/go?a=1").as_deref(),
                Ok(expected),
                "{api}"
            );
        }
        assert_eq!(
            forwarded("http://rancher/v2-beta", "web.shop", "/").as_deref(),
            Ok("http://rancher/r/projects/1a5/web.shop:80/")
        );
    }

    #[test]
    fn no_request_is_passed_on_to_anything_but_the_service() {
        for (service, path) in [
            ("web", "/../../../../v2-beta/projects/1a5/services/1s6"),
            ("web", "/%2e%2E/%2e./.%2e/v2-beta/projects/1a5/services/1s6"),
            ("web", "/a/../.."),
        ] {
            let address = forwarded("http://rancher/v2-beta", service, path);
            assert!(address.is_err(), "{address:?}");
        }
        let below = "http://rancher/r/projects/1a5/";
        for service in ["../..", "%2e%2e/x", "a/b"] {
            let address = forwarded("http://rancher/v2-beta", service, "/x");
            assert!(address.is_err(), "{address:?}");
        }
        for service in ["..", "%2e%2e"] {
            let address = forwarded("http://rancher/v2-beta", service, "/x").unwrap();
            let (own, path) = address
                .strip_prefix(below)
                .unwrap()
                .split_once('/')
                .unwrap();
            assert!(own.ends_with(":80") && path == "x", "{address}");
        }
    }
}
