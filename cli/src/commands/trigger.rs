//! `stormhook trigger`.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::table::{print, print_json, text};
use crate::arguments::{Format, TriggerOptions};
use crate::client::{Client, fire};

/// Fires a hook, and shows the outcome if it was waited for. A rejected or failed trigger is an error.
pub async fn run(options: TriggerOptions) -> Result<()> {
    let url = if options.target.contains("://") {
        options
            .target
            .parse()
            .with_context(|| format!("{:?} is no URL", options.target))?
    } else {
        let client = Client::new(&options.output.server)?;
        let receiver = client.receiver(&options.target).await?;
        let url = receiver["url"].as_str().context(
            "the key that is used may not see trigger URLs; use one with the role member or admin",
        )?;
        url.parse().context("the receiver's URL")?
    };
    let answer = fire(
        url,
        options.data,
        options.wait,
        options.idempotency_key.as_deref(),
    )
    .await?;
    let outcome = &answer["outcome"];
    if options.output.format == Format::Json {
        print_json(&answer)?;
    } else if outcome.is_object() {
        print(&in_words(outcome))?;
    } else if options.wait.is_some() {
        print(&format!(
            "accepted as {}, but it has no outcome yet",
            text(&answer["id"])
        ))?;
    } else {
        print(&format!("accepted as {}", text(&answer["id"])))?;
    }
    match outcome["status"].as_str() {
        Some("rejected" | "failed") => bail!("the trigger was {}", in_words(outcome)),
        _ => Ok(()),
    }
}

fn in_words(outcome: &Value) -> String {
    format!(
        "{} ({}): {}",
        text(&outcome["status"]),
        text(&outcome["code"]),
        text(&outcome["message"])
    )
}
