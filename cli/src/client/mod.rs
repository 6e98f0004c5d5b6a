//! Speaks to a running Stormhook over its HTTP API, and turns its errors into one sentence.

pub mod credentials;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId};
use url::Url;

use credentials::Credentials;

use crate::arguments::ServerOptions;

/// How long an answer may take, besides what a request itself waits for.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a download may take.
const LONG_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

const NO_JSON: &str = "the server answered with something that is not JSON: is it Stormhook?";

/// A Stormhook to speak to, and as whom.
pub struct Client {
    http: reqwest::Client,
    credentials: Credentials,
}

impl Client {
    /// The Stormhook that the options name; what they leave out is what `up` left in its data folder.
    pub fn new(options: &ServerOptions) -> Result<Self> {
        Ok(Self {
            http: http()?,
            credentials: Credentials::find(options)?,
        })
    }

    /// The project that is spoken of.
    pub fn project(&self) -> &ProjectId {
        &self.credentials.project
    }

    /// Asks for a resource of the management API, like `receivers`.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = self.url(path, query)?;
        self.call(Method::GET, url, None).await
    }

    /// The same, as something else than a tree.
    pub async fn get_as<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T> {
        let url = self.url(path, query)?;
        let bytes = self.bytes(self.request(Method::GET, url)).await?;
        serde_json::from_slice(&bytes)
            .context("the server answered something else: is it this version?")
    }

    /// Writes what stands at `path` to `file`, however long that takes. Returns the answer's headers.
    pub async fn download(&self, path: &str, file: &mut impl Write) -> Result<HeaderMap> {
        let url = self.url(path, &[])?;
        let request = self.request(Method::GET, url).timeout(LONG_TIMEOUT);
        let mut answer = self.sent(request).await?;
        if !answer.status().is_success() {
            read(answer).await?;
            bail!(NO_JSON);
        }
        let headers = answer.headers().clone();
        while let Some(part) = answer.chunk().await.context("read the answer")? {
            file.write_all(&part)?;
        }
        Ok(headers)
    }

    /// Follows the live feed, with every trigger and outcome behind the event `last_id`, or from now on.
    pub async fn events(&self, last_id: Option<&str>) -> Result<Response> {
        let url = self.url("events", &[("complete", "true")])?;
        let mut request = self.request(Method::GET, url).timeout(LONG_TIMEOUT);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let answer = self.sent(request).await?;
        if !answer.status().is_success() {
            read(answer).await?;
            bail!(NO_JSON);
        }
        Ok(answer)
    }

    /// Asks for a page that an earlier answer named, on the server that is spoken to.
    pub async fn get_page(&self, next: &str) -> Result<Value> {
        let next: Url = next
            .parse()
            .with_context(|| format!("the next page's address {next:?}"))?;
        let mut url = self.credentials.server.clone();
        url.set_path(next.path());
        url.set_query(next.query());
        self.call(Method::GET, url, None).await
    }

    /// Calls a resource of the management API with a body.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value> {
        let url = self.url(path, query)?;
        self.call(method, url, Some(body)).await
    }

    /// Calls an action of the management API that has its effect once, however often it is called with this key.
    pub async fn send_once(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        key: &str,
    ) -> Result<Value> {
        let url = self.url(path, query)?;
        let request = self.request(method, url).header("idempotency-key", key);
        self.answer(request).await
    }

    /// Removes a resource of the management API.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let url = self.url(path, &[])?;
        self.call(Method::DELETE, url, None).await.map(|_| ())
    }

    /// The receiver that `choice` names by its id or its name.
    pub async fn receiver(&self, choice: &str) -> Result<Value> {
        let receivers = self.get("receivers", &[]).await?;
        let all = receivers["data"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .find(|receiver| receiver["id"] == choice || receiver["name"] == choice)
            .with_context(|| {
                format!(
                    "project {} has no receiver {choice:?}; see: stormhook receivers list",
                    self.credentials.project
                )
            })
    }

    /// The id of the receiver that `choice` names. History survives receivers: the record of its deletion has its name.
    pub async fn receiver_id(&self, choice: &str) -> Result<String> {
        match self.receiver(choice).await {
            Ok(found) => Ok(found["id"].as_str().unwrap_or_default().to_owned()),
            Err(_) if choice.parse::<ReceiverId>().is_ok() => Ok(choice.to_owned()),
            Err(error) => self.former_receiver(choice).await?.ok_or(error),
        }
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url> {
        let mut url = self.credentials.server.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} cannot be a server's address", self.credentials.server))?
            .pop_if_empty()
            .push("v1-webhooks")
            .extend(path.split('/'));
        url.query_pairs_mut()
            .extend_pairs(query)
            .append_pair("projectId", self.credentials.project.as_str());
        Ok(url)
    }

    async fn call(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value> {
        let mut request = self.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let Credentials {
            access_key,
            secret_key,
            ..
        } = &self.credentials;
        self.http
            .request(method, url)
            .basic_auth(access_key, Some(secret_key.expose()))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value> {
        parse(&self.bytes(request).await?)
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Bytes> {
        read(self.sent(request).await?).await
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response> {
        let server = &self.credentials.server;
        let sent = request.send().await;
        sent.map_err(|error| unreachable(server, &error))
    }
}

/// The server understood, and said no.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// Whether no call with this key would succeed.
    pub fn is_about_access(&self) -> bool {
        matches!(
            self.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        )
    }
}

/// Fires a trigger URL and returns the answer's body.
pub async fn fire(
    url: Url,
    body: Option<String>,
    wait: Option<u32>,
    idempotency_key: Option<&str>,
) -> Result<Value> {
    let mut request = http()?
        .post(url.clone())
        .timeout(TIMEOUT + Duration::from_secs(wait.unwrap_or(0).into()));
    if let Some(body) = body {
        let is_json = serde_json::from_str::<Value>(&body).is_ok();
        let content_type = if is_json {
            "application/json"
        } else {
            "text/plain"
        };
        request = request.header("content-type", content_type).body(body);
    }
    if let Some(wait) = wait {
        request = request.header("prefer", format!("wait={wait}"));
    }
    if let Some(key) = idempotency_key {
        request = request.header("idempotency-key", key);
    }
    // The URL is a secret: errors name only its beginning.
    let mut server = url;
    server.set_query(None);
    let answer = request
        .send()
        .await
        .map_err(|error| unreachable(&server, &error))?;
    let no_access = "; this receiver wants signed requests, which this command cannot make";
    parse(&read_or(answer, no_access).await?)
}

fn http() -> Result<reqwest::Client> {
    // Fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .user_agent(concat!("stormhook/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("prepare the HTTP client")
}

fn unreachable(server: &Url, error: &reqwest::Error) -> anyhow::Error {
    if error.is_connect() {
        return anyhow!(
            "cannot reach {server}: is Stormhook running there? Start it with `stormhook up`, or name it with --server"
        );
    }
    if error.is_timeout() {
        return anyhow!("{server} did not answer in time; try again");
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    anyhow!("cannot speak to {server}: {cause}")
}

fn parse(bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).context(NO_JSON)
}

/// The body of an answer that is none of an error.
async fn read(answer: Response) -> Result<Bytes> {
    read_or(answer, "; give --access-key and --secret-key").await
}

/// The same, with what is to be said where access is refused.
async fn read_or(answer: Response, no_access: &str) -> Result<Bytes> {
    let status = answer.status();
    let bytes = answer.bytes().await.context("read the answer")?;
    if status.is_success() {
        return Ok(bytes);
    }
    let body: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{NO_JSON} (status {status})"))?;
    let message = body["message"].as_str().unwrap_or("no reason was given");
    let hint = match status.as_u16() {
        401 => no_access,
        503 => "; nothing was done, try again",
        _ => "",
    };
    let message = match body["fieldName"].as_str() {
        Some(field) => format!("{message} (field {field}, status {status}){hint}"),
        None => format!("{message} (status {status}){hint}"),
    };
    Err(Refusal { status, message }.into())
}
