//! `stormhook receivers import`.

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};
use stormhook_shared::configuration::{RancherConfiguration, Secret};
use stormhook_shared::ports::platform::Platform;
use stormhook_shared::receiver_json;
use stormhook_worker::platforms::rancher::{OldHook, Rancher};

use super::receivers::in_words;
use super::table::{print, print_json, table};
use crate::arguments::{Format, Output, RancherOptions};
use crate::client::Client;

/// What became of one hook.
struct Imported {
    name: String,
    does: String,
    result: Result<&'static str, String>,
}

/// Reads the hooks of an environment and creates the same receivers.
pub async fn run(options: RancherOptions, dry_run: bool, output: &Output) -> Result<()> {
    let client = Client::new(&output.server)?;
    let rancher = connect(options, &client)?;
    let hooks = rancher.old_hooks().await.context("read Rancher's hooks")?;
    let receivers = client.get("receivers", &[]).await?;
    let there = receivers["data"].as_array().map(Vec::as_slice);
    let there = there.unwrap_or_default();
    let mut imported = Vec::new();
    for hook in hooks {
        let does = hook
            .receiver
            .as_ref()
            .map_or_else(|_| "-".to_owned(), in_words);
        let result = match there.iter().find(|one| one["name"] == hook.name.as_str()) {
            Some(same) if same["imported"] == true => Ok("is there already"),
            Some(_) => Err("another receiver has this name; rename that one".to_owned()),
            None if dry_run => check(&rancher, &hook).await.map(|()| "would be created"),
            None => create(&client, &hook).await.map(|()| "created"),
        };
        imported.push(Imported {
            name: hook.name,
            does,
            result,
        });
    }
    show(&imported, output.format)?;
    match imported.iter().filter(|one| one.result.is_err()).count() {
        0 => Ok(()),
        failed => bail!(
            "{failed} of {} hooks {} be taken over",
            imported.len(),
            if dry_run { "cannot" } else { "could not" }
        ),
    }
}

fn connect(options: RancherOptions, client: &Client) -> Result<Rancher> {
    let project = options
        .rancher_project
        .unwrap_or_else(|| client.project().clone());
    let configuration = RancherConfiguration {
        url: options.rancher_url,
        access_key: options.rancher_access_key,
        secret_key: options.rancher_secret_key.map(Secret::new),
        ca_file: options.rancher_ca_file,
    };
    Ok(Rancher::new(&project, &configuration, None)?)
}

/// Whether the receiver would be created.
async fn check(rancher: &Rancher, hook: &OldHook) -> Result<(), String> {
    let body = hook.receiver.clone()?;
    let definition = receiver_json::parse(body).map_err(|error| error.to_string())?;
    match rancher.check(&definition.kind).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(unusable)) => Err(unusable.message),
        Err(error) => Err(error.to_string()),
    }
}

async fn create(client: &Client, hook: &OldHook) -> Result<(), String> {
    let body = hook.receiver.clone()?;
    let created = client.send(Method::POST, "receivers", &[], &body).await;
    created.map(|_| ()).map_err(|error| error.to_string())
}

fn show(imported: &[Imported], format: Format) -> Result<()> {
    if format == Format::Json {
        let list = imported.iter().map(|one| {
            let (result, error) = match &one.result {
                Ok(result) => (json!(result), Value::Null),
                Err(error) => (json!("failed"), json!(error)),
            };
            json!({"name": one.name, "does": one.does, "result": result, "error": error})
        });
        return print_json(&list.collect());
    }
    if imported.is_empty() {
        return print("this environment of Rancher has no receiver hooks");
    }
    let mut rows = table(&["name", "does", "result"]);
    for one in imported {
        let result = match &one.result {
            Ok(result) => (*result).to_owned(),
            Err(error) => format!("cannot be taken over: {error}"),
        };
        rows.add_row([one.name.clone(), one.does.clone(), result]);
    }
    print(&rows.to_string())
}
