//! `stormhook replay`: sends triggers again that were accepted in some time, in their order. What is sent is told by the
//! replay's name and the trigger that it repeats, so that a replay that was interrupted goes on where it was.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stormhook_shared::domain::outcome::Status;
use stormhook_shared::domain::time::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};

use super::table::{print, print_json, table, text};
use super::what_if;
use crate::arguments::{Format, ReplayOptions};
use crate::client::{Client, Refusal};
use crate::printable::on_one_line;

/// How many triggers are asked for at once.
const PAGE: &str = "1000";
/// How many lines of a table are shown.
const MOST_SHOWN: usize = 200;
/// How long a server that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Which triggers, as the command line says it, with times that mean the same tomorrow.
struct Range {
    since: Timestamp,
    until: Timestamp,
    receiver: Option<String>,
    group: Option<String>,
    status: Option<Status>,
}

/// The triggers of a range.
#[derive(Default)]
struct Selection {
    /// Those to send, the oldest first.
    sent: Vec<Value>,
    /// The others, with why not.
    left: Vec<(Value, String)>,
}

/// Shows what would be sent again, or sends it.
pub async fn run(options: ReplayOptions) -> Result<()> {
    let client = Client::new(&options.output.server)?;
    let range = Range::parse(&options)?;
    if let Some(file) = &options.what_if {
        return what_if::run(&client, &options, file, range.since, range.until).await;
    }
    let selection = select(&client, &range).await?;
    if !options.apply {
        return show(&selection, options.output.format);
    }
    let id = options
        .id
        .clone()
        .unwrap_or_else(|| range.id(options.ignore_cooldown));
    eprintln!(
        "if this is interrupted, go on with: {}",
        range.command(&options, &id)
    );
    let wish = range
        .wish(&client, &options, &id, selection.sent.len())
        .await?;
    let query = [("action", "replay")];
    client.send(Method::POST, "triggers", &query, &wish).await?;
    apply(&client, &selection, &options, &id).await
}

impl Range {
    fn parse(options: &ReplayOptions) -> Result<Self> {
        let since = options.since;
        let until = options.until.unwrap_or_else(Timestamp::now);
        if until < since {
            bail!("--until ({until}) is before --since ({since})");
        }
        Ok(Self {
            since,
            until,
            receiver: options.receiver.clone(),
            group: options.group.clone(),
            status: options.status,
        })
    }

    /// The name of the replay of this range, where none is given.
    fn id(&self, ignores_cooldown: bool) -> String {
        let Self {
            since,
            until,
            receiver,
            group,
            status,
        } = self;
        let of = json!([since, until, receiver, group, status, ignores_cooldown]);
        hex::encode(&Sha256::digest(of.to_string())[..6])
    }

    /// The command line that goes on with the replay `id`.
    fn command(&self, options: &ReplayOptions, id: &str) -> String {
        let mut words = vec![
            "stormhook replay --apply".to_owned(),
            format!("--since {} --until {}", self.since, self.until),
        ];
        let status = self.status.map(|status| status.to_string());
        for (name, value) in [
            ("receiver", &self.receiver),
            ("group", &self.group),
            ("status", &status),
        ] {
            words.extend(value.as_ref().map(|value| format!("--{name} '{value}'")));
        }
        if options.ignore_cooldown {
            words.push("--ignore-cooldown".to_owned());
        }
        words.push(format!("--rate {} --id '{id}'", options.rate));
        words.join(" ")
    }

    /// The replay `id` of `count` triggers of this range, for the record.
    async fn wish(
        &self,
        client: &Client,
        options: &ReplayOptions,
        id: &str,
        count: usize,
    ) -> Result<Value> {
        let mut wish = json!({
            "id": id,
            "triggers": count,
            "since": self.since,
            "until": self.until,
            "ignoresCooldown": options.ignore_cooldown,
            "rate": options.rate,
        });
        if let Some(receiver) = &self.receiver {
            wish["receiverId"] = json!(client.receiver_id(receiver).await?);
        }
        if let Some(group) = &self.group {
            wish["group"] = json!(group);
        }
        if let Some(status) = self.status {
            wish["status"] = json!(status);
        }
        Ok(wish)
    }

    async fn query(&self, client: &Client) -> Result<Vec<(&'static str, String)>> {
        let mut query = vec![
            ("order", "asc".to_owned()),
            ("limit", PAGE.to_owned()),
            ("since", self.since.to_string()),
            ("until", self.until.to_string()),
        ];
        if let Some(receiver) = &self.receiver {
            query.push(("receiverId", client.receiver_id(receiver).await?));
        }
        query.extend(self.group.clone().map(|group| ("group", group)));
        query.extend(self.status.map(|status| ("status", status.to_string())));
        Ok(query)
    }
}

async fn select(client: &Client, range: &Range) -> Result<Selection> {
    let query = range.query(client).await?;
    let asked: Vec<_> = query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let receivers = client.get("receivers", &[]).await?;
    let receivers: HashSet<_> = receivers["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|receiver| text(&receiver["id"]))
        .collect();
    let mut selection = Selection::default();
    let mut chosen = HashSet::new();
    let mut page = client.get("triggers", &asked).await?;
    loop {
        let next = page["pagination"]["next"].as_str().map(str::to_owned);
        if let Value::Array(triggers) = page["data"].take() {
            for trigger in triggers {
                match reason_to_leave(&trigger, &receivers, &chosen) {
                    Some(reason) => selection.left.push((trigger, reason)),
                    None => {
                        chosen.insert(text(&trigger["id"]));
                        selection.sent.push(trigger);
                    }
                }
            }
        }
        match next {
            Some(next) => page = client.get_page(&next).await?,
            None => return Ok(selection),
        }
    }
}

/// Why a trigger is not sent again, if it is not.
fn reason_to_leave(
    trigger: &Value,
    receivers: &HashSet<String>,
    chosen: &HashSet<String>,
) -> Option<String> {
    if !trigger["parentId"].is_null() {
        return Some(format!("it is a part of {}", text(&trigger["parentId"])));
    }
    if !receivers.contains(&text(&trigger["receiverId"])) {
        return Some("its receiver is gone".to_owned());
    }
    if trigger["outcome"].is_null() {
        return Some("it has no outcome yet".to_owned());
    }
    let repeats = text(&trigger["replayOf"]);
    chosen
        .contains(&repeats)
        .then(|| format!("it repeats {repeats}, which is sent itself"))
}

fn show(selection: &Selection, format: Format) -> Result<()> {
    if format == Format::Json {
        let left = selection.left.iter();
        let left: Vec<_> = left
            .map(|(trigger, reason)| json!({"trigger": trigger, "reason": reason}))
            .collect();
        return print_json(&json!({"wouldSend": selection.sent, "wouldNotSend": left}));
    }
    let mut rows = table(&["accepted", "id", "receiver", "group", "was", "again"]);
    let sent = selection
        .sent
        .iter()
        .map(|trigger| (trigger, "yes".to_owned()));
    let left = selection.left.iter();
    let left = left.map(|(trigger, reason)| (trigger, format!("no: {reason}")));
    for (trigger, again) in sent.chain(left).take(MOST_SHOWN) {
        rows.add_row([
            text(&trigger["acceptedAt"]),
            text(&trigger["id"]),
            text(&trigger["receiverName"]),
            text(&trigger["group"]),
            text(&trigger["outcome"]["code"]),
            again,
        ]);
    }
    let all = selection.sent.len() + selection.left.len();
    if all == 0 {
        return print("no trigger was accepted in that time that fits; nothing would be sent");
    }
    print(&rows.to_string())?;
    if all > MOST_SHOWN {
        print(&format!("… and {} more", all - MOST_SHOWN))?;
    }
    print(&format!(
        "{} would be sent again, {} not; nothing was sent: add --apply to do it",
        selection.sent.len(),
        selection.left.len()
    ))
}

/// What became of what was to be sent.
#[derive(Default)]
struct Tally {
    sent: u64,
    sent_before: u64,
    refused: Vec<Value>,
}

async fn apply(
    client: &Client,
    selection: &Selection,
    options: &ReplayOptions,
    id: &str,
) -> Result<()> {
    for (trigger, reason) in selection.left.iter().take(MOST_SHOWN) {
        eprintln!("{}", not_sent(trigger, reason));
    }
    let bar = progress_bar(selection.sent.len());
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / options.rate.get());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tally = Tally::default();
    for trigger in &selection.sent {
        ticks.tick().await;
        match send(client, trigger, options.ignore_cooldown, id).await? {
            Ok(answer) if answer["state"] == "accepted" => tally.sent += 1,
            Ok(_) => tally.sent_before += 1,
            Err(message) => {
                bar.suspend(|| eprintln!("{}", not_sent(trigger, &message)));
                tally
                    .refused
                    .push(json!({"id": trigger["id"], "reason": message}));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let left = selection.left.len() + tally.refused.len();
    if options.output.format == Format::Json {
        return print_json(&json!({
            "id": id, "sent": tally.sent, "sentBefore": tally.sent_before, "notSent": left,
        }));
    }
    print(&format!(
        "{} sent again, {} were sent by this replay before, {left} not sent; see: stormhook history",
        tally.sent, tally.sent_before
    ))
}

/// Which trigger is not sent, and why, in a line.
fn not_sent(trigger: &Value, reason: &str) -> String {
    on_one_line(&format!("not sent: {}: {reason}", text(&trigger["id"])))
}

fn progress_bar(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(count as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} sent, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// Sends one trigger again. A refusal of this one is told; a server that is not there is waited for.
async fn send(
    client: &Client,
    trigger: &Value,
    ignores_cooldown: bool,
    id: &str,
) -> Result<Result<Value, String>> {
    let path = format!("triggers/{}", text(&trigger["id"]));
    let mut query = vec![("action", "redeliver")];
    if ignores_cooldown {
        query.push(("ignoreCooldown", "true"));
    }
    let key = format!("replay {id}");
    let started = Instant::now();
    loop {
        let error = match client.send_once(Method::POST, &path, &query, &key).await {
            Ok(answer) => return Ok(Ok(answer)),
            Err(error) => error,
        };
        match error.downcast_ref::<Refusal>() {
            Some(refusal) if refusal.is_about_access() => return Err(error),
            Some(refusal) if !refusal.is_passing() => return Ok(Err(refusal.to_string())),
            _ if started.elapsed() >= PATIENCE => return Err(error),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}
