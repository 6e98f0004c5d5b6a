//! One module a command.

pub mod completions;
pub mod history;
pub mod receivers;
pub mod sandbox;
mod table;
pub mod trigger;
