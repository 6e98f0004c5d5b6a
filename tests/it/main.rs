//! Stories of what a user can see, one file each, told through the public interfaces alone.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

mod alert_rules;
mod alert_storm;
mod alertmanager;
mod answers;
mod audit;
mod backup;
mod bad_input;
mod bad_start;
mod chain_of_cause;
mod chaos;
mod command_line;
mod damaged_log;
mod documents;
mod first_steps;
mod fleet;
mod forwarded_requests;
mod history;
mod host_groups;
mod http_letters;
mod imports;
mod live_feed;
mod mixed_storm;
mod older_record;
mod platform_down;
mod platform_news;
mod process_killed;
mod rancher_clients;
mod rancher_connection;
mod rancher_defects;
mod readme;
mod replays;
mod service_upgrades;
mod sessions;
mod sick_platforms;
mod what_if;
