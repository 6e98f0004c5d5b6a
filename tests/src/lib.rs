//! What the tests of whole programs have in common: starting a real `stormhook`, speaking to it as its users do,
//! and waiting for conditions. And the contract suites of the ports.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

pub mod browser;
pub mod contract;
pub mod custom_resources;
pub mod events;
pub mod evidence;
pub mod fleet;
pub mod kube;
mod memory;
pub mod nats;
pub mod nats_cluster;
pub mod part;
pub mod project;
pub mod random;
pub mod stage;
pub mod swarm;
pub mod tls;
pub mod up;
pub mod wait;
pub mod wire;
