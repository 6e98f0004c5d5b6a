//! Stories of what a user sees in a real browser.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

mod everyday;
mod hostile;
mod looks;
mod outage;
mod readonly;
mod rotate;
mod sight;
mod storm;
mod what_if;
