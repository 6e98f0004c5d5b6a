//! One module a command.

pub mod completions;
pub mod history;
pub mod import;
pub mod receivers;
pub mod sandbox;
pub mod table;
pub mod trigger;
