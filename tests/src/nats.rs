//! A real nats-server as a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{project, wait};

/// A running nats-server with JetStream; it is killed when this is dropped.
pub struct NatsServer {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl NatsServer {
    /// Starts one on a free loopback port, with its store in `folder` and these lines in its configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(folder: &Path, configuration: &str) -> Self {
        Self::start_on(folder, configuration, None).await
    }

    /// Kills it and starts it again at the same address with the same store.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(mut self) -> Self {
        self.kill().await;
        let configuration = std::fs::read_to_string(self.folder.join("nats.conf")).unwrap();
        Self::start_on(&self.folder.clone(), &configuration, Some(self.port)).await
    }

    /// Kills it.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("nats-server can be killed");
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    async fn start_on(folder: &Path, configuration: &str, port: Option<u16>) -> Self {
        let file = folder.join("nats.conf");
        std::fs::write(&file, configuration).unwrap();
        let script = project::path("scripts/nats-server");
        let child = Command::new(script)
            .args(["--addr", "127.0.0.1", "--port"])
            .arg(port.map_or_else(|| "-1".to_owned(), |port| port.to_string()))
            .arg("--config")
            .arg(&file)
            .arg("--ports_file_dir")
            .arg(folder)
            .arg("--log")
            .arg(folder.join("nats.log"))
            .kill_on_drop(true)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("scripts/nats-server runs");
        // The script becomes the server, so that their process is the same.
        let ports = folder.join(format!(
            "nats-server_{}.ports",
            child.id().expect("it runs")
        ));
        let port = wait::until("nats-server to listen", || async {
            let text = std::fs::read_to_string(&ports).map_err(|error| error.to_string())?;
            let ports: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let url = ports["nats"][0].as_str().ok_or("no port")?;
            let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
            port.ok_or_else(|| text.clone())
        })
        .await;
        Self {
            child,
            folder: folder.to_owned(),
            port,
        }
    }
}

/// The configuration of a server with JetStream whose store is in `folder`.
pub fn jetstream(folder: &Path) -> String {
    format!("jetstream {{ store_dir: {:?} }}\n", folder.join("store"))
}
