//! `stormhook audit head`: number and hash of the last entry, on every worker, and signed on demand.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::arguments::{Format, HeadOptions};
use crate::client::Client;
use crate::commands::table::{print, print_json, table, text};

/// Prints the head, or signs it.
pub async fn run(options: HeadOptions) -> Result<()> {
    let client = Client::new(&options.output.server)?;
    if options.sign {
        let query = [("action", "sign")];
        let nothing = json!({});
        let signed = client.send(Method::POST, "audit/head", &query, &nothing);
        return print_json(&signed.await?);
    }
    let at = options.at.map(|at| at.to_string());
    let query: Vec<_> = at.as_deref().map(|at| ("at", at)).into_iter().collect();
    let head = client.get("audit/head", &query).await?;
    if options.output.format == Format::Json {
        return print_json(&head);
    }
    let workers = head["workers"]
        .as_array()
        .map_or(&[] as &[Value], Vec::as_slice);
    let mut rows = table(&["worker", "entries", "hash of the last"]);
    for worker in workers {
        let entries = format!("{} to {}", text(&worker["first"]), text(&worker["number"]));
        rows.add_row([text(&worker["worker"]), entries, text(&worker["hash"])]);
    }
    let number = text(&head["number"]);
    let verdict = match (head["isEqual"].as_bool(), workers.len()) {
        (_, 1) => format!("entry {number} has hash {}", text(&head["hash"])),
        (Some(true), _) => format!("equal on all at entry {number}: {}", text(&head["hash"])),
        _ => format!(
            "NOT EQUAL at entry {number}: {}",
            workers
                .iter()
                .map(|worker| text(&worker["at"]["hash"]))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    print(&format!("{rows}\n{verdict}"))
}
