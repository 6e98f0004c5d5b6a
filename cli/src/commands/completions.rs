//! `stormhook completions`.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;

/// Prints the completion script for `shell`.
pub fn run(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "stormhook", &mut script);
    super::table::print_as_is(&String::from_utf8(script)?)
}
