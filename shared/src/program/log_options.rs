//! The options that say what a program logs.

use clap::Args;
use tracing_subscriber::filter::ParseError;

use crate::telemetry::{LogFormat, start_logging};

/// What a long-running program writes to standard error.
#[derive(Debug, Args)]
pub struct LogOptions {
    /// What to log: error, warn, info, debug, trace, or directives like info,stormhook_worker=debug
    #[arg(
        long,
        env = "STORMHOOK_LOG_FILTER",
        value_name = "FILTER",
        default_value = "warn"
    )]
    log_filter: String,
    /// How log lines look
    #[arg(long, env = "STORMHOOK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("--log-filter: {0}")]
pub struct WrongFilter(#[from] ParseError);

impl LogOptions {
    /// Logs as these options say from now on.
    pub fn start(&self) -> Result<(), WrongFilter> {
        Ok(start_logging(&self.log_filter, self.log_format)?)
    }
}
