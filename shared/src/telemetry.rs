//! Logs, metrics and readiness: how a running process tells of itself. What is measured stands beside what is
//! done; here is only what all parts share.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::domain::ids::ProjectId;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Writes logs to standard error from now on, as far as `filter` lets them through (`info`, or directives like
/// `info,stormhook_worker=debug`).
pub fn start_logging(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second start (in tests) keeps the first's settings.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Which parts of a process are ready to do their work, for `/readyz`.
#[derive(Debug, Default)]
pub struct Readiness {
    parts: Mutex<BTreeMap<String, Result<(), String>>>,
    platforms: Mutex<BTreeMap<ProjectId, Result<(), String>>>,
}

impl Readiness {
    /// The part that stands for all that is there only once the process has started.
    const START: &str = "start";

    /// Of a process that is starting: it is not ready before [`Readiness::started`] is called.
    pub fn starting() -> Self {
        let readiness = Self::default();
        readiness.report(Self::START, Err("the process is starting".to_owned()));
        readiness
    }

    /// Everything was started.
    pub fn started(&self) {
        self.report(Self::START, Ok(()));
    }

    /// Notes that `part` is ready, or why it is not.
    pub fn report(&self, part: &str, state: Result<(), String>) {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(part.to_owned(), state);
    }

    /// Notes that the platform of `project` answers, or why it does not. The process is ready all the same: it takes
    /// triggers for a platform that is down, and works for the others.
    pub fn report_platform(&self, project: &ProjectId, state: Result<(), String>) {
        self.platforms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(project.clone(), state);
    }

    /// What was last noted of each project's platform.
    pub fn platforms(&self) -> BTreeMap<ProjectId, Result<(), String>> {
        self.platforms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What was last noted of each part.
    pub fn parts(&self) -> BTreeMap<String, Result<(), String>> {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
