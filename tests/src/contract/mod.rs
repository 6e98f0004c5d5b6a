//! The contract of every port, as laws that any adapter can be put through. Those of the backbone take one with nothing
//! in it; those of platforms a bench, where services can be made.

pub mod cursors;
pub mod leases;
pub mod ledger;
pub mod platform;
pub mod questions;
pub mod registry;
pub mod trigger_log;
