//! `stormhook show`: one trigger as a timeline of what led to what.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;
use stormhook_shared::domain::ids::TriggerId;
use stormhook_shared::domain::time::Timestamp;

use super::table::{print, print_json, text};
use crate::arguments::{Format, ShowOptions};
use crate::client::Client;
use crate::printable::{on_one_line, printable};

/// How much of a body is shown.
const MOST_BODY_CHARS: usize = 1_000;
/// Where what belongs to a moment begins.
const INDENT: &str = "                        ";

/// Shows one trigger.
pub async fn run(options: ShowOptions) -> Result<()> {
    let client = Client::new(&options.output.server)?;
    let path = format!("triggers/{}", id_of(&client, &options.trigger).await?);
    let trigger = client.get(&path, &[]).await?;
    match options.output.format {
        Format::Json => print_json(&trigger),
        Format::Table => print(&timeline(&trigger)),
    }
}

/// The id that `choice` is, or that of the newest trigger of the receiver that it names.
async fn id_of(client: &Client, choice: &str) -> Result<String> {
    if choice.parse::<TriggerId>().is_ok() {
        return Ok(choice.to_owned());
    }
    let receiver = client
        .receiver_id(choice)
        .await
        .with_context(|| format!("{choice:?} is no trigger's id, and no receiver's name either"))?;
    let query = [("receiverId", receiver.as_str()), ("limit", "1")];
    let newest = client.get("triggers", &query).await?;
    let id = newest["data"][0]["id"].as_str();
    Ok(id
        .with_context(|| format!("{choice} was never called"))?
        .to_owned())
}

/// What led to what, a line a moment.
fn timeline(trigger: &Value) -> String {
    let mut lines = Timeline {
        start: trigger["acceptedAt"]
            .as_str()
            .and_then(|at| at.parse().ok()),
        text: String::new(),
    };
    let _ = writeln!(
        lines.text,
        "trigger {}: {}",
        text(&trigger["id"]),
        end(trigger)
    );
    request(trigger, &mut lines);
    calls(trigger, "decision", &mut lines);
    decision(trigger, &mut lines);
    calls(trigger, "action", &mut lines);
    outcome(trigger, &mut lines);
    lines.text
}

fn end(trigger: &Value) -> String {
    let outcome = &trigger["outcome"];
    if outcome.is_null() {
        return "it waits".to_owned();
    }
    format!("{} ({})", text(&outcome["status"]), text(&outcome["code"]))
}

fn request(trigger: &Value, lines: &mut Timeline) {
    let source = &trigger["source"];
    let asked = match (&source["address"], &source["userAgent"]) {
        (Value::Null, Value::Null) => "begun by Stormhook itself".to_owned(),
        (address, agent) => format!("asked by {}, {}", text(address), text(agent)),
    };
    lines.at(&trigger["acceptedAt"], &asked);
    lines.and(&format!(
        "receiver {} ({}), group {}, place {} in the log",
        text(&trigger["receiverName"]),
        text(&trigger["driver"]),
        text(&trigger["group"]),
        trigger["sequence"]
    ));
    for (field, what) in [
        ("idempotencyKey", "idempotency key"),
        ("replayOf", "repeats"),
        ("query", "query"),
    ] {
        if !trigger[field].is_null() {
            lines.and(&format!("{what} {}", text(&trigger[field])));
        }
    }
    for (name, value) in trigger["headers"].as_object().into_iter().flatten() {
        lines.and(&format!("{name}: {}", text(value)));
    }
    if !trigger["parent"].is_null() {
        lines.and(&format!("part of {}", linked(&trigger["parent"])));
    }
    body(trigger, lines);
}

fn body(trigger: &Value, lines: &mut Timeline) {
    let bytes = trigger["bodyBytes"].as_u64().unwrap_or(0);
    if bytes == 0 {
        return;
    }
    lines.and(&format!(
        "body: {bytes} bytes, {}, SHA-256 {}",
        text(&trigger["contentType"]),
        text(&trigger["bodySha256"])
    ));
    let Some(shown) = trigger["body"].as_str() else {
        return;
    };
    let cut: String = shown.chars().take(MOST_BODY_CHARS).collect();
    for line in cut.lines() {
        lines.quote(line);
    }
    if cut.len() < shown.len() {
        lines.and("  … (all of it with --format json)");
    }
}

fn calls(trigger: &Value, phase: &str, lines: &mut Timeline) {
    let all = trigger["calls"].as_array().into_iter().flatten();
    for call in all.filter(|call| call["phase"] == phase) {
        let went = match call["error"].as_str() {
            Some(error) => format!("failed: {error}"),
            None => "fine".to_owned(),
        };
        let told = format!(
            "called {} ({} ms): {went}",
            text(&call["what"]),
            call["millis"]
        );
        lines.at(&call["at"], &told);
    }
}

fn decision(trigger: &Value, lines: &mut Timeline) {
    let (plan, outcome) = (&trigger["plan"], &trigger["outcome"]);
    if plan.is_null() {
        return;
    }
    lines.at(
        &plan["decidedAt"],
        &format!("planned {}", action(&plan["action"])),
    );
    if let Some(found) = plan["drift"]["found"].as_u64() {
        lines.and(&format!(
            "somebody else had changed it: the last action left {}, and {found} was found",
            plan["drift"]["left"]
        ));
    }
    let together = plan["triggers"].as_u64().unwrap_or(1);
    if together > 1 {
        lines.and(&format!(
            "together with {} other triggers of the group",
            together - 1
        ));
    }
    if let Some(revision) = outcome["receiverRevision"].as_u64() {
        lines.and(&format!("under revision {revision} of the receiver"));
    }
}

/// A planned action in words.
fn action(action: &Value) -> String {
    let of = |field: &str| text(&action[field]);
    let names = |field: &str| {
        let all = action[field].as_array().into_iter().flatten();
        let names: Vec<_> = all.map(|one| text(&one["name"])).collect();
        names.join(", ")
    };
    match action["type"].as_str() {
        Some("scaleService") => format!(
            "to scale {} from {} to {}",
            of("name"),
            of("from"),
            of("to")
        ),
        Some("scaleHosts") => format!(
            "to go from {} to {} hosts; new: [{}], to go: [{}]",
            of("from"),
            of("to"),
            names("create"),
            names("remove")
        ),
        Some("upgradeServices") => format!("to upgrade {} to {}", names("services"), push(action)),
        Some("upgradeService") => format!("to upgrade {} to {}", of("name"), push(action)),
        Some("forward") => format!(
            "to pass it on to {}:{}{}",
            of("serviceName"),
            of("port"),
            of("path")
        ),
        _ => action.to_string(),
    }
}

fn push(action: &Value) -> String {
    let push = &action["push"];
    format!("{}:{}", text(&push["image"]), text(&push["tag"]))
}

fn outcome(trigger: &Value, lines: &mut Timeline) {
    let left_out = trigger["callsLeftOut"].as_u64().unwrap_or(0);
    if left_out > 0 {
        lines.and(&format!("{left_out} calls between these are not kept"));
    }
    let outcome = &trigger["outcome"];
    if outcome.is_null() {
        let waiting = &trigger["waiting"];
        let more = if waiting["isMore"] == true {
            " or more"
        } else {
            ""
        };
        let place = format!(
            "waits, {}{more} of its group before it",
            text(&waiting["ahead"])
        );
        lines.now(&place);
        lines.and(&text(&waiting["waitsFor"]));
    } else {
        lines.at(
            &outcome["settledAt"],
            &format!("{}: {}", end(trigger), text(&outcome["message"])),
        );
        if trigger["plan"].is_null()
            && let Some(revision) = outcome["receiverRevision"].as_u64()
        {
            lines.and(&format!(
                "under revision {revision} of the receiver, without an action"
            ));
        }
    }
    for child in trigger["children"].as_array().into_iter().flatten() {
        lines.and(&format!("part {}", linked(child)));
    }
}

/// Another trigger, in a line.
fn linked(trigger: &Value) -> String {
    let why = &trigger["outcome"]["message"];
    let why = if why.is_null() {
        String::new()
    } else {
        format!(", {}", text(why))
    };
    format!(
        "{} in {}: {}{why}",
        text(&trigger["id"]),
        text(&trigger["group"]),
        end(trigger)
    )
}

/// Lines, each with its time.
struct Timeline {
    start: Option<Timestamp>,
    text: String,
}

impl Timeline {
    /// Something that happened `at`: the first with its time, others with how much later that was.
    fn at(&mut self, at: &Value, what: &str) {
        let time = text(at);
        let later = time
            .parse()
            .ok()
            .zip(self.start)
            .map(|(at, start): (Timestamp, _)| at.since(start));
        let stamp = match later {
            Some(later) if !later.is_zero() => format!("+{:.3} s", later.as_secs_f64()),
            _ => time,
        };
        let what = on_one_line(what);
        let _ = writeln!(self.text, "{stamp:>24}  {what}");
    }

    /// Something that lasts.
    fn now(&mut self, what: &str) {
        let _ = writeln!(self.text, "{:>24}  {}", "now", on_one_line(what));
    }

    /// What belongs to the line before.
    fn and(&mut self, what: &str) {
        let _ = writeln!(self.text, "{INDENT}  {}", on_one_line(what));
    }

    /// A line of a body, with its tabs.
    fn quote(&mut self, line: &str) {
        let _ = writeln!(self.text, "{INDENT}    {}", printable(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_caller_makes_up_lines_or_speaks_to_the_terminal() {
        let trigger = json!({
            "id": "1", "acceptedAt": "2026-11-23T21:00:00.000Z", "sequence": 1,
            "source": {"address": "10.0.0.1", "userAgent": "curl\u{9b}2J\nplanned"},
            "bodyBytes": 20, "body": "a\u{1b}]0;title\u{7}\tb\nc\u{202e}d",
            "outcome": {"status": "failed", "code": "uncertain", "settledAt": "2026-11-23T21:00:01.000Z",
                "message": "it said \u{1b}[31m"},
        });
        let told = timeline(&trigger);
        for expected in [
            r"curl\u{9b}2J\u{a}planned",
            "a\\u{1b}]0;title\\u{7}\tb\n",
            r"c\u{202e}d",
            r"it said \u{1b}[31m",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        let is_shown = |character: char| !character.is_control() || "\n\t".contains(character);
        assert!(told.chars().all(is_shown), "{told:?}");
    }
}
