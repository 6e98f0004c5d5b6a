//! A real Docker Swarm, private to a test, and what its own users do with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::up::read;
use crate::{project, wait};

/// How long engines on a busy machine may take to start or replace containers.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// A running swarm. When this is dropped, or the test's process ends in whatever way, `scripts/dockerd` reads the end of
/// its input, and stops and removes everything.
pub struct Swarm {
    child: Child,
    http: reqwest::Client,
    folder: tempfile::TempDir,
}

/// Whether swarms can be run here: as root, with Docker's engine.
///
/// # Panics
/// When they cannot, in continuous integration.
pub fn is_possible() -> bool {
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let has = |program: &str| {
        std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(program).exists())
        })
    };
    let missing = match (is_root, has("dockerd")) {
        (true, true) => return true,
        (false, _) => "only root can start Docker's engine",
        (true, false) => "there is no dockerd: run scripts/install-test-tools",
    };
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("skipped: {missing}");
    false
}

impl Swarm {
    /// Starts a manager with `workers` beside it, each with the images example/web:v1 and v2.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(workers: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = project::path("scripts/dockerd");
        let mut child = Command::new(script)
            .arg("run")
            .arg(folder.path())
            .arg(workers.to_string())
            // What interrupts the test is not to interrupt this: it cleans up when its input ends.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/dockerd runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = lines.next_line().await.expect("it tells its address");
        assert!(line.is_some_and(|line| line.starts_with("DOCKER_HOST=")));
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .unix_socket(folder.path().join("manager/docker.sock"))
            .build()
            .expect("a client for its socket");
        Self {
            child,
            http,
            folder,
        }
    }

    /// Stops it, and waits until nothing is left of it.
    ///
    /// # Panics
    /// When something goes wrong.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "scripts/dockerd ended with {status}");
    }

    /// The socket of one of its engines: `manager`, `worker1`, …
    pub fn socket(&self, node: &str) -> PathBuf {
        self.folder.path().join(node).join("docker.sock")
    }

    /// A configuration file in `folder` with this swarm as project 1a5, and `more` behind it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configuration(&self, folder: &Path, more: &str) -> String {
        let path = folder.join("stormhook.toml");
        let socket = self.socket("manager");
        let text = format!(
            "[projects.1a5]\nplatform = \"swarm\"\nurl = \"unix://{}\"\n{more}",
            socket.display()
        );
        std::fs::write(&path, text).expect("the file can be written");
        path.display().to_string()
    }

    /// Calls the manager's API.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn api(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request = self
            .http
            .request(method, format!("http://docker/v1.41/{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, answer) = read(request).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Creates a service of example/web:v1 with the labels app=`name`, one replica, and `spec` on top.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create(&self, name: &str, spec: &Value) {
        let mut whole = json!({
            "Name": name, "Labels": {"app": name}, "Mode": {"Replicated": {"Replicas": 1}},
            "TaskTemplate": {"ContainerSpec": {"Image": "example/web:v1"}},
        });
        merge(&mut whole, spec);
        self.api(Method::POST, "services/create", Some(&whole))
            .await;
    }

    /// The same, but no node can run its tasks: they wait, however many there are.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create_unplaceable(&self, name: &str, replicas: u32) {
        let spec = json!({
            "Mode": {"Replicated": {"Replicas": replicas}},
            "TaskTemplate": {"Placement": {"Constraints": ["node.labels.nowhere==true"]}},
        });
        self.create(name, &spec).await;
    }

    /// A service as the engine shows it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn service(&self, name: &str) -> Value {
        self.api(Method::GET, &format!("services/{name}"), None)
            .await
    }

    /// A service's desired scale.
    ///
    /// # Panics
    /// When there is none.
    pub async fn scale(&self, name: &str) -> u64 {
        let service = self.service(name).await;
        let replicas = service["Spec"]["Mode"]["Replicated"]["Replicas"].as_u64();
        replicas.expect("it is replicated")
    }

    /// Changes a service as another user of the swarm would, by whatever `change` makes of its specification.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn change(&self, name: &str, change: &Value) {
        wait::until("the service is changed", || async {
            let service = self.service(name).await;
            let mut spec = service["Spec"].clone();
            merge(&mut spec, change);
            let index = &service["Version"]["Index"];
            let url = format!("http://docker/v1.41/services/{name}/update?version={index}");
            let (status, answer) = read(self.http.post(url).json(&spec)).await;
            // It changes by itself too: its update's state is a part of it.
            if status == StatusCode::OK {
                Ok(())
            } else {
                Err(answer.to_string())
            }
        })
        .await;
    }

    /// Removes a service.
    ///
    /// # Panics
    /// When there is none.
    pub async fn remove(&self, name: &str) {
        self.api(Method::DELETE, &format!("services/{name}"), None)
            .await;
    }

    /// Waits until this many of a service's tasks run.
    ///
    /// # Panics
    /// When they do not in three minutes.
    pub async fn runs(&self, name: &str, count: usize) {
        wait::until_within(PATIENCE, "tasks run", || async {
            let filters = json!({"service": [name]}).to_string();
            let query: String = url::form_urlencoded::byte_serialize(filters.as_bytes()).collect();
            let tasks = self
                .api(Method::GET, &format!("tasks?filters={query}"), None)
                .await;
            let tasks = tasks.as_array().cloned().unwrap_or_default();
            let running = tasks
                .iter()
                .filter(|task| task["Status"]["State"] == "running")
                .count();
            if running == count {
                Ok(())
            } else {
                Err(format!("{running} of {count}: {tasks:?}"))
            }
        })
        .await;
    }

    /// How often a service was written since it was created, by what the engine's events tell.
    ///
    /// # Panics
    /// When they do not tell.
    pub async fn writes(&self, name: &str) -> usize {
        let filters = json!({"type": ["service"], "event": ["update"], "service": [name]});
        let query: String =
            url::form_urlencoded::byte_serialize(filters.to_string().as_bytes()).collect();
        let now = std::time::UNIX_EPOCH.elapsed().expect("it is later");
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let url = format!("http://docker/v1.41/events?since=1&until={until}&filters={query}");
        let events = self.http.get(url).send().await.expect("an answer");
        let text = events.text().await.expect("all of it");
        text.lines().filter(|line| !line.is_empty()).count()
    }

    /// A node by its hostname.
    ///
    /// # Panics
    /// When there is none.
    pub async fn node(&self, hostname: &str) -> Value {
        let nodes = self.api(Method::GET, "nodes", None).await;
        let nodes = nodes.as_array().cloned().unwrap_or_default();
        let found = nodes
            .into_iter()
            .find(|node| node["Description"]["Hostname"] == hostname);
        found.unwrap_or_else(|| panic!("there is no node {hostname}"))
    }

    /// Changes a node by whatever `change` makes of its specification.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn change_node(&self, hostname: &str, change: &Value) {
        let node = self.node(hostname).await;
        let mut spec = node["Spec"].clone();
        merge(&mut spec, change);
        let id = node["ID"].as_str().expect("it has an id");
        let index = &node["Version"]["Index"];
        let path = format!("nodes/{id}/update?version={index}");
        self.api(Method::POST, &path, Some(&spec)).await;
    }

    /// The availability of a node.
    ///
    /// # Panics
    /// When there is none.
    pub async fn availability(&self, hostname: &str) -> String {
        let node = self.node(hostname).await;
        let availability = node["Spec"]["Availability"].as_str();
        availability.expect("it has one").to_owned()
    }
}

/// Puts the fields of `change` into `whole`, at any depth.
fn merge(whole: &mut Value, change: &Value) {
    match (whole, change) {
        (Value::Object(whole), Value::Object(change)) => {
            for (field, value) in change {
                merge(whole.entry(field.clone()).or_insert(Value::Null), value);
            }
        }
        (whole, change) => *whole = change.clone(),
    }
}
