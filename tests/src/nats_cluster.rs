//! Three nats-servers as one cluster, the third of them in a network namespace of its own where that can be had, so that
//! it can be cut off. Their addresses are of this test alone.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::random::Random;
use crate::{project, wait};

const NODES: usize = 3;

/// A running cluster. Its servers are killed, and the namespace is removed, when it is dropped.
pub struct NatsCluster {
    nodes: Vec<Node>,
    namespace: Option<Namespace>,
}

struct Node {
    child: Option<Child>,
    folder: PathBuf,
    host: String,
    port: u16,
    namespace: Option<String>,
}

/// A network namespace with one link to this machine.
struct Namespace {
    name: String,
    link: String,
}

impl NatsCluster {
    /// Starts one with its stores in `folder`, which are flushed at each `sync_interval`, and waits until it has a leader.
    ///
    /// # Panics
    /// When it does not start; and in CI, when there can be no network namespace.
    pub async fn start(folder: &Path, random: &mut Random, sync_interval: &str) -> Self {
        let subnet = format!("10.213.{}", random.below(250) + 1);
        let namespace = Namespace::make(&subnet).await;
        let near = match &namespace {
            Some(_) => format!("{subnet}.1"),
            None => "127.0.0.1".to_owned(),
        };
        let far = match &namespace {
            Some(_) => format!("{subnet}.2"),
            None => near.clone(),
        };
        let hosts = [near.clone(), near, far];
        let ports = free_ports(2 * NODES).await;
        let (clients, peers) = ports.split_at(NODES);
        let ports: Vec<_> = clients.iter().copied().zip(peers.iter().copied()).collect();
        let routes: Vec<_> = hosts
            .iter()
            .zip(&ports)
            .map(|(host, (_, route))| format!("\"nats://{host}:{route}\""))
            .collect();
        let mut cluster = Self {
            nodes: Vec::new(),
            namespace,
        };
        for (number, (host, (port, route))) in hosts.iter().zip(&ports).enumerate() {
            let folder = folder.join(format!("nats{number}"));
            std::fs::create_dir_all(&folder).unwrap();
            let text = format!(
                "server_name: n{number}\nlisten: \"{host}:{port}\"\n\
                 jetstream {{ store_dir: {:?}, sync_interval: {sync_interval} }}\n\
                 cluster {{ name: test, listen: \"{host}:{route}\", routes: [{}] }}\n",
                folder.join("store"),
                routes.join(", ")
            );
            std::fs::write(folder.join("nats.conf"), text).unwrap();
            let namespace = cluster.namespace.as_ref().filter(|_| number == NODES - 1);
            let mut node = Node {
                child: None,
                folder,
                host: host.clone(),
                port: *port,
                namespace: namespace.map(|namespace| namespace.name.clone()),
            };
            node.start();
            cluster.nodes.push(node);
        }
        cluster.wait_for_a_leader().await;
        cluster
    }

    /// How many servers it has.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// It has some.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Where it listens, as the `backbone` of a configuration.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("{}:{}", node.host, node.port))
            .collect();
        format!("nats://{}", addresses.join(","))
    }

    /// Kills one of the servers.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.nodes[number].child.take() {
            child.kill().await.expect("nats-server can be killed");
        }
    }

    /// Starts one again that was killed.
    pub fn restart(&mut self, number: usize) {
        self.nodes[number].start();
    }

    /// Cuts the last server off from everybody, or joins it again; whether that can be done here.
    ///
    /// # Panics
    /// When the link cannot be switched.
    pub async fn cut_off(&self, is_cut: bool) -> bool {
        let Some(namespace) = &self.namespace else {
            return false;
        };
        let state = if is_cut { "down" } else { "up" };
        ip(&["link", "set", &namespace.link, state]).await.unwrap();
        true
    }

    /// Returns once all servers have all that `streams` hold: any of them may answer who reads.
    ///
    /// # Panics
    /// When they do not come to that.
    pub async fn level(&self, streams: &[&str]) {
        wait::until("all servers to have everything", || async {
            let jetstream = self.jetstream().await?;
            for stream in streams {
                let found = jetstream.get_stream(*stream).await;
                let found = found.map_err(|error| error.to_string())?;
                let cluster = found.cached_info().cluster.clone().unwrap_or_default();
                let is_level = cluster.replicas.len() + 1 == self.nodes.len()
                    && cluster.replicas.iter().all(|one| {
                        one.current && !one.offline && one.lag.is_none_or(|lag| lag == 0)
                    });
                if !is_level {
                    return Err(format!("{stream}: {:?}", cluster.replicas));
                }
            }
            Ok(())
        })
        .await;
    }

    /// Returns once JetStream has a leader that answers.
    async fn wait_for_a_leader(&self) {
        wait::until("the cluster to have a leader", || async {
            let account = self.jetstream().await?.query_account().await;
            account.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
    }

    /// JetStream by way of the first server, which is never cut off.
    async fn jetstream(&self) -> Result<async_nats::jetstream::Context, String> {
        let first = format!("{}:{}", self.nodes[0].host, self.nodes[0].port);
        let client = async_nats::connect(first).await;
        let client = client.map_err(|error| error.to_string())?;
        Ok(async_nats::jetstream::new(client))
    }
}

impl Node {
    fn start(&mut self) {
        let script = project::path("scripts/nats-server");
        let mut command = match &self.namespace {
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(script);
                command
            }
            None => Command::new(script),
        };
        let child = command
            .arg("--config")
            .arg(self.folder.join("nats.conf"))
            .arg("--log")
            .arg(self.folder.join("nats.log"))
            .kill_on_drop(true)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("scripts/nats-server runs");
        self.child = Some(child);
    }
}

impl Namespace {
    /// One whose link has the addresses .1 here and .2 there; `None`, said loudly, where it cannot be made.
    async fn make(subnet: &str) -> Option<Self> {
        let number = subnet.rsplit('.').next().unwrap_or_default().to_owned();
        let namespace = Self {
            name: format!("stormhook{number}"),
            link: format!("storm{number}a"),
        };
        match namespace.set_up(subnet, &format!("storm{number}b")).await {
            Ok(()) => Some(namespace),
            Err(error) => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "no network namespace: {error}"
                );
                eprintln!(
                    "skipped: cutting a nats-server off, as there can be no network namespace ({error}); run as root, with \
                     Debian's iproute2"
                );
                None
            }
        }
    }

    async fn set_up(&self, subnet: &str, far: &str) -> Result<(), String> {
        let name = self.name.as_str();
        let (near_address, far_address) = (format!("{subnet}.1/24"), format!("{subnet}.2/24"));
        ip(&["netns", "add", name]).await?;
        ip(&[
            "link", "add", &self.link, "type", "veth", "peer", "name", far,
        ])
        .await?;
        ip(&["link", "set", far, "netns", name]).await?;
        ip(&["address", "add", &near_address, "dev", &self.link]).await?;
        ip(&["link", "set", &self.link, "up"]).await?;
        ip(&["-n", name, "address", "add", &far_address, "dev", far]).await?;
        ip(&["-n", name, "link", "set", far, "up"]).await?;
        ip(&["-n", name, "link", "set", "lo", "up"]).await
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The link goes with the namespace that its other end is in.
        let _ = std::process::Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
    }
}

async fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().await;
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), error.trim()))
}

async fn free_ports(count: usize) -> Vec<u16> {
    let script = project::path("scripts/free-ports");
    let output = Command::new(script).arg(count.to_string()).output().await;
    let text = String::from_utf8(output.expect("scripts/free-ports runs").stdout).unwrap();
    let ports = text.split_whitespace().map(|port| port.parse().unwrap());
    ports.collect()
}
