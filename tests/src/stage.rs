//! A stage for what a process does to its platform: the platform lives on when the process is killed at any moment of it.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use stormhook_shared::domain::time::Timestamp;
use tokio::process::Child;

use crate::up::{Hook, Up, sandbox};
use crate::wire::{Moment, Wire};

/// A practice platform that goes on when `up` is killed: a process of its own, with a wire between the two.
pub struct Stage {
    folder: PathBuf,
    /// The practice platform's address, without `/v2-beta`.
    platform: String,
    _platform: Child,
    /// What `up` reaches it over.
    pub wire: Wire,
}

impl Stage {
    /// Starts the practice platform on new data in `folder`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn set(folder: &Path) -> Self {
        let (child, api) = sandbox(&folder.join("platform"), &[]).await;
        let platform = api.trim_end_matches("/v2-beta").to_owned();
        let wire = Wire::start(platform.trim_start_matches("http://")).await;
        let text = format!(
            "[projects.1a5]\nplatform = \"rancher\"\nurl = \"{}/v2-beta\"\n",
            wire.address
        );
        std::fs::write(folder.join("stormhook.toml"), text).expect("the folder can be written");
        Self {
            folder: folder.to_owned(),
            platform,
            _platform: child,
            wire,
        }
    }

    /// Starts `up` on the data that it left.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self) -> Up {
        let config = self.folder.join("stormhook.toml");
        let config = config.to_str().expect("a path of letters");
        let mut up = Up::start_with(&self.folder.join("data"), &["--config", config]).await;
        up.sandbox.clone_from(&self.platform);
        up
    }

    /// Kills `up` without warning, so that what is stopped on the wire is lost, and starts it again.
    ///
    /// # Panics
    /// When it cannot be killed, or does not start again.
    pub async fn restart(&self, up: Up) -> Up {
        up.kill().await;
        self.wire.open();
        self.start().await
    }

    /// Fires `hook` with `body`, kills `up` at `moment` of what that leads to, and starts it again. Returns it once
    /// everything is settled, with everything that is known of the trigger. What had been planned is what was done.
    ///
    /// # Panics
    /// When it is not accepted, the moment does not come, or the trigger was planned anew.
    pub async fn killed_at(&self, moment: Moment, up: Up, hook: &Hook, body: &str) -> (Up, Value) {
        self.wire.stop_at(moment);
        let (status, fired) = up.post(hook, body, &[]).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{fired}");
        self.wire.stopped().await;
        let killed = Timestamp::now();
        let up = self.restart(up).await;
        up.settled().await;
        let path = format!("triggers/{}", fired["id"].as_str().expect("it has an id"));
        let (status, told) = up.api(Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        let planned = told["plan"]["decidedAt"].as_str();
        let planned: Timestamp = planned
            .and_then(|time| time.parse().ok())
            .unwrap_or_else(|| panic!("{moment:?}: it has no plan: {told}"));
        let is_old = planned <= killed;
        assert_eq!(
            is_old,
            moment.has_plan(),
            "{moment:?}: killed at {killed}: {told}"
        );
        (up, told)
    }
}
