//! One module a command.

pub mod audit;
pub mod backup;
pub mod completions;
pub mod history;
pub mod import;
pub mod receivers;
pub mod replay;
pub mod restore;
pub mod sandbox;
pub mod show;
pub mod table;
pub mod trigger;
pub mod what_if;
