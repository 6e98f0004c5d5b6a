//! `stormhook audit calls`: who managed what, and what that changed.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::arguments::{CallsOptions, Format};
use crate::client::Client;
use crate::commands::table::{print, print_json, table, text};

/// The most that the API gives at once.
const LARGEST_PAGE: u64 = 1_000;
/// In how many calls a receiver is looked for.
const MOST_CALLS: u64 = 100_000;

/// Prints the project's management calls, the newest first.
pub async fn run(options: CallsOptions) -> Result<()> {
    let client = Client::new(&options.output.server)?;
    let calls = client.calls(options.limit).await?;
    if options.output.format == Format::Json {
        return print_json(&Value::Array(calls));
    }
    if calls.is_empty() {
        return print("nobody has managed anything yet");
    }
    let mut rows = table(&["entry", "when", "who", "from", "what", "which", "change"]);
    for call in &calls {
        rows.add_row(row(call));
    }
    print(&rows.to_string())
}

impl Client {
    /// The id of a receiver that is gone, by its name then.
    pub async fn former_receiver(&self, name: &str) -> Result<Option<String>> {
        let calls = self.calls(MOST_CALLS).await?;
        let named = calls.iter().find(|call| {
            let subject = &call["subject"];
            subject["type"] == "receiver" && subject["name"] == name
        });
        Ok(named.map(|call| text(&call["subject"]["id"])))
    }

    /// The newest management calls, at most `limit`.
    pub async fn calls(&self, limit: u64) -> Result<Vec<Value>> {
        let first = limit.min(LARGEST_PAGE).to_string();
        let mut page = self.get("audit/calls", &[("limit", &first)]).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut calls = Vec::new();
        loop {
            calls.extend(page["data"].as_array().cloned().unwrap_or_default());
            match page["pagination"]["next"].as_str() {
                Some(next) if calls.len() < limit => page = self.get_page(next).await?,
                _ => break,
            }
        }
        calls.truncate(limit);
        Ok(calls)
    }
}

fn row(call: &Value) -> [String; 7] {
    let number = text(&call["number"]);
    if call["type"] == "notDone" {
        let change = format!(
            "the call at {} was not carried out: {}",
            text(&call["revision"]),
            text(&call["reason"])
        );
        let none = || "-".to_owned();
        return [
            number,
            text(&call["at"]),
            none(),
            none(),
            none(),
            none(),
            change,
        ];
    }
    let subject = &call["subject"];
    let which = match (subject["name"].as_str(), &call["after"]["id"]) {
        (Some(name), _) => name.to_owned(),
        (None, id) if subject["type"] == "triggers" => text(id),
        (None, _) => text(&subject["id"]),
    };
    [
        number,
        text(&call["at"]),
        text(&call["accessKey"]),
        text(&call["source"]["address"]),
        text(&call["call"]),
        which,
        match call["call"].as_str() {
            Some("replay") => replay(&call["after"]),
            _ => change(&call["before"], &call["after"]),
        },
    ]
}

/// Which triggers a replay sends again.
fn replay(wish: &Value) -> String {
    let mut told = format!(
        "{} triggers since {} until {}",
        text(&wish["triggers"]),
        text(&wish["since"]),
        text(&wish["until"])
    );
    for (name, field) in [
        ("receiver", "receiverId"),
        ("group", "group"),
        ("status", "status"),
    ] {
        if let Some(value) = wish[field].as_str() {
            told.push_str(&format!(", {name} {value}"));
        }
    }
    if wish["ignoresCooldown"] == true {
        told.push_str(", ignoring cooldowns");
    }
    format!("{told}, {} a second", text(&wish["rate"]))
}

/// The fields that differ.
fn change(before: &Value, after: &Value) -> String {
    let none = Map::new();
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_else(|| none.clone());
    let (old, new) = (fields(before), fields(after));
    if old.is_empty() || new.is_empty() {
        let only = if old.is_empty() { new } else { old };
        let told = ["driver", "trigger"]
            .into_iter()
            .find_map(|field| only.get(field));
        return told.map(text).unwrap_or_default();
    }
    let differing = new.iter().filter(|(name, value)| {
        name.as_str() != "revision" && old.get(name.as_str()) != Some(value)
    });
    let told: Vec<_> = differing
        .map(|(name, value)| {
            let before = old.get(name).unwrap_or(&Value::Null);
            format!("{name} {} → {}", text(before), text(value))
        })
        .collect();
    told.join(", ")
}
