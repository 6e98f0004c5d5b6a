//! `stormhook history`.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use stormhook_shared::domain::time::Timestamp;

use super::table::{print, table, text};
use crate::arguments::{HistoryFormat, HistoryOptions};
use crate::client::Client;
use crate::moment::moment;

/// How often `--follow` asks for what is new.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
/// The most that the API gives at once.
const LARGEST_PAGE: u64 = 1_000;
const COLUMNS: [&str; 8] = [
    "accepted", "id", "receiver", "group", "state", "code", "scale", "why",
];

/// Shows triggers and what came of them, the newest first; with `--follow` or `--oldest-first`, the oldest first.
pub async fn run(options: HistoryOptions) -> Result<()> {
    let client = Client::new(&options.server)?;
    let query = query(&client, &options).await?;
    let mut triggers = pages(&client, &query, options.limit).await?;
    if !options.follow {
        return show(&triggers, options.format, true);
    }
    triggers.reverse();
    show(&triggers, options.format, true)?;
    let mut shown: HashSet<String> = triggers.iter().map(mark).collect();
    loop {
        tokio::time::sleep(FOLLOW_INTERVAL).await;
        let mut triggers = pages(&client, &query, LARGEST_PAGE).await?;
        triggers.reverse();
        let still: HashSet<String> = triggers.iter().map(mark).collect();
        triggers.retain(|trigger| !shown.contains(&mark(trigger)));
        shown = still;
        if !triggers.is_empty() {
            show(&triggers, options.format, false)?;
        }
    }
}

/// A trigger is shown again once it is settled.
fn mark(trigger: &Value) -> String {
    format!("{} {}", trigger["sequence"], text(&trigger["state"]))
}

async fn query(client: &Client, options: &HistoryOptions) -> Result<Vec<(&'static str, String)>> {
    let mut query = Vec::new();
    if let Some(receiver) = &options.receiver {
        let id = client.receiver_id(receiver).await?;
        query.push(("receiverId", id));
    }
    for (name, value) in [
        ("group", &options.group),
        ("status", &options.status),
        ("code", &options.code),
        ("idempotencyKey", &options.key),
        ("replayOf", &options.replay_of),
    ] {
        query.extend(value.clone().map(|value| (name, value)));
    }
    if options.oldest_first && !options.follow {
        query.push(("order", "asc".to_owned()));
    }
    for (name, value) in [("since", &options.since), ("until", &options.until)] {
        if let Some(text) = value {
            let at = moment(text, Timestamp::now()).with_context(|| format!("--{name}"))?;
            query.push((name, at.to_string()));
        }
    }
    Ok(query)
}

async fn pages(
    client: &Client,
    query: &[(&'static str, String)],
    limit: u64,
) -> Result<Vec<Value>> {
    let first = limit.min(LARGEST_PAGE).to_string();
    let mut asked: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    asked.push(("limit", &first));
    let mut page = client.get("triggers", &asked).await?;
    let mut triggers = Vec::new();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    loop {
        if let Some(data) = page["data"].as_array() {
            triggers.extend(data.iter().cloned());
        }
        match page["pagination"]["next"].as_str() {
            Some(next) if triggers.len() < limit => page = client.get_page(next).await?,
            _ => break,
        }
    }
    triggers.truncate(limit);
    Ok(triggers)
}

fn show(triggers: &[Value], format: HistoryFormat, is_first: bool) -> Result<()> {
    match format {
        HistoryFormat::Json => {
            let lines: Vec<_> = triggers.iter().map(Value::to_string).collect();
            if lines.is_empty() {
                Ok(())
            } else {
                print(&lines.join("\n"))
            }
        }
        HistoryFormat::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            if is_first {
                writer.write_record(COLUMNS)?;
            }
            for trigger in triggers {
                writer.write_record(row(trigger))?;
            }
            let text = String::from_utf8(writer.into_inner()?)?;
            if text.is_empty() {
                Ok(())
            } else {
                print(&text)
            }
        }
        HistoryFormat::Table if triggers.is_empty() && is_first => print("no triggers yet"),
        HistoryFormat::Table => {
            let mut rows = table(if is_first { &COLUMNS } else { &[] });
            for trigger in triggers {
                rows.add_row(row(trigger));
            }
            print(&rows.to_string())
        }
    }
}

fn row(trigger: &Value) -> [String; 8] {
    let outcome = &trigger["outcome"];
    let state = if outcome.is_object() {
        text(&outcome["status"])
    } else {
        text(&trigger["state"])
    };
    let scale = match (outcome["from"].as_u64(), outcome["to"].as_u64()) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (Some(from), _) => from.to_string(),
        _ => "-".to_owned(),
    };
    [
        text(&trigger["acceptedAt"]),
        text(&trigger["id"]),
        text(&trigger["receiverName"]),
        text(&trigger["group"]),
        state,
        text(&outcome["code"]),
        scale,
        text(&outcome["message"]),
    ]
}
