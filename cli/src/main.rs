//! `stormhook`: runs everything in one process (`up`), the practice platform alone (`sandbox`), and speaks to a
//! running Stormhook over its HTTP API (all other commands).

mod arguments;
mod chart;
mod client;
mod commands;
mod moment;
mod printable;
mod up;

use std::process::ExitCode;

use clap::Parser;
use stormhook_shared::program::causes::with_causes;

use arguments::{Arguments, Command};
use printable::printable;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Up(options) => up::run(options).await,
        Command::Sandbox(options) => commands::sandbox::run(options).await,
        Command::Receivers(command) => commands::receivers::run(command).await,
        Command::Trigger(options) => commands::trigger::run(options).await,
        Command::History(options) => commands::history::run(options).await,
        Command::Show(options) => commands::show::run(options).await,
        Command::Replay(options) => commands::replay::run(options).await,
        Command::Audit(command) => commands::audit::run(command).await,
        Command::Backup(options) => commands::backup::run(options).await,
        Command::Restore(options) => commands::restore::run(&options),
        Command::Completions { shell } => commands::completions::run(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told = printable(&with_causes(error.as_ref()));
            eprintln!("stormhook: {told}");
            ExitCode::FAILURE
        }
    }
}
