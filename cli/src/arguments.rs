//! The command line. Every long option can also be set by an environment variable `STORMHOOK_<OPTION>`; the
//! command line wins. A flag takes what other programs take there, too: 1 or 0, yes or no, on or off.

mod replay;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use stormhook_shared::audit::head::PublicKey;
use stormhook_shared::configuration::parse_public_url;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::program::log_options::LogOptions;
use url::Url;

use crate::moment::{moment_from_now, span};
pub use replay::{ReplayOptions, ShowOptions};

/// Turns a POST to a secret URL into exactly one safe action on a container platform.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run everything in one process, with a practice platform unless the configuration names a real one
    Up(UpOptions),
    /// Run the practice platform alone
    Sandbox(SandboxOptions),
    /// Manage receivers: the hooks and their trigger URLs
    #[command(subcommand)]
    Receivers(ReceiversCommand),
    /// Fire a hook
    Trigger(TriggerOptions),
    /// Show triggers and what came of them, the newest first
    History(HistoryOptions),
    /// Show one trigger: who asked, what was decided from what, what was called, and what came of it
    Show(ShowOptions),
    /// Send triggers again that were accepted in some time, in their order
    Replay(ReplayOptions),
    /// The record of everything that happened, and its proofs
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Copy the database, the outcome log and the secret of a running `up` into one file
    Backup(BackupOptions),
    /// Make a data folder of a backup
    Restore(RestoreOptions),
    /// Print a script that completes commands and options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options of `up`.
#[derive(Args)]
pub struct UpOptions {
    /// The configuration file; paths in it are relative to it
    #[arg(long, env = "STORMHOOK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the data is kept [default: the user's data folder]
    #[arg(long, env = "STORMHOOK_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8085]
    #[arg(long, env = "STORMHOOK_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// What trigger URLs begin with [default: the address that a request came to]
    #[arg(long, env = "STORMHOOK_PUBLIC_URL", value_name = "URL", value_parser = parse_public_url)]
    pub public_url: Option<Url>,
    /// The file with the deployment's secret, 32 bytes or more [default: one in the data folder]
    #[arg(long, env = "STORMHOOK_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Where the practice platform listens
    #[arg(
        long,
        env = "STORMHOOK_SANDBOX_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8086"
    )]
    pub sandbox_listen: SocketAddr,
    /// How long running actions may take to finish when stopping, in seconds
    #[arg(
        long,
        env = "STORMHOOK_GRACE_SECONDS",
        value_name = "SECONDS",
        default_value_t = 10
    )]
    pub grace_seconds: u64,
    #[command(flatten)]
    pub log: LogOptions,
}

/// Options of `sandbox`.
#[derive(Args)]
pub struct SandboxOptions {
    /// Where to listen
    #[arg(
        long,
        env = "STORMHOOK_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8086"
    )]
    pub listen: SocketAddr,
    /// Where its state is kept [default: the user's data folder]
    #[arg(long, env = "STORMHOOK_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The access key that its API asks for [default: it asks for none]
    #[arg(
        long,
        env = "STORMHOOK_API_ACCESS_KEY",
        value_name = "KEY",
        requires = "api_secret_key"
    )]
    pub api_access_key: Option<String>,
    /// The secret key that its API asks for
    #[arg(
        long,
        env = "STORMHOOK_API_SECRET_KEY",
        value_name = "KEY",
        requires = "api_access_key",
        hide_env_values = true
    )]
    pub api_secret_key: Option<String>,
    #[command(flatten)]
    pub log: LogOptions,
}

/// Which Stormhook to speak to, and as whom. What is left out is read from what `stormhook up` wrote into its
/// data folder; the key there is for that one alone.
#[derive(Args, Clone)]
pub struct ServerOptions {
    /// The address of Stormhook [default: http://127.0.0.1:8085]
    #[arg(long, env = "STORMHOOK_SERVER", value_name = "URL")]
    pub server: Option<Url>,
    /// The project [default: 1a5]
    #[arg(long, env = "STORMHOOK_PROJECT", value_name = "ID")]
    pub project: Option<ProjectId>,
    /// The access key
    #[arg(long, env = "STORMHOOK_ACCESS_KEY", value_name = "KEY")]
    pub access_key: Option<String>,
    /// The secret key
    #[arg(
        long,
        env = "STORMHOOK_SECRET_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub secret_key: Option<String>,
    /// The data folder of `stormhook up` on this machine, for what is not given
    #[arg(long, env = "STORMHOOK_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Commands on receivers.
#[derive(Subcommand)]
pub enum ReceiversCommand {
    /// List the project's receivers
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Create a receiver
    Create {
        #[command(flatten)]
        receiver: NewReceiver,
        #[command(flatten)]
        output: Output,
    },
    /// Show one receiver with its trigger URL
    Show {
        #[command(flatten)]
        receiver: ReceiverChoice,
        #[command(flatten)]
        output: Output,
    },
    /// Change a receiver; its driver and target stay
    Update {
        #[command(flatten)]
        receiver: ReceiverChoice,
        /// A JSON file (- for standard input) with the fields that change
        #[arg(long, env = "STORMHOOK_FILE", value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a receiver; what waits for it is skipped
    Delete {
        #[command(flatten)]
        receiver: ReceiverChoice,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Give a receiver a new trigger URL
    Rotate {
        #[command(flatten)]
        receiver: ReceiverChoice,
        /// How long the old URL stays valid, in seconds
        #[arg(
            long,
            env = "STORMHOOK_OVERLAP_SECONDS",
            value_name = "SECONDS",
            default_value_t = 0
        )]
        overlap_seconds: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Let a disabled receiver act again
    Enable {
        #[command(flatten)]
        receiver: ReceiverChoice,
        #[command(flatten)]
        output: Output,
    },
    /// Take over the receiver hooks of a Rancher 1.x environment; their URLs' keys stay valid
    Import {
        #[command(flatten)]
        rancher: RancherOptions,
        /// Only show what would be done
        #[arg(long, env = "STORMHOOK_DRY_RUN", value_parser = BoolishValueParser::new())]
        dry_run: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Skip a receiver's triggers until it is enabled
    Disable {
        #[command(flatten)]
        receiver: ReceiverChoice,
        /// Enable it again by itself after this many seconds
        #[arg(long, env = "STORMHOOK_SECONDS", value_name = "SECONDS")]
        seconds: Option<u64>,
        #[command(flatten)]
        output: Output,
    },
}

/// A Rancher 1.x environment to read from.
#[derive(Args)]
pub struct RancherOptions {
    /// The base of its API, up to and including /v2-beta
    #[arg(long, env = "STORMHOOK_RANCHER_URL", value_name = "URL")]
    pub rancher_url: Url,
    /// The environment's id there [default: the project's id]
    #[arg(long, env = "STORMHOOK_RANCHER_PROJECT", value_name = "ID")]
    pub rancher_project: Option<ProjectId>,
    /// An access key of Rancher
    #[arg(
        long,
        env = "STORMHOOK_RANCHER_ACCESS_KEY",
        value_name = "KEY",
        requires = "rancher_secret_key"
    )]
    pub rancher_access_key: Option<String>,
    /// Its secret key
    #[arg(
        long,
        env = "STORMHOOK_RANCHER_SECRET_KEY",
        value_name = "KEY",
        requires = "rancher_access_key",
        hide_env_values = true
    )]
    pub rancher_secret_key: Option<String>,
    /// A PEM file with the authority of its certificate
    #[arg(long, env = "STORMHOOK_RANCHER_CA_FILE", value_name = "FILE")]
    pub rancher_ca_file: Option<PathBuf>,
}

/// Where to ask and how to print.
#[derive(Args)]
pub struct Output {
    /// How the result is printed
    #[arg(long, env = "STORMHOOK_FORMAT", value_enum, default_value_t = Format::Table)]
    pub format: Format,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// One receiver.
#[derive(Args)]
pub struct ReceiverChoice {
    /// The receiver's id or name
    pub receiver: String,
}

/// A receiver to create: from a file, or from options for a scaleService receiver.
#[derive(Args)]
pub struct NewReceiver {
    /// A JSON file (- for standard input) as in the API's documentation
    #[arg(long, env = "STORMHOOK_FILE", value_name = "FILE", conflicts_with_all = ["name", "service", "action"])]
    pub file: Option<PathBuf>,
    /// Its name
    #[arg(long, env = "STORMHOOK_NAME", required_unless_present = "file")]
    pub name: Option<String>,
    /// The id of the service to scale
    #[arg(
        long,
        env = "STORMHOOK_SERVICE",
        value_name = "ID",
        required_unless_present = "file"
    )]
    pub service: Option<String>,
    /// Which way it scales
    #[arg(long, env = "STORMHOOK_ACTION", required_unless_present = "file", value_parser = ["up", "down"])]
    pub action: Option<String>,
    /// By how many containers
    #[arg(long, env = "STORMHOOK_AMOUNT", default_value_t = 1)]
    pub amount: u32,
    /// The least scale
    #[arg(long, env = "STORMHOOK_MIN", required_unless_present = "file")]
    pub min: Option<u32>,
    /// The largest scale
    #[arg(long, env = "STORMHOOK_MAX", required_unless_present = "file")]
    pub max: Option<u32>,
    /// Skip triggers within this time after the receiver's last action
    #[arg(long, env = "STORMHOOK_COOLDOWN_SECONDS", value_name = "SECONDS")]
    pub cooldown_seconds: Option<u64>,
}

/// Options of `trigger`.
#[derive(Args)]
pub struct TriggerOptions {
    /// A trigger URL, or a receiver's id or name
    pub target: String,
    /// The body to send
    #[arg(long, env = "STORMHOOK_DATA")]
    pub data: Option<String>,
    /// Wait for the outcome, this many seconds at most (--wait=60; 30 if it does not say)
    #[arg(
        long,
        env = "STORMHOOK_WAIT",
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30"
    )]
    pub wait: Option<u32>,
    /// Send it once however often this command runs with this key
    #[arg(long, env = "STORMHOOK_IDEMPOTENCY_KEY", value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `history`.
#[derive(Args)]
pub struct HistoryOptions {
    /// Only triggers of this receiver (id or name)
    #[arg(long, env = "STORMHOOK_RECEIVER")]
    pub receiver: Option<String>,
    /// Only triggers of this group, like service/1a5/1s5
    #[arg(long, env = "STORMHOOK_GROUP")]
    pub group: Option<String>,
    /// Only triggers in this state: pending, succeeded, rejected, skipped or failed
    #[arg(long, env = "STORMHOOK_STATUS", value_parser = ["pending", "succeeded", "rejected", "skipped", "failed"])]
    pub status: Option<String>,
    /// Only triggers whose outcome has this code, like aboveMax
    #[arg(long, env = "STORMHOOK_CODE")]
    pub code: Option<String>,
    /// Only triggers with this idempotency key
    #[arg(long, env = "STORMHOOK_KEY")]
    pub key: Option<String>,
    /// Only triggers that repeat the one with this id
    #[arg(long, env = "STORMHOOK_REPLAY_OF", value_name = "ID")]
    pub replay_of: Option<String>,
    /// Accepted then or later: 2026-11-23T21:00:00Z, or "2h ago"
    #[arg(long, env = "STORMHOOK_SINCE", value_name = "TIME", value_parser = moment_from_now)]
    pub since: Option<Timestamp>,
    /// Accepted before then
    #[arg(long, env = "STORMHOOK_UNTIL", value_name = "TIME", value_parser = moment_from_now)]
    pub until: Option<Timestamp>,
    /// The oldest first
    #[arg(long, env = "STORMHOOK_OLDEST_FIRST", value_parser = BoolishValueParser::new())]
    pub oldest_first: bool,
    /// How many at most
    #[arg(long, env = "STORMHOOK_LIMIT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// Go on with new ones as they are settled, until interrupted
    #[arg(long, env = "STORMHOOK_FOLLOW", value_parser = BoolishValueParser::new())]
    pub follow: bool,
    /// How they are printed
    #[arg(long, env = "STORMHOOK_FORMAT", value_enum, default_value_t = HistoryFormat::Table)]
    pub format: HistoryFormat,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// Options of `backup`.
#[derive(Args)]
pub struct BackupOptions {
    /// The file; it holds secrets
    pub file: PathBuf,
    /// The file with the deployment's secret, where `up` was given one [default: the one in the data folder]
    #[arg(long, env = "STORMHOOK_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// Options of `restore`.
#[derive(Args)]
pub struct RestoreOptions {
    /// The backup
    pub file: PathBuf,
    /// The data folder, which must be empty or not there [default: the user's data folder]
    #[arg(long, env = "STORMHOOK_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

/// Commands on the record.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Read a worker's whole outcome log, and name the first entry that is not as it was written
    Verify(VerifyOptions),
    /// Print number and hash of the last entry on every worker, or sign it
    Head(HeadOptions),
    /// Write the outcome log with its hashes
    Export(ExportOptions),
    /// Write what retention will drop, with the signed head that vouches for it
    Archive(ArchiveOptions),
    /// Check an export without any server
    Check(CheckOptions),
    /// Show who managed what, the newest first
    Calls(CallsOptions),
}

/// Options of `audit verify`.
#[derive(Args)]
pub struct VerifyOptions {
    /// The worker whose log is read, as audit head names it [default: any]
    #[arg(long, env = "STORMHOOK_WORKER", value_name = "ID")]
    pub worker: Option<String>,
    /// If something is wrong, set the log aside and build it anew
    #[arg(long, env = "STORMHOOK_REBUILD", value_parser = BoolishValueParser::new())]
    pub rebuild: bool,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// Options of `audit head`.
#[derive(Args)]
pub struct HeadOptions {
    /// Compare this entry on all workers [default: the last that all have]
    #[arg(
        long,
        env = "STORMHOOK_AT",
        value_name = "NUMBER",
        conflicts_with = "sign"
    )]
    pub at: Option<u64>,
    /// Sign the head, record that, and print it: to be kept elsewhere
    #[arg(long, env = "STORMHOOK_SIGN", value_parser = BoolishValueParser::new())]
    pub sign: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `audit export`.
#[derive(Args)]
pub struct ExportOptions {
    /// From the first entry that happened then or later: 2026-11-23T21:00:00Z, or "2h ago"
    #[arg(long, env = "STORMHOOK_SINCE", value_name = "TIME", value_parser = moment_from_now)]
    pub since: Option<Timestamp>,
    /// Up to the last entry that happened before then
    #[arg(long, env = "STORMHOOK_UNTIL", value_name = "TIME", value_parser = moment_from_now)]
    pub until: Option<Timestamp>,
    /// As what it is written; only jsonl can be checked
    #[arg(long, env = "STORMHOOK_FORMAT", value_enum, default_value_t = ExportFormat::Jsonl)]
    pub format: ExportFormat,
    /// The file [default: standard output]
    #[arg(long, env = "STORMHOOK_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// Options of `audit archive`.
#[derive(Args)]
pub struct ArchiveOptions {
    /// The file; its signed head is written beside it, as FILE.head.json
    pub file: PathBuf,
    /// What will be dropped within this time, too, like 7d
    #[arg(
        long,
        env = "STORMHOOK_AHEAD",
        value_name = "TIME",
        default_value = "1d",
        value_parser = span
    )]
    pub ahead: SignedDuration,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// As what an export is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Lines of JSON with numbers and hashes
    Jsonl,
    /// For spreadsheets
    Csv,
}

/// Options of `audit check`.
#[derive(Args)]
pub struct CheckOptions {
    /// The export
    pub file: PathBuf,
    /// A file with a signed head that was kept elsewhere; can be given several times
    #[arg(long, env = "STORMHOOK_HEAD", value_name = "FILE")]
    pub head: Vec<PathBuf>,
    /// The public key that all signed heads must be signed with
    #[arg(long, env = "STORMHOOK_KEY", value_name = "HEX")]
    pub key: Option<PublicKey>,
}

/// Options of `audit calls`.
#[derive(Args)]
pub struct CallsOptions {
    /// How many at most
    #[arg(long, env = "STORMHOOK_LIMIT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    #[command(flatten)]
    pub output: Output,
}

/// How history is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryFormat {
    /// For people
    Table,
    /// One JSON object a line
    Json,
    /// For spreadsheets
    Csv,
}
