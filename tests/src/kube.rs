//! A real Kubernetes control plane as processes of its own. It has no nodes: pods stay pending, and what a kubelet or
//! another controller would write, tests write themselves.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::up::{Up, read};
use crate::{project, wait};

/// How long a control plane may take to stop.
const LONGEST_STOP: Duration = Duration::from_secs(20);
/// How `scripts/kube-control-plane` ends where its programs are not to be had.
const MISSING: i32 = 3;

/// A running control plane; it stops when this is dropped.
pub struct ControlPlane {
    child: Child,
    /// The script stops everything when this closes, also when the test is killed.
    lifeline: Option<ChildStdin>,
    folder: TempDir,
    http: reqwest::Client,
    /// Its address, like `https://127.0.0.1:40123`.
    pub server: String,
    token: String,
}

impl ControlPlane {
    /// Starts one. `None`, told loudly, where its programs are missing on somebody's own machine.
    ///
    /// # Panics
    /// When it does not start, or is missing where continuous integration runs.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with nobody who makes anything of what is created: what controllers would write, tests write themselves.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_without_controllers() -> Option<Self> {
        Self::start_with(&["--without-controllers"]).await
    }

    async fn start_with(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder for the control plane");
        let script = project::path("scripts/kube-control-plane");
        let mut child = Command::new(script)
            .arg(folder.path())
            .arg("--until-eof")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/kube-control-plane runs");
        let lifeline = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let Ok(Some(kubeconfig)) = lines.next_line().await else {
            let status = child.wait().await.expect("it ends");
            let is_required = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(
                status.code() == Some(MISSING) && !is_required,
                "the control plane does not start: {status}"
            );
            eprintln!("skipped: there is no Kubernetes control plane here; see above");
            return None;
        };
        let text = std::fs::read_to_string(&kubeconfig).expect("it wrote a kubeconfig");
        let quoted = |key: &str| {
            let (_, rest) = text.split_once(key).expect("the kubeconfig has it");
            let value = rest.split('"').nth(1).expect("it is quoted");
            value.to_owned()
        };
        let authority = std::fs::read(quoted("certificate-authority:")).expect("a certificate");
        let authority =
            reqwest::Certificate::from_pem_bundle(&authority).expect("certificates in PEM");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .tls_certs_only(authority)
            .build()
            .expect("a client");
        Some(Self {
            child,
            lifeline: Some(lifeline),
            folder,
            http,
            server: quoted("server:"),
            token: quoted("token:"),
        })
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> String {
        self.folder.path().join("kubeconfig").display().to_string()
    }

    /// A kubeconfig that logs in with `token`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig_with(&self, token: &str) -> String {
        let mark = &token[token.len().saturating_sub(8)..];
        self.changed_kubeconfig(mark, &self.token, token)
    }

    /// A kubeconfig that leads to another `server`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig_at(&self, server: &str) -> String {
        self.changed_kubeconfig("elsewhere", &self.server, server)
    }

    fn changed_kubeconfig(&self, mark: &str, from: &str, to: &str) -> String {
        let text = std::fs::read_to_string(self.kubeconfig()).expect("there is one");
        let path = self.folder.path().join(format!("kubeconfig-{mark}"));
        std::fs::write(&path, text.replace(from, to)).expect("it can be written");
        path.display().to_string()
    }

    /// Starts `stormhook up` on the data in `folder`, with this cluster as project 1a5, seen through `kubeconfig`, and
    /// with further lines in its configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn up(&self, folder: &Path, kubeconfig: &str, further: &str) -> Up {
        let text = format!(
            "[projects.1a5]\nplatform = \"kubernetes\"\nkubeconfig = \"{kubeconfig}\"\n{further}\n"
        );
        let path = folder.join("stormhook.toml");
        std::fs::write(&path, text).expect("the configuration can be written");
        let path = path.to_str().expect("a path in plain letters");
        Up::start_with(&folder.join("data"), &["--config", path]).await
    }

    /// Calls its API as administrator.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> (StatusCode, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.server))
            .bearer_auth(&self.token);
        if let Some((content_type, body)) = body {
            request = request
                .header("content-type", content_type)
                .body(body.to_string());
        }
        read(request).await
    }

    /// What is at `path`.
    ///
    /// # Panics
    /// When there is nothing.
    pub async fn get(&self, path: &str) -> Value {
        let (status, found) = self.call(Method::GET, path, None).await;
        assert!(status.is_success(), "{path}: {found}");
        found
    }

    /// Creates something in the list at `path`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let body = Some(("application/json", body));
        let (status, created) = self.call(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {created}");
        created
    }

    /// Merges `change` into what is at `path`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn merge(&self, path: &str, change: &Value) -> Value {
        let body = Some(("application/merge-patch+json", change));
        let (status, changed) = self.call(Method::PATCH, path, body).await;
        assert!(status.is_success(), "{path}: {changed}");
        changed
    }

    /// Deletes what is at `path`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn delete(&self, path: &str) {
        let (status, answer) = self.call(Method::DELETE, path, None).await;
        assert!(status.is_success(), "{path}: {answer}");
    }

    /// Creates what stands in a YAML file, as `kubectl create` does. What this old control plane does not know is passed
    /// over and returned.
    ///
    /// # Panics
    /// When something is refused.
    pub async fn create_all(&self, file: &Path, query: &str) -> Vec<String> {
        let text = std::fs::read_to_string(file).expect("a file that is there");
        let mut unknown = Vec::new();
        for document in text.split("\n---\n") {
            let object: Value = serde_saphyr::from_str(document).expect("YAML");
            let path = list_path(&object);
            let body = Some(("application/json", &object));
            let (status, answer) = self
                .call(Method::POST, &format!("{path}{query}"), body)
                .await;
            if status == StatusCode::NOT_FOUND {
                let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
                unknown.push(format!("{} {}", text("apiVersion"), text("kind")));
            } else {
                assert!(status.is_success(), "{}: {path}: {answer}", file.display());
            }
        }
        unknown
    }

    /// Waits until a list of custom resources is served.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn served(&self, list: &str) {
        wait::until("a custom resource to be served", || async {
            let url = format!("{}{list}", self.server);
            // Connections are closed when the server takes a new sort of things in.
            match self.http.get(url).bearer_auth(&self.token).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// A token of a service account, which is created if it is not there.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn token(&self, namespace: &str, name: &str) -> String {
        let list = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let body = Some(("application/json", &account));
        self.call(Method::POST, &list, body).await;
        let request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self.create(&format!("{list}/{name}/token"), &request).await;
        let token = answer["status"]["token"].as_str();
        token.expect("a token was made").to_owned()
    }

    /// Creates a namespace.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn namespace(&self, name: &str) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.create("/api/v1/namespaces", &body).await;
    }

    /// Creates a Deployment of one container with this image, with a label `app` of its name, and returns its path.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn deployment(&self, namespace: &str, name: &str, image: &str, scale: u32) -> String {
        let labels = json!({"app": name});
        let body = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "labels": {"app": name, "release": "shop"}},
            "spec": {"replicas": scale, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": image, "env": [{"name": "KEPT", "value": "yes"}]}]},
            }},
        });
        let list = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        self.create(&list, &body).await;
        format!("{list}/{name}")
    }

    /// The scale of the workload at `path`.
    ///
    /// # Panics
    /// When it has none.
    pub async fn scale(&self, path: &str) -> u64 {
        let found = self.get(path).await;
        found["spec"]["replicas"].as_u64().expect("it has a scale")
    }

    /// Rolls the Deployments of a namespace out, as their controller would, until it is dropped: whatever their specification
    /// becomes, their status says that it is there.
    pub fn rollouts(&self, namespace: &str) -> StandIn {
        let (http, token) = (self.http.clone(), self.token.clone());
        let list = format!(
            "{}/apis/apps/v1/namespaces/{namespace}/deployments",
            self.server
        );
        let task = tokio::spawn(async move {
            let watch = http.get(format!("{list}?watch=true")).bearer_auth(&token);
            let mut events = watch.send().await.expect("deployments can be watched");
            let mut text = Vec::new();
            while let Ok(Some(chunk)) = events.chunk().await {
                text.extend_from_slice(&chunk);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<_> = text.drain(..=end).collect();
                    let event: Value = serde_json::from_slice(&line).expect("a line of JSON");
                    let one = &event["object"];
                    let (metadata, replicas) = (&one["metadata"], &one["spec"]["replicas"]);
                    let generation = &metadata["generation"];
                    if event["type"] == "DELETED"
                        || one["status"]["observedGeneration"] == *generation
                    {
                        continue;
                    }
                    let change = json!({"status": {
                        "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
                        "readyReplicas": replicas, "availableReplicas": replicas,
                    }});
                    let name = metadata["name"].as_str().unwrap_or_default();
                    let request = http
                        .patch(format!("{list}/{name}/status"))
                        .bearer_auth(&token)
                        .header("content-type", "application/merge-patch+json")
                        .body(change.to_string());
                    read(request).await;
                }
            }
        });
        StandIn { task }
    }

    /// Makes the pods of a namespace ready, as kubelets would, until it is dropped; but not those with an image that ends
    /// with `broken`.
    pub fn kubelet(&self, namespace: &str, broken: &'static str) -> StandIn {
        let (http, token) = (self.http.clone(), self.token.clone());
        let pods = format!("{}/api/v1/namespaces/{namespace}/pods", self.server);
        let task = tokio::spawn(async move {
            loop {
                let (_, list) = read(http.get(&pods).bearer_auth(&token)).await;
                for pod in list["items"].as_array().into_iter().flatten() {
                    let image = pod["spec"]["containers"][0]["image"].as_str();
                    let is_broken = image.is_some_and(|image| image.ends_with(broken));
                    if pod["status"]["phase"] == "Running" || is_broken {
                        continue;
                    }
                    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                    let change = json!({"status": {"phase": "Running", "conditions": [
                        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
                    let request = http
                        .patch(format!("{pods}/{name}/status"))
                        .bearer_auth(&token)
                        .header("content-type", "application/merge-patch+json")
                        .body(change.to_string());
                    read(request).await;
                }
                tokio::time::sleep(wait::INTERVAL).await;
            }
        });
        StandIn { task }
    }
}

impl Drop for ControlPlane {
    /// Its folder is removed next: nothing may write there any more.
    fn drop(&mut self) {
        self.lifeline.take();
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < LONGEST_STOP {
            std::thread::sleep(wait::INTERVAL);
        }
    }
}

/// What stands in for kubelets or a controller.
pub struct StandIn {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The path of the list that an object belongs to.
fn list_path(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let root = if version.contains('/') { "apis" } else { "api" };
    let kind = text(&object["kind"]).to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    };
    let is_everywhere = matches!(
        kind.as_str(),
        "namespace" | "clusterrole" | "clusterrolebinding" | "customresourcedefinition"
    );
    if is_everywhere {
        return format!("/{root}/{version}/{plural}");
    }
    let namespace = text(&object["metadata"]["namespace"]);
    format!("/{root}/{version}/namespaces/{namespace}/{plural}")
}
