//! Takes nodes of a pool into service and out of it, and removes some. What was done already is seen on the nodes
//! themselves, so that any process can go on.

use serde_json::Value;
use stormhook_shared::domain::ledger::HostRef;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::platform::{Notes, PlatformError, Step};

use super::connection::Connection;
use super::service::Version;
use super::{node, tasks};

/// What is to become of which nodes.
pub(super) struct Nodes<'a> {
    pub(super) activate: &'a [HostRef],
    pub(super) drain: &'a [HostRef],
    pub(super) remove: &'a [HostRef],
}

/// What a node still needs.
enum Need {
    Nothing,
    Wait(String),
    Never(Step),
}

/// Makes the calls that are due now.
pub(super) async fn step(
    connection: &Connection,
    nodes: &Nodes<'_>,
    notes: &mut Notes,
) -> Result<Step, PlatformError> {
    let all = connection.list("nodes", &[]).await?;
    let there = |host: &HostRef| all.iter().find(|node| node::id(node) == host.id);
    let mut needs = Vec::new();
    for host in nodes.activate {
        needs.push(activate(connection, host, there(host), notes).await?);
    }
    for host in nodes.drain {
        needs.push(match there(host) {
            Some(node) => drain(connection, host, node, notes).await?,
            None => Need::Nothing,
        });
    }
    for host in nodes.remove {
        needs.push(match there(host) {
            Some(node) => remove(connection, host, node, notes).await?,
            None => Need::Nothing,
        });
    }
    let mut waits = Vec::new();
    for need in needs {
        match need {
            Need::Nothing => {}
            Need::Wait(what) => waits.push(what),
            Need::Never(step) => return Ok(step),
        }
    }
    Ok(if waits.is_empty() {
        Step::Done
    } else {
        Step::Underway {
            what: waits.join(", "),
        }
    })
}

async fn activate(
    connection: &Connection,
    host: &HostRef,
    node: Option<&Value>,
    notes: &mut Notes,
) -> Result<Need, PlatformError> {
    let Some(node) = node else {
        let message = format!(
            "node {} was removed from the swarm before it was taken into service",
            host.name
        );
        return Ok(Need::Never(Step::Failed {
            code: Code::NoSpareHost,
            message,
        }));
    };
    if node::is_drained(node) {
        update(connection, node, &node::activated(node), notes).await?;
        return Ok(Need::Wait(format!("{} was activated", host.name)));
    }
    Ok(if node::is_working(node) {
        Need::Nothing
    } else {
        Need::Wait(format!("{} is active, but down", host.name))
    })
}

/// A node that is down cannot tell that its tasks have ended: Swarm runs others in their place all the same.
async fn drain(
    connection: &Connection,
    host: &HostRef,
    node: &Value,
    notes: &mut Notes,
) -> Result<Need, PlatformError> {
    if !node::is_drained(node) {
        let spec = node::drained(node, Timestamp::now());
        update(connection, node, &spec, notes).await?;
        return Ok(Need::Wait(format!("{} is being drained", host.name)));
    }
    if !node::is_working(node) {
        return Ok(Need::Nothing);
    }
    let left = tasks::on_node(connection, &host.id).await?;
    let left = left.iter().filter(|task| tasks::is_there(task)).count();
    Ok(match left {
        0 => Need::Nothing,
        left => Need::Wait(format!("{left} tasks are still on {}", host.name)),
    })
}

async fn remove(
    connection: &Connection,
    host: &HostRef,
    node: &Value,
    notes: &mut Notes,
) -> Result<Need, PlatformError> {
    if node::is_manager(node) {
        let message = format!(
            "node {} manages the swarm, and is not removed before it is demoted",
            host.name
        );
        return Ok(Need::Never(Step::Failed {
            code: Code::NoRemovableHost,
            message,
        }));
    }
    match drain(connection, host, node, notes).await? {
        Need::Nothing => {}
        other => return Ok(other),
    }
    notes.permit(connection.change_timeout())?;
    connection.delete(&["nodes", &host.id]).await?;
    Ok(Need::Wait(format!("{} is being removed", host.name)))
}

async fn update(
    connection: &Connection,
    node: &Value,
    spec: &Value,
    notes: &mut Notes,
) -> Result<(), PlatformError> {
    notes.permit(connection.change_timeout())?;
    let index = Version::of(node).index;
    let path = ["nodes", node::id(node)];
    connection.update(&path, index, spec, None).await
}
