//! A real `stormhook up` as a process of its own, and what its users do with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{memory, wait};

/// A running `stormhook up`.
pub struct Up {
    child: Child,
    http: reqwest::Client,
    /// Its address, like `http://127.0.0.1:40123`.
    pub address: String,
    /// Its practice platform's address, without `/v2-beta`.
    pub sandbox: String,
    access_key: String,
    secret_key: String,
    /// What it printed at its start.
    printed: String,
}

/// The `stormhook` that was built along with these tests.
///
/// # Panics
/// When it was not built.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let program = test
        .ancestors()
        .nth(2)
        .expect("tests stand two folders below the profile's")
        .join("stormhook");
    assert!(
        program.exists(),
        "{} is missing: run scripts/test, or first cargo build --workspace --bins",
        program.display()
    );
    program
}

/// Runs a command of `stormhook` that speaks to the one with its data in `folder`. Returns its exit code, its output and
/// its errors.
///
/// # Panics
/// When it cannot be run.
pub async fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(program())
        .args(arguments)
        .env("STORMHOOK_DATA_DIR", folder)
        .output()
        .await
        .expect("stormhook runs");
    let text = |bytes| String::from_utf8(bytes).expect("its output is a text");
    (
        output.status.code().expect("it was not killed"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A practice platform as a process of its own, and the address of its API.
///
/// # Panics
/// When it does not start.
pub async fn sandbox(folder: &Path, arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(program())
        .args(["sandbox", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("stormhook starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let line = lines.next_line().await.expect("it tells its address");
    let line = line.expect("it runs");
    let address = line.split_whitespace().last().expect("it tells something");
    (child, address.to_owned())
}

/// How long a connection that is not used stays open: shorter than with any server, which would close it just when it is
/// used again.
const IDLE: std::time::Duration = std::time::Duration::from_secs(2);

/// A client for plain HTTP.
///
/// # Panics
/// When it cannot be made.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(70))
        .pool_idle_timeout(IDLE)
        .build()
        .expect("a client with default settings")
}

impl Up {
    /// Starts on the data in `folder`, on free ports, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    /// The same with further arguments.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", folder, arguments).await
    }

    /// The same at this address.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_at(listen: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args([
                "up",
                "--listen",
                listen,
                "--sandbox-listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("stormhook starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut found = [const { String::new() }; 4];
        let mut printed = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            printed.push_str(&line);
            printed.push('\n');
            let word = line
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned();
            for (place, sign) in ["up at", "access key", "secret key", "practice platform"]
                .iter()
                .enumerate()
            {
                if line.contains(sign) {
                    found[place].clone_from(&word);
                }
            }
            if line.contains("history") || line.contains("receivers create") {
                break;
            }
        }
        let [address, access_key, secret_key, sandbox] = found;
        assert!(
            !address.is_empty(),
            "stormhook up ended: {:?}",
            child.wait().await
        );
        let sandbox = sandbox.trim_end_matches("/v2-beta").to_owned();
        let mut up = Self::at(child, address, sandbox, (&access_key, &secret_key)).await;
        up.printed = printed;
        up
    }

    /// What already runs as `child` at `address`, once it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn at(
        child: Child,
        address: String,
        sandbox: String,
        (access_key, secret_key): (&str, &str),
    ) -> Self {
        let up = Self {
            child,
            http: http(),
            address,
            sandbox,
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            printed: String::new(),
        };
        up.ready().await;
        up
    }

    async fn ready(&self) {
        wait::until("ready", || async {
            let answer = self.http.get(format!("{}/readyz", self.address)).send();
            match answer.await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// The access key and the secret key of its administrator.
    pub fn admin_key(&self) -> (&str, &str) {
        (&self.access_key, &self.secret_key)
    }

    /// What it printed at its start, line by line; nothing if something else started it.
    pub fn printed(&self) -> &str {
        &self.printed
    }

    /// Kills it without warning.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Sends it a signal, like `STOP`.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status()
            .await;
        assert!(
            sent.is_ok_and(|status| status.success()),
            "it can be sent a signal"
        );
    }

    /// The most memory that it held so far, in bytes.
    ///
    /// # Panics
    /// When it does not run, or the system does not tell.
    pub fn peak_memory(&self) -> u64 {
        memory::peak(&self.child)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Panics
    /// When it does not end well.
    pub async fn stop(mut self) {
        self.signal("TERM").await;
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "it ended with {status}");
    }

    /// Calls the management API in the demo project.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}/v1-webhooks/{path}{separator}projectId=1a5",
            self.address
        );
        let mut request = self
            .http
            .request(method, url)
            .basic_auth(&self.access_key, Some(&self.secret_key));
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request).await
    }

    /// A request to this address, to be completed.
    pub fn request(&self, method: Method, path_and_query: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path_and_query}", self.address))
    }

    /// The same with the admin key.
    pub fn admin_request(&self, method: Method, path_and_query: &str) -> reqwest::RequestBuilder {
        self.request(method, path_and_query)
            .basic_auth(&self.access_key, Some(&self.secret_key))
    }

    /// Creates a scaleService receiver and returns its trigger URL without the address.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn scaling(
        &self,
        name: &str,
        service: &str,
        action: &str,
        bounds: (u32, u32),
        options: Value,
    ) -> Hook {
        let mut body = json!({
            "name": name, "driver": "scaleService",
            "scaleServiceConfig": {
                "serviceId": service, "action": action, "amount": 1, "min": bounds.0, "max": bounds.1,
            },
        });
        if let (Some(body), Value::Object(options)) = (body.as_object_mut(), options) {
            body.extend(options);
        }
        self.create(&body).await
    }

    /// Creates a receiver and returns its trigger URL without the address.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create(&self, receiver: &Value) -> Hook {
        let (status, created) = self.api(Method::POST, "receivers", Some(receiver)).await;
        assert_eq!(status, StatusCode::OK, "{created}");
        Hook::of(&created)
    }

    /// Creates a scaleHost receiver for the hosts with the label role=web, with further fields of its configuration.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn scaling_hosts(&self, name: &str, action: &str, config: Value) -> Hook {
        let mut receiver = json!({
            "name": name, "driver": "scaleHost",
            "scaleHostConfig": {"hostSelector": {"role": "web"}, "action": action, "amount": 1, "min": 1, "max": 20},
        });
        if let Value::Object(config) = config {
            for (field, value) in config {
                receiver["scaleHostConfig"][field] = value;
            }
        }
        self.create(&receiver).await
    }

    /// Creates a serviceUpgrade receiver for the tag v2 that does not wait for pushes to settle, with further fields of
    /// its configuration.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn upgrading(&self, name: &str, labels: Value, config: Value) -> Hook {
        let mut receiver = json!({
            "name": name, "driver": "serviceUpgrade",
            "serviceUpgradeConfig": {"serviceSelector": labels, "tag": "v2", "settleSeconds": 0},
        });
        if let Value::Object(config) = config {
            for (field, value) in config {
                receiver["serviceUpgradeConfig"][field] = value;
            }
        }
        self.create(&receiver).await
    }

    /// Fires `hook` and returns its trigger with the outcome.
    ///
    /// # Panics
    /// When it has none within a minute.
    pub async fn outcome(&self, hook: &Hook, body: &str) -> Value {
        let (status, trigger) = self.post(hook, body, &[("prefer", "wait=60")]).await;
        assert_eq!(status, StatusCode::OK, "{trigger}");
        trigger
    }

    /// Fires `hook`.
    ///
    /// # Errors
    /// When there is no answer, as the process was killed.
    pub async fn fire(&self, hook: &Hook) -> Result<(StatusCode, Value), reqwest::Error> {
        let answer = self.request(Method::POST, &hook.path).send().await?;
        let status = answer.status();
        Ok((status, answer.json().await?))
    }

    /// Fires `hook` with a body and headers.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(
        &self,
        hook: &Hook,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = self.request(Method::POST, &hook.path).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request).await
    }

    /// All triggers that `filter` (like `&status=failed`) lets through, the newest first.
    ///
    /// # Panics
    /// When history is not answered.
    pub async fn history(&self, filter: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut page = self
            .api(Method::GET, &format!("triggers?limit=1000{filter}"), None)
            .await;
        loop {
            assert_eq!(page.0, StatusCode::OK, "{}", page.1);
            all.extend(page.1["data"].as_array().cloned().unwrap_or_default());
            let Some(next) = page.1["pagination"]["next"].as_str() else {
                return all;
            };
            let path = next
                .strip_prefix(&self.address)
                .expect("pages are on the same server");
            page = read(self.admin_request(Method::GET, path)).await;
        }
    }

    /// Waits until no trigger waits for its outcome.
    ///
    /// # Panics
    /// When one still waits after the deadline.
    pub async fn settled(&self) {
        let patience = std::time::Duration::from_secs(180);
        wait::until_within(patience, "all triggers settled", || async {
            let (status, page) = self
                .api(Method::GET, "triggers?status=pending&limit=1", None)
                .await;
            match page["data"].as_array() {
                Some(waiting) if waiting.is_empty() => Ok(()),
                _ => Err(format!("{status} {page}")),
            }
        })
        .await;
    }

    /// The desired scale of a service, as the practice platform tells it.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn scale(&self, service: &str) -> u64 {
        let url = format!("{}/v2-beta/services/{service}", self.sandbox);
        let (_, service) = read(self.http.get(url)).await;
        service["scale"].as_u64().expect("a service has a scale")
    }

    /// Calls the practice platform's Cattle API.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn cattle(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("{}/v2-beta/{path}", self.sandbox);
        let mut request = self.http.request(method.clone(), url);
        if method != Method::GET {
            request = request.json(body);
        }
        let (status, answer) = read(request).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    /// All things of a kind (`services`, `hosts`) on the practice platform, also those that were removed.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn everything(&self, kind: &str) -> Vec<Value> {
        let url = format!("{}/sandbox/{kind}", self.sandbox);
        let (_, all) = read(self.http.get(url)).await;
        all["data"].as_array().cloned().expect("they are a list")
    }

    /// The names of the hosts that are there, in order, each with its state unless that is active.
    ///
    /// # Panics
    /// When the practice platform does not tell.
    pub async fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<_> = self
            .everything("hosts")
            .await
            .iter()
            .filter(|host| host["removed"].is_null())
            .map(|host| {
                let (name, state) = (host["name"].as_str(), host["state"].as_str());
                match (name.unwrap_or_default(), state.unwrap_or_default()) {
                    (name, "active") => name.to_owned(),
                    (name, state) => format!("{name} ({state})"),
                }
            })
            .collect();
        hosts.sort();
        hosts
    }

    /// Adds services on the practice platform, and returns their ids.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn add_services(&self, new: &Value) -> Vec<String> {
        let url = format!("{}/sandbox/services", self.sandbox);
        let (status, answer) = read(self.http.post(url).json(new)).await;
        assert!(status.is_success(), "{answer}");
        let created = answer["data"].as_array().expect("they are a list");
        let id = |service: &Value| service["id"].as_str().unwrap_or_default().to_owned();
        created.iter().map(id).collect()
    }

    /// Changes something on the practice platform's admin side.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn tweak(&self, path: &str, change: &Value) {
        let url = format!("{}/sandbox/{path}", self.sandbox);
        let (status, answer) = read(self.http.put(url).json(change)).await;
        assert!(status.is_success(), "{answer}");
    }

    /// How many listen for the practice platform's changes.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn subscribers(&self) -> u32 {
        let url = format!("{}/metrics", self.sandbox);
        let answer = self.http.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("a whole answer");
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("sandbox_subscribers "));
        let count = count.and_then(|count| count.parse().ok());
        count.expect("its metrics tell the subscribers")
    }

    /// Waits until so many listen for the practice platform's changes.
    ///
    /// # Panics
    /// When others do.
    pub async fn expect_subscribers(&self, count: u32) {
        wait::until("so many subscribers", || async {
            let found = self.subscribers().await;
            if found == count {
                Ok(())
            } else {
                Err(format!("{found} instead of {count}"))
            }
        })
        .await;
    }

    /// The practice platform's record of changing calls.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn calls(&self) -> Vec<Value> {
        let (_, calls) = read(self.http.get(format!("{}/sandbox/calls", self.sandbox))).await;
        calls["data"].as_array().cloned().expect("calls are a list")
    }

    /// How many changing calls the practice platform has recorded.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn call_count(&self) -> u64 {
        let url = format!("{}/sandbox/calls?limit=0", self.sandbox);
        let (_, calls) = read(self.http.get(url)).await;
        calls["total"].as_u64().expect("calls are counted")
    }
}

/// A trigger URL without the address, which changes from start to start.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Path and query, with the key.
    pub path: String,
    /// The receiver's id.
    pub receiver: String,
}

impl Hook {
    /// The hook of a receiver as the API shows it.
    ///
    /// # Panics
    /// When it has no URL.
    pub fn of(receiver: &Value) -> Self {
        let url = receiver["url"].as_str().expect("a receiver has a url");
        let path = url
            .find("/v1-webhooks")
            .expect("a trigger URL has this path");
        Self {
            path: url[path..].to_owned(),
            receiver: receiver["id"]
                .as_str()
                .expect("a receiver has an id")
                .to_owned(),
        }
    }
}

/// Sends a request and reads the JSON of its answer.
///
/// # Panics
/// When there is no answer.
pub async fn read(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let bytes = answer.bytes().await.expect("a whole answer");
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}
