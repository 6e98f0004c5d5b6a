//! What Stormhook's long-running programs have in common: how they log, listen, tell how they are, reach NATS, and are
//! asked to stop, and say what went wrong. What a program does is not here.

mod allocator;
pub mod causes;
pub mod data_folder;
pub mod fleet_options;
pub mod head;
pub mod listener;
pub mod log_options;
pub mod probes;
pub mod reach;
pub mod secret_fingerprint;
pub mod stop;
