//! Where the project's files are.

use std::env;
use std::path::{Path, PathBuf};

/// A file of the project, by its path there. Cargo says where that is: what runs may have been compiled in another clone that
/// builds into the same folder. What is run without cargo is of the clone that it was compiled in.
pub fn path(within: impl AsRef<Path>) -> PathBuf {
    let tests = env::var_os("CARGO_MANIFEST_DIR");
    let tests = tests.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&tests).join("..").join(within)
}
