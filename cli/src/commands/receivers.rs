//! `stormhook receivers …`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::import;
use super::table::{print, print_json, table, text};
use crate::arguments::{Format, NewReceiver, Output, ReceiversCommand};
use crate::client::Client;
use crate::printable::on_one_line;

/// Runs one of the commands on receivers.
pub async fn run(command: ReceiversCommand) -> Result<()> {
    match command {
        ReceiversCommand::List { output } => list(&output).await,
        ReceiversCommand::Create { receiver, output } => {
            let client = Client::new(&output.server)?;
            let body = new_receiver(&receiver)?;
            let created = client.send(Method::POST, "receivers", &[], &body).await?;
            show(&created, output.format)
        }
        ReceiversCommand::Show { receiver, output } => {
            let client = Client::new(&output.server)?;
            show(&client.receiver(&receiver.receiver).await?, output.format)
        }
        ReceiversCommand::Update {
            receiver,
            file,
            output,
        } => {
            let client = Client::new(&output.server)?;
            let path = path_of(&client, &receiver.receiver).await?;
            let changed = client
                .send(Method::PUT, &path, &[], &read_json(&file)?)
                .await?;
            show(&changed, output.format)
        }
        ReceiversCommand::Delete { receiver, server } => {
            let client = Client::new(&server)?;
            let path = path_of(&client, &receiver.receiver).await?;
            client.delete(&path).await?;
            print(&format!("deleted {}", receiver.receiver))
        }
        ReceiversCommand::Rotate {
            receiver,
            overlap_seconds,
            output,
        } => {
            act(
                &receiver.receiver,
                "rotate",
                &json!({"overlapSeconds": overlap_seconds}),
                &output,
            )
            .await
        }
        ReceiversCommand::Enable { receiver, output } => {
            act(&receiver.receiver, "enable", &json!({}), &output).await
        }
        ReceiversCommand::Import {
            rancher,
            dry_run,
            output,
        } => import::run(rancher, dry_run, &output).await,
        ReceiversCommand::Disable {
            receiver,
            seconds,
            output,
        } => {
            let body = seconds.map_or(json!({}), |seconds| json!({"seconds": seconds}));
            act(&receiver.receiver, "disable", &body, &output).await
        }
    }
}

async fn act(receiver: &str, action: &str, body: &Value, output: &Output) -> Result<()> {
    let client = Client::new(&output.server)?;
    let path = path_of(&client, receiver).await?;
    let changed = client
        .send(Method::POST, &path, &[("action", action)], body)
        .await?;
    show(&changed, output.format)
}

async fn path_of(client: &Client, receiver: &str) -> Result<String> {
    let receiver = client.receiver(receiver).await?;
    let id = receiver["id"].as_str().context("the receiver has no id")?;
    Ok(format!("receivers/{id}"))
}

async fn list(output: &Output) -> Result<()> {
    let client = Client::new(&output.server)?;
    let receivers = client.get("receivers", &[]).await?;
    if output.format == Format::Json {
        return print_json(&receivers["data"]);
    }
    let mut rows = table(&["id", "name", "state", "does", "url"]);
    let all = receivers["data"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if all.is_empty() {
        return print(&format!(
            "project {} has no receivers; make one with: stormhook receivers create",
            client.project()
        ));
    }
    for receiver in all {
        rows.add_row([
            text(&receiver["id"]),
            text(&receiver["name"]),
            text(&receiver["state"]),
            in_words(receiver),
            text(&receiver["url"]),
        ]);
    }
    print(&rows.to_string())
}

fn show(receiver: &Value, format: Format) -> Result<()> {
    if format == Format::Json {
        return print_json(receiver);
    }
    let mut lines = vec![
        ("name", text(&receiver["name"])),
        ("id", text(&receiver["id"])),
        ("state", text(&receiver["state"])),
        ("does", in_words(receiver)),
        ("url", text(&receiver["url"])),
    ];
    let options = options(receiver);
    lines.extend(options.iter().map(|(name, value)| (*name, value.clone())));
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, value)| format!("{name:<width$}{}", on_one_line(value)))
        .collect();
    print(&lines.join("\n"))
}

/// The options by which it acts otherwise than most, as the API calls them; and how long it tries.
fn options(receiver: &Value) -> Vec<(&'static str, String)> {
    let usual = [
        ("disabledUntil", Value::Null),
        ("cooldownSeconds", json!(0)),
        ("groupCooldownSeconds", json!(0)),
        ("onLimit", json!("reject")),
        ("onResolved", json!("skip")),
        ("onRepeat", json!("trigger")),
        ("dedupe", json!("none")),
        ("filter", json!([])),
        ("sign", Value::Null),
        ("redact", json!([])),
        ("deadlineSeconds", Value::Null),
        ("imported", json!(false)),
    ];
    usual
        .into_iter()
        .filter(|(field, usual)| receiver[*field] != *usual && !receiver[*field].is_null())
        .map(|(field, _)| match field {
            "sign" => (field, "requests have to be signed".to_owned()),
            _ => (field, text(&receiver[field])),
        })
        .collect()
}

/// What a receiver does, in a few words.
pub fn in_words(receiver: &Value) -> String {
    let config = |driver: &str| receiver[format!("{driver}Config")].clone();
    match receiver["driver"].as_str() {
        Some("scaleService") => {
            let config = config("scaleService");
            format!(
                "scale {} {}",
                text(&config["serviceId"]),
                scaling_in_words(&config)
            )
        }
        Some("scaleHost") => {
            let config = config("scaleHost");
            let labels = labels_in_words(&config["hostSelector"]);
            format!("scale hosts {labels} {}", scaling_in_words(&config))
        }
        Some("serviceUpgrade") => {
            let config = config("serviceUpgrade");
            let labels = labels_in_words(&config["serviceSelector"]);
            let image = config["image"].as_str().unwrap_or("any image");
            format!(
                "upgrade services {labels} to {image}:{}",
                text(&config["tag"])
            )
        }
        Some("forwardPost") => {
            let config = config("forwardPost");
            format!(
                "pass on to {}:{}{}",
                text(&config["serviceName"]),
                text(&config["port"]),
                text(&config["path"])
            )
        }
        other => other.unwrap_or("-").to_owned(),
    }
}

fn scaling_in_words(config: &Value) -> String {
    format!(
        "{} by {}, within {} to {}",
        text(&config["action"]),
        config["amount"],
        config["min"],
        config["max"]
    )
}

fn labels_in_words(selector: &Value) -> String {
    let pairs = selector.as_object().into_iter().flatten();
    let pairs: Vec<_> = pairs
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    pairs.join(",")
}

fn new_receiver(new: &NewReceiver) -> Result<Value> {
    if let Some(file) = &new.file {
        return read_json(file);
    }
    let mut receiver = json!({
        "name": new.name,
        "driver": "scaleService",
        "scaleServiceConfig": {
            "serviceId": new.service,
            "action": new.action,
            "amount": new.amount,
            "min": new.min,
            "max": new.max,
        },
    });
    if let Some(seconds) = new.cooldown_seconds {
        receiver["cooldownSeconds"] = json!(seconds);
    }
    Ok(receiver)
}

/// The JSON in the file at `path`, or on standard input where that is `-`.
pub fn read_json(path: &Path) -> Result<Value> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read standard input")?;
        text
    } else {
        std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?
    };
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}
