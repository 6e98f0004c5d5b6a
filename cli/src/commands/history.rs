//! `stormhook history`.

mod feed;
mod told;

use anyhow::Result;
use serde_json::Value;

use super::table::{print, print_as_is, table, text};
use crate::arguments::{HistoryFormat, HistoryOptions};
use crate::client::Client;
use feed::Feed;
use told::{Filter, Told};

/// The most that the API gives at once.
const LARGEST_PAGE: u64 = 1_000;
const COLUMNS: [&str; 8] = [
    "accepted", "id", "receiver", "group", "state", "code", "scale", "why",
];

/// Shows triggers and what came of them, the newest first; with `--oldest-first`, the oldest first; with `--follow`, what
/// happens from then on, too.
pub async fn run(options: HistoryOptions) -> Result<()> {
    let client = Client::new(&options.server)?;
    let query = query(&client, &options).await?;
    if options.follow {
        return follow(&client, &query, &options).await;
    }
    let triggers = pages(&client, &query, options.limit).await?;
    if triggers.is_empty() && options.format == HistoryFormat::Table {
        return print(&nothing(&client, &query));
    }
    show(&triggers, options.format, true)
}

/// What is said where no trigger is found.
fn nothing(client: &Client, query: &[(&'static str, String)]) -> String {
    let project = client.project();
    if query.iter().any(|(name, _)| *name != "order") {
        format!("project {project} has no triggers like that")
    } else {
        format!("project {project} has no triggers yet")
    }
}

/// Shows the newest, the oldest of them first, and then each trigger as it is accepted and as it is settled. What happens
/// comes from the live feed, which is begun before the list is read: nothing is missed in between, and none of a storm.
async fn follow(
    client: &Client,
    query: &[(&'static str, String)],
    options: &HistoryOptions,
) -> Result<()> {
    let filter = Filter::new(query)?;
    let mut feed = Feed::begin(client).await?;
    let mut triggers = pages(client, query, options.limit).await?;
    triggers.reverse();
    if triggers.is_empty() && options.format == HistoryFormat::Table {
        print(&nothing(client, query))?;
    } else {
        show(&triggers, options.format, true)?;
    }
    let mut told = Told::new(&triggers);
    loop {
        let mut triggers = feed.next().await?;
        triggers.retain(|trigger| told.is_new(trigger) && filter.fits(trigger));
        if !triggers.is_empty() {
            show(&triggers, options.format, false)?;
        }
    }
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
    for (name, value) in [("since", options.since), ("until", options.until)] {
        query.extend(value.map(|at| (name, at.to_string())));
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
                print_as_is(&lines.join("\n"))
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
                print_as_is(&text)
            }
        }
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
