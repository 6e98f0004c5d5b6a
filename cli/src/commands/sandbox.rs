//! `stormhook sandbox`.

use anyhow::Result;
use stormhook_shared::program::data_folder;
use stormhook_shared::program::stop::stop_signal;

use super::table::print;
use crate::arguments::SandboxOptions;

/// Runs the practice platform until it is told to stop.
pub async fn run(options: SandboxOptions) -> Result<()> {
    options.log.start()?;
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
    stop_signal()?.cancelled().await;
    sandbox.stop().await;
    Ok(())
}
