//! The record that cannot be altered unnoticed: its entries, the chain of hashes over them, signed heads of the chain,
//! and exports that can be checked without any server. Pure; the outcome log on disk is the worker's.

pub mod chain;
pub mod entry;
pub mod export;
pub mod head;
pub mod heads;
