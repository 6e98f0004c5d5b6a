//! A fleet as it runs in production: ingresses and workers as processes of their own, on a real NATS cluster, with a
//! practice platform beside it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::up::{Up, program, sandbox};
use crate::{memory, wait};

/// The SHA-256 of the secret key that all ingresses know.
const SECRET_SHA256: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
/// The keys that all ingresses know.
pub const ADMIN: (&str, &str) = ("admin", "secret");

/// The programs of a fleet, on a backbone and a platform that are there.
pub struct Fleet {
    folder: PathBuf,
    platform: String,
    _sandbox: Option<Child>,
    /// The ingresses; `None` for one that was killed.
    pub ingresses: Vec<Option<Up>>,
    /// The workers; `None` for one that was killed or stopped.
    pub workers: Vec<Option<Worker>>,
}

/// A running `stormhook-worker`.
pub struct Worker {
    child: Child,
    /// Where it answers probes.
    probes: String,
}

impl Fleet {
    /// Starts so many ingresses and workers on the NATS servers at `backbone`, with these lines in the section `[nats]`
    /// of their configuration.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(
        folder: &Path,
        backbone: &str,
        nats: &str,
        ingresses: usize,
        workers: usize,
    ) -> Self {
        let (child, platform) = sandbox(&folder.join("sandbox"), &[]).await;
        let project = format!("[projects.1a5]\nplatform = \"rancher\"\nurl = \"{platform}\"\n");
        let mut fleet = Self::new(folder, (backbone, nats), "", &project);
        fleet.platform = platform.trim_end_matches("/v2-beta").to_owned();
        fleet._sandbox = Some(child);
        for number in 0..ingresses {
            fleet.ingresses.push(None);
            fleet.start_ingress(number).await;
        }
        for number in 0..workers {
            fleet.start_worker(number).await;
        }
        fleet
    }

    /// One without any program yet, on a backbone with lines of its section `[nats]`, for the platform that is described in
    /// `project`, with further lines at the top of the configuration.
    ///
    /// # Panics
    /// When its configuration cannot be written.
    pub fn new(folder: &Path, (backbone, nats): (&str, &str), top: &str, project: &str) -> Self {
        std::fs::write(folder.join("secret"), [7; 32]).unwrap();
        let text = format!(
            "backbone = \"{backbone}\"\nsecret_file = \"secret\"\n{top}\n\
             [nats]\n{nats}\n\
             [[api_keys]]\naccess_key = \"{}\"\nsecret_sha256 = \"{SECRET_SHA256}\"\nrole = \"admin\"\nprojects = [\"*\"]\n{project}",
            ADMIN.0
        );
        std::fs::write(folder.join("stormhook.toml"), text).unwrap();
        Self {
            folder: folder.to_owned(),
            platform: String::new(),
            _sandbox: None,
            ingresses: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// An ingress that runs.
    ///
    /// # Panics
    /// When none does.
    pub fn ingress(&self) -> &Up {
        let mut running = self.ingresses.iter().flatten();
        running.next().expect("an ingress runs")
    }

    /// Starts an ingress that does not run, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_ingress(&mut self, number: usize) {
        let (child, address) = self.spawn_ingress(number).await;
        self.ingresses[number] = Some(Up::at(child, address, self.platform.clone(), ADMIN).await);
    }

    /// Starts an ingress that is not of the fleet yet, and returns it with its address at once.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn spawn_ingress(&self, number: usize) -> (Child, String) {
        let arguments = ["--listen", "127.0.0.1:0"];
        self.spawn(&[], "stormhook-ingress", number, &arguments)
            .await
    }

    /// Takes an ingress in that was spawned, once it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn adopt_ingress(&mut self, child: Child, address: String) {
        let up = Up::at(child, address, self.platform.clone(), ADMIN).await;
        self.ingresses.push(Some(up));
    }

    /// Starts a worker that does not run, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_worker(&mut self, number: usize) {
        self.start_worker_under(number, &[]).await;
    }

    /// The same, started by another program with its arguments.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_worker_under(&mut self, number: usize, starter: &[&str]) {
        let data = self.folder.join(format!("worker{number}"));
        let data = data.to_str().expect("a path of letters");
        let arguments = ["--probe-listen", "127.0.0.1:0", "--data-dir", data];
        let (child, probes) = self
            .spawn(starter, "stormhook-worker", number, &arguments)
            .await;
        wait::until("a worker to be ready", || is_ready(&probes)).await;
        while self.workers.len() <= number {
            self.workers.push(None);
        }
        self.workers[number] = Some(Worker { child, probes });
    }

    /// Kills a worker without warning.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill_worker(&mut self, number: usize) {
        if let Some(mut worker) = self.workers[number].take() {
            worker.child.kill().await.expect("it can be killed");
        }
    }

    /// Asks a worker to stop, and waits until it has.
    ///
    /// # Panics
    /// When it does not end well.
    pub async fn stop_worker(&mut self, number: usize) {
        if let Some(mut worker) = self.workers[number].take() {
            worker.signal("TERM").await;
            let status = worker.child.wait().await.expect("it ends");
            assert!(status.success(), "worker {number} ended with {status}");
        }
    }

    /// Waits until every worker has its share of the partitions.
    ///
    /// # Panics
    /// When that does not come about.
    pub async fn everybody_has_a_share(&self) {
        wait::until("everybody to have a share", || async {
            let mut owned = Vec::new();
            for worker in self.workers.iter().flatten() {
                owned.push(worker.metric("stormhook_partitions_owned").await?);
            }
            let is_shared = owned.iter().all(|owned| *owned > 0) && owned.iter().sum::<u64>() == 32;
            if is_shared {
                Ok(())
            } else {
                Err(format!("{owned:?}"))
            }
        })
        .await;
    }

    /// What a program wrote to standard error so far, over all its starts.
    ///
    /// # Panics
    /// When it never started.
    pub fn log(&self, program: &str, number: usize) -> String {
        std::fs::read_to_string(self.log_file(program, number)).expect("it started")
    }

    fn log_file(&self, program: &str, number: usize) -> PathBuf {
        self.folder.join(format!("{program}{number}.log"))
    }

    /// Starts a program and returns it with the address that it tells.
    async fn spawn(
        &self,
        starter: &[&str],
        name: &str,
        number: usize,
        arguments: &[&str],
    ) -> (Child, String) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file(name, number))
            .unwrap();
        let program = program().with_file_name(name);
        let mut command = match starter {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        let mut child = command
            .arg("--config")
            .arg(self.folder.join("stormhook.toml"))
            .args(["--log-filter", "info"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = lines.next_line().await.expect("it tells its address");
        let line = line.unwrap_or_else(|| {
            panic!("{name} {number} ended: {}", self.log(name, number));
        });
        let address = line.split_whitespace().last().expect("it tells something");
        (child, address.to_owned())
    }
}

impl Worker {
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
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// The most memory that it held so far, in bytes.
    ///
    /// # Panics
    /// When it does not run, or the system does not tell.
    pub fn peak_memory(&self) -> u64 {
        memory::peak(&self.child)
    }

    /// The value of one of its metrics.
    ///
    /// # Errors
    /// When it is not told.
    pub async fn metric(&self, name: &str) -> Result<u64, String> {
        let url = format!("{}/metrics", self.probes);
        let text = async { reqwest::get(url).await?.text().await }.await;
        let text = text.map_err(|error| error.to_string())?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .ok_or_else(|| format!("no {name} in {text}"))
    }
}

async fn is_ready(probes: &str) -> Result<(), String> {
    let answer = crate::up::http()
        .get(format!("{probes}/readyz"))
        .send()
        .await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(answer.text().await.unwrap_or_default())
}
