//! What the tests of whole programs have in common: starting a real `stormhook`, speaking to it as its users do,
//! and waiting for conditions. And the contract suites of the ports.

pub mod contract;
pub mod random;
pub mod up;
pub mod wait;
