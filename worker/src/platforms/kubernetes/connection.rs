//! HTTP with an API server: raw JSON in and out, so that no field is lost that this version does not know.

use std::path::Path;
use std::time::Duration;

use futures::Stream;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request};
use kube::client::Body;
use kube::config::Kubeconfig;
use kube::core::WatchEvent;
use kube::{Client, Config};
use serde_json::{Value, json};
use stormhook_shared::configuration::KubernetesConfiguration;
use stormhook_shared::ports::platform::PlatformError;
use stormhook_shared::program::causes::with_causes;

use super::answer::{self, Failure};
use crate::platforms::recording;

/// As whom changes are made, in the fields' own record of who set them.
pub(super) const FIELD_MANAGER: &str = "stormhook";
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take until there is a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many things a page of a list has.
const PAGE: &str = "500";
/// How often a list is begun again that took too long to be read.
const MOST_RESTARTS: usize = 3;
/// Lists of nothing but names, labels and annotations.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const JSON: &str = "application/json";

/// Why there can be no connection.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The file cannot be used.
    #[error("the kubeconfig {path}: {reason}")]
    Kubeconfig {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// This is no pod with a service account.
    #[error(
        "no kubeconfig is named, and this process does not run in a pod with a service account: {0}"
    )]
    NotInCluster(String),
    /// The HTTP client cannot be made.
    #[error("prepare the connection to the API server: {0}")]
    Client(String),
}

/// How the body of a change is to be understood.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patch {
    /// Lists of Kubernetes' own types are merged by their keys.
    Strategic,
    /// RFC 7386.
    Merge,
    /// A list of operations (RFC 6902).
    Operations,
}

impl Patch {
    fn content_type(self) -> &'static str {
        match self {
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Operations => "application/json-patch+json",
        }
    }
}

/// A list at one moment.
pub(super) struct Snapshot<T> {
    pub(super) items: Vec<T>,
    /// From where a watch goes on.
    pub(super) version: String,
}

pub(crate) struct Connection {
    client: Client,
    change_timeout: Duration,
}

impl Connection {
    pub(crate) fn new(
        options: &KubernetesConfiguration,
        change_timeout: Option<Duration>,
    ) -> Result<Self, KubernetesError> {
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = match &options.kubeconfig {
            Some(path) => from_file(path, options.context.as_deref())?,
            None => Config::incluster()
                .map_err(|error| KubernetesError::NotInCluster(error.to_string()))?,
        };
        // Whoever acts knows what may be tried again: a change that came to no answer may have been made.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let client = Client::try_from(config)
            .map_err(|error| KubernetesError::Client(with_causes(&error)))?;
        Ok(Self {
            client,
            change_timeout: change_timeout.map_or(CALL_TIMEOUT, |most| most.min(CALL_TIMEOUT)),
        })
    }

    /// How long a call may take that changes something.
    pub(crate) fn change_timeout(&self) -> Duration {
        self.change_timeout
    }

    /// What is at `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, JSON, None, CALL_TIMEOUT).await
    }

    /// What the connection goes through, for what keeps to its own conventions.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Makes a thing in the list at `path`.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.change(Method::POST, path, (JSON, body)).await
    }

    /// Deletes what is at `path`, if it still has this UID.
    pub(crate) async fn delete(&self, path: &str, uid: &Value) -> Result<Value, Failure> {
        let options =
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}});
        let body = Some((JSON, &options));
        self.call(Method::DELETE, path, JSON, body, self.change_timeout)
            .await
    }

    /// Asks something of `path` that takes a body, and changes nothing.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let body = Some((JSON, body));
        self.call(Method::POST, path, JSON, body, CALL_TIMEOUT)
            .await
    }

    /// Replaces what is at `path`.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.change(Method::PUT, path, (JSON, body)).await
    }

    /// Changes a part of what is at `path`.
    pub(crate) async fn patch(
        &self,
        path: &str,
        kind: Patch,
        body: &Value,
    ) -> Result<Value, Failure> {
        self.change(Method::PATCH, path, (kind.content_type(), body))
            .await
    }

    /// Passes a request on to `path`, which leads through the server's proxy.
    pub(super) async fn forward(
        &self,
        path: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<(), PlatformError> {
        let what = format!("POST {path}");
        let mut request = Request::post(path);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Body::from(body.to_vec()));
        let request = request.map_err(|error| unsendable(&what, &error).into_error())?;
        let answered = async {
            match self.client.send(request).await {
                Ok(response) => answer::forwarded(&what, response).await,
                Err(error) => Err(answer::no_answer(&what, &error).into_error().behind_proxy()),
            }
        };
        let begun = recording::begin();
        // It may take longer than a lease lasts (docs/decisions/014).
        let result = tokio::time::timeout(CALL_TIMEOUT, answered)
            .await
            .unwrap_or_else(|_| Err(answer::too_late(&what).into_error().behind_proxy()));
        begun.end(what, result.as_ref().err().map(ToString::to_string));
        result
    }

    /// What `keep` makes of each thing in the list at `path`, over all pages; nothing else of them is kept in memory.
    /// `None` where there is no such sort of things. `labels`: a selector as Kubernetes reads it.
    pub(super) async fn list<T>(
        &self,
        path: &str,
        labels: Option<&str>,
        keep: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, PlatformError> {
        let pages = self.pages(path, labels, JSON, keep).await?;
        Ok(pages.map(|pages| pages.items))
    }

    /// The same with the place from where a watch goes on.
    pub(super) async fn snapshot<T>(
        &self,
        path: &str,
        keep: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Snapshot<T>>, PlatformError> {
        self.pages(path, None, JSON, keep).await
    }

    /// The same for what needs no more than their metadata.
    pub(super) async fn list_metadata<T>(
        &self,
        path: &str,
        keep: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, PlatformError> {
        let pages = self.pages(path, None, METADATA_ONLY, keep).await?;
        Ok(pages.map(|pages| pages.items))
    }

    /// What happens to the list at `path` from `version` on, for as long as `most`.
    pub(super) async fn watch(
        &self,
        path: &str,
        version: &str,
        most: Duration,
    ) -> Result<impl Stream<Item = kube::Result<WatchEvent<Value>>> + use<>, String> {
        let seconds = most.as_secs().to_string();
        let query = [
            ("watch", Some("true")),
            ("allowWatchBookmarks", Some("true")),
            ("resourceVersion", Some(version)),
            ("timeoutSeconds", Some(&seconds)),
        ];
        let request = Request::get(with_query(path, &query))
            .body(Vec::new())
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(CALL_TIMEOUT, self.client.request_events(request)).await {
            Ok(Ok(events)) => Ok(events),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn pages<T>(
        &self,
        path: &str,
        labels: Option<&str>,
        accept: &str,
        keep: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Snapshot<T>>, PlatformError> {
        let mut kept = Vec::new();
        let mut place: Option<String> = None;
        let mut restarts = 0;
        loop {
            let query = [
                ("limit", Some(PAGE)),
                ("labelSelector", labels),
                ("continue", place.as_deref()),
            ];
            let page = with_query(path, &query);
            let page = match self
                .call(Method::GET, &page, accept, None, CALL_TIMEOUT)
                .await
            {
                Ok(page) => page,
                Err(Failure::NotFound(_)) => return Ok(None),
                Err(Failure::Expired(_)) if place.is_some() && restarts < MOST_RESTARTS => {
                    restarts += 1;
                    kept.clear();
                    place = None;
                    continue;
                }
                Err(other) => return Err(other.into_error()),
            };
            let items = page["items"].as_array();
            kept.extend(items.into_iter().flatten().filter_map(&keep));
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => place = Some(next.to_owned()),
                _ => {
                    let version = page["metadata"]["resourceVersion"].as_str();
                    return Ok(Some(Snapshot {
                        items: kept,
                        version: version.unwrap_or_default().to_owned(),
                    }));
                }
            }
        }
    }

    async fn change(
        &self,
        method: Method,
        path: &str,
        (content_type, body): (&str, &Value),
    ) -> Result<Value, Failure> {
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        let body = Some((content_type, body));
        self.call(method, &path, JSON, body, self.change_timeout)
            .await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let what = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT, accept);
        let mut bytes = Vec::new();
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type);
            bytes = body.to_string().into_bytes();
        }
        let request = request.body(Body::from(bytes));
        let request = request.map_err(|error| unsendable(&what, &error))?;
        let answered = async {
            match self.client.send(request).await {
                Ok(response) => answer::read(&what, response).await,
                Err(error) => Err(answer::no_answer(&what, &error)),
            }
        };
        let begun = recording::begin();
        let result = tokio::time::timeout(timeout, answered)
            .await
            .unwrap_or_else(|_| Err(answer::too_late(&what)));
        begun.end(what, result.as_ref().err().map(ToString::to_string));
        result
    }
}

fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", query.extend_pairs(given).finish())
}

fn from_file(path: &Path, context: Option<&str>) -> Result<Config, KubernetesError> {
    let unusable = |reason: String| KubernetesError::Kubeconfig {
        path: path.display().to_string(),
        reason,
    };
    let mut file = Kubeconfig::read_from(path).map_err(|error| unusable(with_causes(&error)))?;
    if let Some(context) = context {
        if !file.contexts.iter().any(|one| one.name == context) {
            let named: Vec<_> = file.contexts.iter().map(|one| one.name.as_str()).collect();
            let reason = format!("has no context {context}, but {}", named.join(", "));
            return Err(unusable(reason));
        }
        file.current_context = Some(context.to_owned());
    }
    Config::try_from(file).map_err(|error| unusable(with_causes(&error)))
}

fn unsendable(what: &str, error: &http::Error) -> Failure {
    let message = format!("{what}: the request cannot be written: {error}");
    Failure::Error(PlatformError::Refused { message })
}
