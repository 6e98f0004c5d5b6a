//! Takes a group of hosts to the size that was planned: clones machines and waits for them, evacuates and removes
//! others and waits until they are gone. What was done already is found by names and ids, so that any process can go on.

use std::time::Duration;

use serde_json::{Value, json};
use stormhook_shared::domain::ledger::{HostRef, NewHost};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::ports::platform::{Notes, PlatformError, Step};
use tokio::sync::Semaphore;

use super::connection::Connection;
use super::host;

/// How long a host may take to be listed that was asked for without an answer, by this process or by one that was killed
/// just then. Cattle does not mind a second one of the same name.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
/// How long Cattle is left alone with an evacuation. It gives one up without a word if something else keeps it from
/// deactivating or removing the host.
const EVACUATED_WITHIN: Duration = Duration::from_secs(5 * 60);

/// How far a host that is to be added has come.
enum Addition {
    Active,
    Underway(String),
    Failed(String),
}

/// Which host is the one that was to be added.
enum Found<'a> {
    Own(&'a Value),
    /// It was made in this process, and is gone.
    Gone,
    /// Another one has its name.
    Other,
    Nowhere,
}

/// What has to be done with a host that is to go.
#[derive(Debug, PartialEq, Eq)]
enum Removal {
    Gone,
    Wait,
    /// Cattle stops its containers, deactivates and removes it, all by itself.
    Evacuate,
    /// Its agent does not answer: its containers cannot be stopped, and an evacuation might stall.
    Deactivate,
    Delete,
}

/// Makes the calls that are due now. `adding`: one step of this process at a time that gives out names.
pub(super) async fn step(
    connection: &Connection,
    adding: &Semaphore,
    create: &[NewHost],
    remove: &[HostRef],
    notes: &mut Notes,
) -> Result<Step, PlatformError> {
    let mut all = connection.list("hosts").await?;
    let is_missing = |new: &NewHost| !matches!(find(&all, new, notes), Found::Own(_));
    let _permit = if create.iter().any(is_missing) {
        let permit = adding.acquire().await.ok();
        // Another step may have given out the same name meanwhile.
        all = connection.list("hosts").await?;
        permit
    } else {
        None
    };
    let is_asked = |new: &NewHost| notes.has_begun(&asked(new));
    let is_untouched = !notes.is_resumed && !create.iter().any(is_asked);
    if is_untouched && let Some(reason) = overtaken(&all, create, notes) {
        return Ok(Step::Overtaken { reason });
    }
    let mut underway = Vec::new();
    let mut failed = Vec::new();
    for new in create {
        match add(connection, &all, new, notes).await? {
            Addition::Active => {}
            Addition::Underway(what) => underway.push(what),
            Addition::Failed(why) => failed.push(why),
        }
    }
    for host in remove {
        underway.extend(take_away(connection, &all, host, notes).await?);
    }
    Ok(if !underway.is_empty() {
        let what = underway.join(", ");
        Step::Underway { what }
    } else if !failed.is_empty() {
        Step::Failed {
            code: Code::ProvisioningFailed,
            message: format!(
                "{} of {} new hosts did not come up: {}",
                failed.len(),
                create.len(),
                failed.join("; ")
            ),
        }
    } else {
        Step::Done
    })
}

/// Why the hosts cannot be added as they were planned, before the first of them is.
fn overtaken(all: &[Value], create: &[NewHost], notes: &Notes) -> Option<String> {
    create
        .iter()
        .find_map(|new| match (base(all, new), find(all, new, notes)) {
            (None, _) => Some(without_base(new)),
            (_, Found::Other) => Some(taken(new)),
            _ => None,
        })
}

fn base<'a>(all: &'a [Value], new: &NewHost) -> Option<&'a Value> {
    all.iter()
        .find(|host| host["id"] == new.base.as_str() && is_there(host))
}

/// What notes that a host was asked for without an answer so far.
fn asked(new: &NewHost) -> String {
    format!("ask for {}", new.name)
}

fn without_base(new: &NewHost) -> String {
    let NewHost { name, base } = new;
    format!("the host {base} that {name} was to be a clone of is gone")
}

fn taken(new: &NewHost) -> String {
    format!("{} is the name of another host now", new.name)
}

/// Makes the call that is due for a host that is to be added.
async fn add(
    connection: &Connection,
    all: &[Value],
    new: &NewHost,
    notes: &mut Notes,
) -> Result<Addition, PlatformError> {
    let name = &new.name;
    match find(all, new, notes) {
        Found::Own(host) => return Ok(coming(host, name)),
        Found::Gone => return Ok(Addition::Failed(format!("somebody removed {name}"))),
        Found::Other => return Ok(Addition::Failed(taken(new))),
        Found::Nowhere => {}
    }
    if let Some(refusal) = notes.refused.get(name) {
        return Ok(Addition::Failed(format!("{name}: {refusal}")));
    }
    let asked = asked(new);
    if notes.is_resumed && !notes.has_begun(&asked) {
        notes.begin(&asked);
    }
    if notes
        .going_for(&asked)
        .is_some_and(|time| time < LISTED_WITHIN)
    {
        let what = format!("{name} may have been asked for a moment ago");
        return Ok(Addition::Underway(what));
    }
    let Some(base) = base(all, new) else {
        return Ok(Addition::Failed(without_base(new)));
    };
    let is_first = notes.calls() == 0 && !notes.is_resumed;
    match notes.permit(connection.change_timeout()) {
        Err(PlatformError::DeadlineOver) => {
            return Ok(Addition::Underway(format!("{name} was not asked for")));
        }
        permitted => permitted?,
    }
    let was_asked = notes.has_begun(&asked);
    let clone = host::clone_of(base, name);
    let created = connection.create("hosts", &clone).await;
    let may_be_there = match &created {
        Ok(_) => true,
        Err(PlatformError::Transient { is_untouched, .. }) => !is_untouched,
        Err(_) => false,
    };
    if may_be_there || was_asked {
        // From now on: an answer that is lost may have been waited for.
        notes.begin(&asked);
    }
    match created {
        Ok(created) => {
            if let Some(id) = created["id"].as_str() {
                notes.made.insert(name.clone(), id.to_owned());
            }
            Ok(Addition::Underway(format!("{name} was created")))
        }
        Err(PlatformError::Refused { message }) if !is_first => {
            notes.refused.insert(name.clone(), message.clone());
            Ok(Addition::Failed(format!("{name}: {message}")))
        }
        Err(error) => Err(error),
    }
}

/// Looks for `new` by the id that it got in this process; or, if it may have been asked for, by its name and the labels
/// that it has from its base. Its agent may have told Cattle a longer hostname meanwhile, and people may have named it.
fn find<'a>(all: &'a [Value], new: &NewHost, notes: &Notes) -> Found<'a> {
    if let Some(id) = notes.made.get(&new.name) {
        let made = all.iter().find(|host| host["id"] == id.as_str());
        return match made.filter(|host| is_there(host)) {
            Some(host) => Found::Own(host),
            None => Found::Gone,
        };
    }
    let mut named = all
        .iter()
        .filter(|host| is_there(host) && host::is_called(host, &new.name))
        .peekable();
    if named.peek().is_none() {
        return Found::Nowhere;
    }
    let may_be_own = notes.is_resumed || notes.has_begun(&asked(new));
    let base = all.iter().find(|host| host["id"] == new.base.as_str());
    let is_own = |host: &&Value| base.is_none_or(|base| host::has_labels_of(host, base));
    match named.find(is_own).filter(|_| may_be_own) {
        Some(own) => Found::Own(own),
        None => Found::Other,
    }
}

/// Whether it is not on its way out.
fn is_there(host: &Value) -> bool {
    host::counts(host) || matches!(host::state(host), "error" | "erroring")
}

fn coming(host: &Value, name: &str) -> Addition {
    match host::state(host) {
        "active" => Addition::Active,
        "error" => {
            let why = host["transitioningMessage"].as_str().unwrap_or_default();
            let why = if why.is_empty() {
                "no reason given"
            } else {
                why
            };
            Addition::Failed(format!("{name} is left in state error: {why}"))
        }
        state => Addition::Underway(format!("{name} is {state}")),
    }
}

/// Makes the call that is due for a host that is to go. What it waits for then; nothing when it is gone.
async fn take_away(
    connection: &Connection,
    all: &[Value],
    host: &HostRef,
    notes: &mut Notes,
) -> Result<Option<String>, PlatformError> {
    let name = &host.name;
    let leaving = || Ok(Some(format!("{name} is being removed")));
    let found = all.iter().find(|one| one["id"] == host.id.as_str());
    let evacuation = format!("evacuate {}", host.id);
    let removal = removal(found, notes.going_for(&evacuation));
    match removal {
        Removal::Gone => return Ok(None),
        Removal::Wait => return leaving(),
        _ => {}
    }
    match notes.permit(connection.change_timeout()) {
        Err(PlatformError::DeadlineOver) => {
            return Ok(Some(format!("{name} was not told to go on its way")));
        }
        permitted => permitted?,
    }
    let path = ["hosts", host.id.as_str()];
    let called = match removal {
        Removal::Evacuate => {
            let event =
                json!({"eventType": "host.evacuate", "hostId": host.id, "deleteHost": true});
            let begun = connection.create("externalHostEvents", &event).await;
            if begun.is_ok() {
                notes.begin(evacuation);
            }
            begun.map(|_| ())
        }
        Removal::Deactivate => connection
            .act(&path, "deactivate", &json!({}))
            .await
            .map(|_| ()),
        _ => connection.delete(&path).await,
    };
    match called {
        Ok(()) => leaving(),
        // It may have gone since it was looked at, or be on its way.
        Err(error @ PlatformError::Refused { .. }) => {
            let found = connection.get(&path).await?;
            match self::removal(found.as_ref(), None) {
                Removal::Gone => Ok(None),
                Removal::Wait => leaving(),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Cattle does not remove an active host: it answers 405, and it is then left inactive by whoever gives up there.
fn removal(found: Option<&Value>, evacuating_for: Option<Duration>) -> Removal {
    let Some(found) = found.filter(|host| host["removed"].is_null()) else {
        return Removal::Gone;
    };
    match host::state(found) {
        "removed" | "purging" | "purged" => Removal::Gone,
        _ if evacuating_for.is_some_and(|time| time < EVACUATED_WITHIN) => Removal::Wait,
        "active" | "updating-active" | "reconnected" => Removal::Evacuate,
        "reconnecting" | "finishing-reconnect" | "disconnecting" | "disconnected" => {
            Removal::Deactivate
        }
        "inactive" | "updating-inactive" | "provisioning" | "registering" | "requested"
        | "error" => Removal::Delete,
        _ => Removal::Wait,
    }
}

#[cfg(test)]
mod tests {
    use stormhook_shared::domain::group::Partition;
    use stormhook_shared::domain::time::Timestamp;
    use stormhook_shared::ports::leases::Lease;

    use super::*;

    #[test]
    fn each_state_is_led_out_as_cattle_permits() {
        const SOON: Option<Duration> = Some(Duration::from_secs(60));
        const LATE: Option<Duration> = Some(EVACUATED_WITHIN);
        for (state, evacuating_for, expected) in [
            ("active", None, Removal::Evacuate),
            ("active", SOON, Removal::Wait),
            ("active", LATE, Removal::Evacuate),
            ("inactive", SOON, Removal::Wait),
            ("inactive", LATE, Removal::Delete),
            ("inactive", None, Removal::Delete),
            ("error", None, Removal::Delete),
            ("provisioning", None, Removal::Delete),
            ("disconnected", None, Removal::Deactivate),
            ("disconnected", LATE, Removal::Deactivate),
            ("reconnecting", None, Removal::Deactivate),
            ("deactivating", None, Removal::Wait),
            ("removing", LATE, Removal::Wait),
            ("purged", None, Removal::Gone),
            ("something-new", None, Removal::Wait),
        ] {
            let host = json!({"state": state, "removed": null});
            assert_eq!(removal(Some(&host), evacuating_for), expected, "{state}");
        }
        assert_eq!(removal(None, None), Removal::Gone);
        let removed = json!({"state": "removing", "removed": "2026-01-01T00:00:00Z"});
        assert_eq!(removal(Some(&removed), None), Removal::Gone);
    }

    #[test]
    fn a_new_host_is_known_by_its_id_or_by_its_name_and_its_bases_labels() {
        let base = json!({"id": "1h1", "name": "web03", "state": "active", "removed": null,
            "labels": {"role": "web", "io.rancher.host.docker_version": "17"}});
        let new = NewHost {
            name: "web04".to_owned(),
            base: "1h1".to_owned(),
        };
        let found = |host: &Value, made: Option<&str>| {
            let mut notes = Notes::new(
                Lease::new(Partition(0), None),
                Timestamp::from_millis(0),
                true,
            );
            if let Some(id) = made {
                notes.made.insert("web04".to_owned(), id.to_owned());
            }
            match find(&[base.clone(), host.clone()], &new, &notes) {
                Found::Own(_) => "own",
                Found::Gone => "gone",
                Found::Other => "other",
                Found::Nowhere => "nowhere",
            }
        };
        let host = |change: &Value| {
            let mut host = json!({"id": "1h2", "name": "web04", "hostname": "web04", "state": "active",
                "removed": null, "labels": {"Role": "web"}});
            for (field, value) in change.as_object().unwrap() {
                host[field] = value.clone();
            }
            host
        };
        let fresh = Notes::new(
            Lease::new(Partition(0), None),
            Timestamp::from_millis(0),
            false,
        );
        let there = [host(&json!({}))];
        let other = find(&there, &new, &fresh);
        assert!(matches!(other, Found::Other), "nobody asked for it yet");
        for (change, made, expected) in [
            (json!({}), None, "own"),
            (json!({"name": "Shop 4"}), None, "own"),
            (
                json!({"name": null, "hostname": "WEB04.example.org"}),
                None,
                "own",
            ),
            (json!({"state": "error"}), None, "own"),
            (json!({"labels": {"role": "db"}}), None, "other"),
            (json!({"state": "removing"}), None, "nowhere"),
            (
                json!({"name": "web05", "hostname": "web05"}),
                None,
                "nowhere",
            ),
            (
                json!({"name": "renamed", "hostname": "ip-10-0-0-4"}),
                Some("1h2"),
                "own",
            ),
            (json!({"state": "purged"}), Some("1h2"), "gone"),
            (json!({}), Some("1h9"), "gone"),
        ] {
            assert_eq!(found(&host(&change), made), expected, "{change}");
        }
    }
}
