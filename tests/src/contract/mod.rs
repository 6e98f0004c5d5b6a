//! The contract of every port, as laws that any adapter can be put through. Each takes a backbone with nothing in it.

pub mod cursors;
pub mod ledger;
pub mod questions;
pub mod registry;
pub mod trigger_log;
