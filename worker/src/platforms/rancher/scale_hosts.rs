//! Takes a group of hosts to the size that was planned: clones machines and waits for them, evacuates and removes
//! others and waits until they are gone. What was done already is found by names and ids, so that any process can go on.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stormhook_shared::domain::ledger::{HostRef, NewHost};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::ports::platform::{Notes, PlatformError, Step};

use super::connection::Connection;
use super::host;

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

/// Makes the calls that are due now.
pub(super) async fn step(
    connection: &Connection,
    create: &[NewHost],
    remove: &[HostRef],
    notes: &mut Notes,
) -> Result<Step, PlatformError> {
    let all = connection.list("hosts").await?;
    let mut underway = Vec::new();
    let mut failed = Vec::new();
    let by_name = there_by_name(&all);
    for new in create {
        match by_name.get(&new.name.to_lowercase()) {
            Some(found) => match host::state(found) {
                "active" => {}
                "error" => failed.push(failure(found)),
                state => underway.push(format!("{} is {state}", new.name)),
            },
            None => match clone(connection, &all, new, notes).await? {
                Ok(()) => underway.push(format!("{} was created", new.name)),
                Err(step) => return Ok(step),
            },
        }
    }
    for host in remove {
        if !take_away(connection, &all, host, notes).await? {
            underway.push(format!("{} is being removed", host.name));
        }
    }
    Ok(if !underway.is_empty() {
        let what = underway.join(", ");
        Step::Underway { what }
    } else if !failed.is_empty() {
        Step::Failed {
            code: Code::ProvisioningFailed,
            message: format!(
                "{} of {} new hosts could not be provisioned and are left in state error: {}",
                failed.len(),
                create.len(),
                failed.join("; ")
            ),
        }
    } else {
        Step::Done
    })
}

/// The hosts that are not on their way out, by their names in lower case.
fn there_by_name(all: &[Value]) -> BTreeMap<String, &Value> {
    all.iter()
        .filter(|one| host::counts(one) || matches!(host::state(one), "error" | "erroring"))
        .map(|one| (host::name(one).to_lowercase(), one))
        .collect()
}

async fn clone(
    connection: &Connection,
    all: &[Value],
    new: &NewHost,
    notes: &mut Notes,
) -> Result<Result<(), Step>, PlatformError> {
    let Some(base) = all.iter().find(|host| host["id"] == new.base.as_str()) else {
        let message = format!(
            "the host {} that {} was to be a clone of is gone",
            new.base, new.name
        );
        let code = Code::NoCloneableHost;
        return Ok(Err(Step::Failed { code, message }));
    };
    notes.permit(connection.change_timeout())?;
    connection
        .create("hosts", &host::clone_of(base, &new.name))
        .await?;
    Ok(Ok(()))
}

fn failure(found: &Value) -> String {
    let why = found["transitioningMessage"].as_str().unwrap_or_default();
    let why = if why.is_empty() {
        "no reason given"
    } else {
        why
    };
    format!("{}: {why}", host::name(found))
}

/// Makes the call that is due for a host that is to go. True when it is gone.
async fn take_away(
    connection: &Connection,
    all: &[Value],
    host: &HostRef,
    notes: &mut Notes,
) -> Result<bool, PlatformError> {
    let found = all.iter().find(|one| one["id"] == host.id.as_str());
    let evacuation = format!("evacuate {}", host.id);
    let removal = removal(found, notes.begun.contains(&evacuation));
    match removal {
        Removal::Gone => return Ok(true),
        Removal::Wait => return Ok(false),
        _ => notes.permit(connection.change_timeout())?,
    }
    match removal {
        Removal::Evacuate => {
            let event =
                json!({"eventType": "host.evacuate", "hostId": host.id, "deleteHost": true});
            connection.create("externalHostEvents", &event).await?;
            notes.begun.insert(evacuation);
        }
        Removal::Deactivate => {
            let path = ["hosts", host.id.as_str()];
            connection.act(&path, "deactivate", &json!({})).await?;
        }
        _ => connection.delete(&["hosts", &host.id]).await?,
    }
    Ok(false)
}

/// Cattle does not remove an active host: it answers 405, and it is then left inactive by whoever gives up there.
fn removal(found: Option<&Value>, is_evacuating: bool) -> Removal {
    let Some(found) = found.filter(|host| host["removed"].is_null()) else {
        return Removal::Gone;
    };
    match host::state(found) {
        "removed" | "purging" | "purged" => Removal::Gone,
        _ if is_evacuating => Removal::Wait,
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
    use super::*;

    #[test]
    fn each_state_is_led_out_as_cattle_permits() {
        for (state, is_evacuating, expected) in [
            ("active", false, Removal::Evacuate),
            ("active", true, Removal::Wait),
            ("inactive", true, Removal::Wait),
            ("inactive", false, Removal::Delete),
            ("error", false, Removal::Delete),
            ("provisioning", false, Removal::Delete),
            ("disconnected", false, Removal::Deactivate),
            ("reconnecting", false, Removal::Deactivate),
            ("deactivating", false, Removal::Wait),
            ("removing", false, Removal::Wait),
            ("purged", false, Removal::Gone),
            ("something-new", false, Removal::Wait),
        ] {
            let host = json!({"state": state, "removed": null});
            assert_eq!(removal(Some(&host), is_evacuating), expected, "{state}");
        }
        assert_eq!(removal(None, false), Removal::Gone);
        let removed = json!({"state": "removing", "removed": "2026-01-01T00:00:00Z"});
        assert_eq!(removal(Some(&removed), false), Removal::Gone);
    }
}
