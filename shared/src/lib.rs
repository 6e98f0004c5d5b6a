//! What every part of Stormhook speaks: the domain's words, the pure decision core, the ports to whatever
//! carries triggers and their record, the adapters behind these ports, configuration and telemetry. Nothing
//! here knows HTTP or a particular platform.

pub mod audit;
pub mod configuration;
pub mod decide;
pub mod directory;
pub mod domain;
pub mod embedded;
pub mod hook_key;
pub mod management_record;
pub mod nats;
pub mod open_plans;
pub mod ports;
pub mod program;
pub mod receiver_json;
pub mod registry_notice;
pub mod session_key;
pub mod telemetry;
pub mod what_if;
