//! `stormhook audit verify`: has a worker read its whole outcome log, and tells the first entry that is not as it was.

use std::time::Instant;

use anyhow::{Result, bail};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::bar;
use crate::arguments::VerifyOptions;
use crate::client::Client;
use crate::commands::table::print;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    worker: String,
    job: u64,
    first: u64,
    number: u64,
    hash: String,
    entries: u64,
    is_done: bool,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    entry: Option<u64>,
    message: String,
}

/// Goes on until everything was read or something is wrong.
pub async fn run(options: VerifyOptions) -> Result<()> {
    let client = Client::new(&options.server)?;
    let began = Instant::now();
    let mut seen = ask(&client, options.worker.as_deref(), None).await?;
    let bar = bar(seen.entries.saturating_sub(seen.first - 1))?;
    while !seen.is_done && seen.problem.is_none() {
        bar.set_length(seen.entries.saturating_sub(seen.first - 1));
        bar.set_position((seen.number + 1).saturating_sub(seen.first));
        seen = ask(&client, Some(&seen.worker), Some(seen.job)).await?;
    }
    bar.finish_and_clear();
    let worker = &seen.worker;
    let Some(problem) = seen.problem else {
        let count = (seen.number + 1).saturating_sub(seen.first);
        let seconds = began.elapsed().as_secs_f64();
        return print(&format!(
            "{count} entries are as they were written: {} to {}, read in {seconds:.1} s ({:.0}/s) on worker {worker}\nhead {}",
            seen.first,
            seen.number,
            count as f64 / seconds,
            seen.hash
        ));
    };
    let place = match problem.entry {
        Some(number) => format!("entry {number}: "),
        None => String::new(),
    };
    if options.rebuild {
        let query = [("action", "rebuild"), ("worker", worker)];
        client
            .send(Method::POST, "audit/log", &query, &json!({}))
            .await?;
        bail!(
            "the outcome log of worker {worker} was damaged: {place}{}; it is set aside, and built anew now",
            problem.message
        );
    }
    bail!(
        "the outcome log of worker {worker} is damaged: {place}{}; keep a copy of it if it is evidence, then build it anew with: stormhook audit verify --rebuild",
        problem.message
    )
}

async fn ask(client: &Client, worker: Option<&str>, job: Option<u64>) -> Result<Verification> {
    let job = job.map(|job| job.to_string());
    let mut query = Vec::new();
    query.extend(worker.map(|worker| ("worker", worker)));
    query.extend(job.as_deref().map(|job| ("job", job)));
    let nothing = json!({});
    let answer = client.send(Method::POST, "audit/verification", &query, &nothing);
    Ok(serde_json::from_value(answer.await?)?)
}
