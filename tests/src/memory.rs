//! How much memory a program held.

use tokio::process::Child;

/// The most memory that it held so far, in bytes.
///
/// # Panics
/// When it does not run, or the system does not tell.
pub(crate) fn peak(program: &Child) -> u64 {
    let id = program.id().expect("it runs");
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("Linux tells");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    1_024 * kilobytes.expect("a number of kB")
}
