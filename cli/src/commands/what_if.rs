//! `stormhook replay --what-if`: what the recorded triggers would have done under a changed receiver, beside what they
//! did. Nothing is sent and nothing changes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;
use stormhook_shared::domain::outcome::Verdict;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::what_if::{Comparison, Row, Side};

use super::receivers::read_json;
use super::table::{print, print_json, table};
use crate::arguments::{Format, ReplayOptions};
use crate::chart;
use crate::client::Client;

/// The most triggers that the API shows at once.
const LARGEST_PAGE: u64 = 1_000;

/// Compares what was between two times with what would have been under the receiver in `file`.
pub async fn run(
    client: &Client,
    options: &ReplayOptions,
    file: &Path,
    since: Timestamp,
    until: Timestamp,
) -> Result<()> {
    let change = read_json(file)?;
    let named = options.receiver.as_deref();
    let named = named.or(change["id"].as_str()).or(change["name"].as_str());
    let named = named.with_context(|| {
        format!(
            "{} names no receiver: add its id or its name, or give --receiver",
            file.display()
        )
    })?;
    let id = client.receiver_id(named).await?;
    let comparison = compare(client, &id, &change, since, until, options.limit).await?;
    if let Some(path) = &options.chart {
        chart::draw(&comparison, path)?;
    }
    match options.output.format {
        Format::Json => print_json(&serde_json::to_value(&comparison)?),
        Format::Table => show(&comparison),
    }
}

async fn compare(
    client: &Client,
    receiver: &str,
    change: &Value,
    since: Timestamp,
    until: Timestamp,
    limit: u64,
) -> Result<Comparison> {
    let path = format!("receivers/{receiver}/what-if");
    let (since, until) = (since.to_string(), until.to_string());
    let mut all: Option<Comparison> = None;
    loop {
        let rows = all.as_ref().map_or(&[][..], |all| &all.rows);
        let rest = limit
            .saturating_sub(rows.len() as u64)
            .min(LARGEST_PAGE)
            .to_string();
        let after = rows.last().map_or(0, |row| row.sequence.0).to_string();
        let query = [
            ("since", since.as_str()),
            ("until", &until),
            ("limit", &rest),
            ("after", &after),
        ];
        let page = client.send(Method::POST, &path, &query, change).await?;
        let page: Comparison = serde_json::from_value(page).context("read the comparison")?;
        let all = match &mut all {
            None => all.insert(page),
            Some(all) => {
                all.rows.extend(page.rows);
                all.has_more = page.has_more;
                all
            }
        };
        if !all.has_more || all.rows.len() as u64 >= limit {
            return Ok(all.clone());
        }
    }
}

fn show(comparison: &Comparison) -> Result<()> {
    if comparison.triggers == 0 {
        return print("no trigger of the receiver's group was settled in that time");
    }
    let mut rows = table(&["accepted", "receiver", "was", "would have been", ""]);
    for row in &comparison.rows {
        rows.add_row(in_words(row));
    }
    print(&rows.to_string())?;
    if comparison.has_more {
        let more = comparison
            .triggers
            .saturating_sub(comparison.rows.len() as u64);
        print(&format!("… and {more} more: see --limit"))?;
    }
    print(&format!("\n{}", summary(comparison)))?;
    if comparison.without_body > 0 {
        print(&format!(
            "{} bodies are not in the trigger log any more; these triggers were decided as if they had none",
            comparison.without_body
        ))?;
    }
    print(&format!(
        "{} of {} triggers would have come to another end",
        comparison.different, comparison.triggers
    ))
}

fn in_words(row: &Row) -> [String; 5] {
    let end = |verdict: &Verdict| {
        let scale = match (verdict.from, verdict.to) {
            (Some(from), Some(to)) if from != to => format!(" {from} → {to}"),
            (Some(from), _) => format!(" at {from}"),
            _ => String::new(),
        };
        format!("{}{scale}", verdict.code)
    };
    [
        row.accepted_at.to_string(),
        row.receiver_name.clone().unwrap_or_else(|| "-".to_owned()),
        end(&row.recorded),
        end(&row.what_if),
        if row.differs { "≠" } else { "" }.to_owned(),
    ]
}

fn summary(comparison: &Comparison) -> String {
    let mut rows = table(&["", "was", "would have been"]);
    let (was, would) = (&comparison.recorded, &comparison.what_if);
    let mut row = |name: &str, of: &dyn Fn(&Side) -> String| {
        rows.add_row([name.to_owned(), of(was), of(would)]);
    };
    let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    row("actions", &|side| side.actions.to_string());
    row("rejected", &|side| side.rejected.to_string());
    row("skipped", &|side| side.skipped.to_string());
    row("failed", &|side| side.failed.to_string());
    row("lowest scale", &|side| number(side.lowest));
    row("highest scale", &|side| number(side.highest));
    row("scale at the end", &|side| number(side.last));
    row("time at maximum", &|side| match side.maximum {
        Some(maximum) => format!(
            "{:?} (of {maximum})",
            Duration::from_millis(side.millis_at_maximum)
        ),
        None => "-".to_owned(),
    });
    rows.to_string()
}
