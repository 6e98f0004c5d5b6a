//! `stormhook sandbox`.

use anyhow::Result;
use stormhook_shared::telemetry::start_logging;

use super::table::print;
use crate::arguments::SandboxOptions;
use crate::up::{data_folder, stop_signal};

/// Runs the practice platform until it is told to stop.
pub async fn run(options: SandboxOptions) -> Result<()> {
    start_logging(&options.log.log_filter, options.log.log_format.into())?;
    let data_dir = match options.data_dir {
        Some(folder) => folder,
        None => data_folder::default_path("stormhook-sandbox")?,
    };
    let sandbox = stormhook_sandbox::start(stormhook_sandbox::SandboxOptions {
        listen: options.listen,
        data_dir,
        access_key: options.api_access_key,
        secret_key: options.api_secret_key,
    })
    .await?;
    print(&format!("practice platform at {}", sandbox.url()))?;
    stop_signal().await?;
    sandbox.stop().await;
    Ok(())
}
