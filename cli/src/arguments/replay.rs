//! Options of the commands that tell of triggers that were, and send them again.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use stormhook_shared::domain::outcome::Status;
use stormhook_shared::domain::time::Timestamp;

use super::Output;
use crate::moment::moment_from_now;

/// Options of `show`.
#[derive(Args)]
pub struct ShowOptions {
    /// The trigger's id, or a receiver's name for the newest of its triggers
    pub trigger: String,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `replay`.
#[derive(Args)]
pub struct ReplayOptions {
    /// Triggers that were accepted then or later: 2026-11-23T21:00:00Z, or "2h ago"
    #[arg(long, env = "STORMHOOK_SINCE", value_name = "TIME", value_parser = moment_from_now)]
    pub since: Timestamp,
    /// Triggers that were accepted before then [default: now]
    #[arg(long, env = "STORMHOOK_UNTIL", value_name = "TIME", value_parser = moment_from_now)]
    pub until: Option<Timestamp>,
    /// Only triggers of this receiver (id or name)
    #[arg(long, env = "STORMHOOK_RECEIVER")]
    pub receiver: Option<String>,
    /// Only triggers of this group, like service/1a5/1s5
    #[arg(long, env = "STORMHOOK_GROUP")]
    pub group: Option<String>,
    /// Only triggers that came to this end: succeeded, rejected, skipped or failed
    #[arg(long, env = "STORMHOOK_STATUS")]
    pub status: Option<Status>,
    /// Send them; without this it is only shown what would be sent
    #[arg(long, env = "STORMHOOK_APPLY", value_parser = BoolishValueParser::new())]
    pub apply: bool,
    /// How many are sent in a second at most
    #[arg(
        long,
        env = "STORMHOOK_RATE",
        value_name = "NUMBER",
        default_value = "50"
    )]
    pub rate: NonZeroU32,
    /// Let them act though their receivers or groups cool down
    #[arg(long, env = "STORMHOOK_IGNORE_COOLDOWN", value_parser = BoolishValueParser::new())]
    pub ignore_cooldown: bool,
    /// Names the replay: under the same name no trigger is sent a second time [default: made of times and filters]
    #[arg(long, env = "STORMHOOK_ID", value_name = "NAME")]
    pub id: Option<String>,
    /// Send nothing, but tell what would have been under the changed receiver in this JSON file (- for standard input)
    #[arg(
        long,
        env = "STORMHOOK_WHAT_IF",
        value_name = "FILE",
        conflicts_with_all = ["apply", "group", "status", "id", "ignore_cooldown"]
    )]
    pub what_if: Option<PathBuf>,
    /// Draw both scales over time into this .svg or .png file
    #[arg(
        long,
        env = "STORMHOOK_CHART",
        value_name = "FILE",
        requires = "what_if"
    )]
    pub chart: Option<PathBuf>,
    /// How many triggers are told one by one with --what-if
    #[arg(long, env = "STORMHOOK_LIMIT", default_value_t = 100)]
    pub limit: u64,
    #[command(flatten)]
    pub output: Output,
}
