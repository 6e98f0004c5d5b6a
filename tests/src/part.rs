//! Parts that tests talk to and that may be missing on a user's machine.

use std::path::PathBuf;

/// The program `name`, if it is on the PATH. Where it is missing, the test that needs it is skipped, and says so; but in
/// CI nothing may be.
///
/// # Panics
/// In CI, when it is missing.
pub fn find(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program: &PathBuf| program.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{name} is missing, and in CI no test may be skipped: scripts/install-test-tools has to install it"
        );
        eprintln!("skipped: {name} is missing; run scripts/install-test-tools");
    }
    found.map(|program| program.to_string_lossy().into_owned())
}
