//! `stormhook receivers import`.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
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

const NAME_TAKEN: &str = "another receiver has this name: rename one of them; \
     if that is this hook, and was rotated here since, leave it";

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
    let mut there = There::of(&client.get("receivers", &[]).await?)?;
    let mut imported = Vec::new();
    for hook in hooks {
        let does = hook
            .receiver
            .as_ref()
            .map_or_else(|_| "-".to_owned(), in_words);
        let result = match there.has(&hook) {
            Ok(true) => Ok("is there already"),
            Ok(false) if dry_run => check(&rancher, &hook).await.map(|()| "would be created"),
            Ok(false) => create(&client, &hook).await.map(|()| "created"),
            Err(error) => Err(error),
        };
        if result.is_ok() {
            there.add(&hook);
        }
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

/// What the project has, with what this import adds.
struct There {
    names: HashSet<String>,
    /// SHA-256 of the keys that receivers brought along and that are valid.
    keys: HashSet<String>,
}

impl There {
    fn of(receivers: &Value) -> Result<Self> {
        let all = receivers["data"].as_array().map(Vec::as_slice);
        let all = all.unwrap_or_default();
        let hidden = |one: &Value| one["imported"] == true && one["url"].is_null();
        ensure!(
            !all.iter().any(hidden),
            "this access key may not see which hooks are here already; use one that may see trigger URLs"
        );
        let texts = |field: &str| {
            let texts = all.iter().filter_map(|one| one[field].as_str());
            texts.map(str::to_owned).collect()
        };
        Ok(Self {
            names: texts("name"),
            keys: texts("importedKeySha256"),
        })
    }

    /// Whether the hook is here, whatever its name is by now; an error where something else has its name.
    fn has(&self, hook: &OldHook) -> Result<bool, String> {
        if self.keys.contains(&hook.key_sha256) {
            return Ok(true);
        }
        if self.names.contains(&hook.name) {
            return Err(NAME_TAKEN.to_owned());
        }
        Ok(false)
    }

    /// The hook is here from now on.
    fn add(&mut self, hook: &OldHook) {
        // One that was here before may have another name by now, and leaves its old one to others.
        if self.keys.insert(hook.key_sha256.clone()) {
            self.names.insert(hook.name.clone());
        }
    }
}

fn connect(options: RancherOptions, client: &Client) -> Result<Rancher> {
    let url = &options.rancher_url;
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "--rancher-url must not hold a key; give it with --rancher-access-key and --rancher-secret-key"
    );
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

#[cfg(test)]
mod tests {
    use super::*;

    fn project(receivers: &Value) -> Result<There> {
        There::of(&json!({"data": receivers}))
    }

    fn hook(name: &str, key: &str) -> OldHook {
        OldHook {
            name: name.to_owned(),
            key_sha256: key.to_owned(),
            receiver: Ok(json!({})),
        }
    }

    #[test]
    fn a_hook_is_known_by_its_key_and_not_by_its_name() {
        let there = project(&json!([
            {"name": "renamed", "url": "u", "imported": true, "importedKeySha256": "a"},
            {"name": "rotated", "url": "u", "imported": true},
        ]))
        .unwrap();
        assert_eq!(there.has(&hook("old", "a")), Ok(true));
        assert_eq!(there.has(&hook("other", "b")), Ok(false));
        for name in ["renamed", "rotated"] {
            let error = there.has(&hook(name, "b")).unwrap_err();
            assert_eq!(error, NAME_TAKEN);
        }
    }

    #[test]
    fn of_two_hooks_with_one_name_the_second_is_told_until_the_first_is_renamed() {
        let (first, second) = (hook("same", "a"), hook("same", "b"));
        let mut there = project(&json!([])).unwrap();
        there.add(&first);
        assert_eq!(there.has(&first), Ok(true));
        assert_eq!(there.has(&second), Err(NAME_TAKEN.to_owned()));

        let renamed = json!([{"name": "first", "url": "u", "importedKeySha256": "a"}]);
        let mut there = project(&renamed).unwrap();
        there.add(&first);
        assert_eq!(there.has(&second), Ok(false));
    }

    #[test]
    fn who_may_not_see_keys_is_told_so() {
        let hidden = json!([{"name": "old", "imported": true, "url": null}]);
        assert!(project(&hidden).is_err());
    }
}
