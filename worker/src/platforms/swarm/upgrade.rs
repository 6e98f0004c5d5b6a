//! Takes one service through an update to another image: what the service's JSON says of how far it is, and the one
//! write that has to be made. Pure, but for [`step`].
//!
//! Swarm keeps one `UpdateStatus` a service, which begins anew with every write: whose update it tells of is known by
//! the image, and where that stays the same by `ForceUpdate`, which the plan's version remembers.

use serde_json::{Value, json};
use stormhook_shared::domain::kind::OnFailure;
use stormhook_shared::domain::ledger::UpgradedContainer;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::push::{Push, is_same_repository, repository_of};
use stormhook_shared::ports::platform::{Notes, PlatformError, Step};

use super::connection::Connection;
use super::registries::Registries;
use super::service::{self, Version};
use super::{image, tasks};

/// The write was made, and nobody knows what became of it.
const TRIED: &str = "update tried";
/// The write was answered well.
const BEGUN: &str = "update begun";

/// The upgrade of one service to one image.
pub(super) struct Upgrade<'a> {
    pub(super) service_id: &'a str,
    pub(super) name: &'a str,
    /// What the upgrade was decided from.
    pub(super) version: Option<Version>,
    pub(super) push: &'a Push,
    pub(super) containers: &'a [UpgradedContainer],
    pub(super) batch_size: u32,
    pub(super) interval_millis: u64,
    pub(super) start_first: bool,
    pub(super) on_failure: OnFailure,
    pub(super) monitor_millis: Option<u64>,
}

/// What is known of an upgrade besides what can be seen.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// This process began it.
    is_begun: bool,
    /// This process or one before may have begun it.
    may_have_begun: bool,
}

/// What has to be done next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Update,
    /// Nothing is told of the update: it has not begun, or there is nothing to replace.
    Look,
    /// It stopped at this task.
    Explain(String),
    Is(Step),
}

/// Makes the call that is due now, if one is.
pub(super) async fn step(
    connection: &Connection,
    registries: &Registries,
    upgrade: &Upgrade<'_>,
    notes: &mut Notes,
) -> Result<Step, PlatformError> {
    let path = ["services", upgrade.service_id];
    let found = connection.get(&path).await?;
    let is_begun = notes.has_begun(BEGUN);
    let known = Known {
        is_begun,
        may_have_begun: is_begun || notes.is_resumed || notes.has_begun(TRIED),
    };
    let found = found.unwrap_or_default();
    match next(upgrade, &found, known) {
        Next::Is(step) => Ok(step),
        Next::Look => look(connection, upgrade, &found).await,
        Next::Explain(message) => explain(connection, upgrade, message).await,
        Next::Update => {
            let before = service::image(&found["Spec"]).unwrap_or_default();
            let auth = registries.auth_for(repository_of(before)).await;
            let digest = digest(connection, upgrade.push, before, auth.as_deref()).await;
            let spec = request(upgrade, &found["Spec"], digest.as_deref());
            notes.permit(connection.change_timeout())?;
            let written = connection
                .update(&path, index(&found), &spec, auth.as_deref())
                .await;
            match &written {
                Ok(()) => notes.begin(BEGUN),
                Err(PlatformError::Transient {
                    is_untouched: true, ..
                }) => {}
                Err(_) => notes.begin(TRIED),
            };
            written?;
            Ok(underway(upgrade, "its update has begun"))
        }
    }
}

/// What the pushed tag leads to; `None` where the engine cannot tell, and nodes go by the tag.
async fn digest(
    connection: &Connection,
    push: &Push,
    before: &str,
    auth: Option<&str>,
) -> Option<String> {
    if push.digest.is_some() {
        return push.digest.clone();
    }
    let image = image::goal(before, push, None);
    let path: Vec<_> = ["distribution"]
        .into_iter()
        .chain(image.split('/'))
        .chain(["json"])
        .collect();
    let found = connection.find(&path, &[], auth).await;
    match found {
        Ok(found) => found?["Descriptor"]["digest"].as_str().map(str::to_owned),
        Err(error) => {
            tracing::debug!(image, %error, "the engine cannot resolve the tag; the update is forced instead");
            None
        }
    }
}

/// Whether anything is there that would have to be replaced.
async fn look(
    connection: &Connection,
    upgrade: &Upgrade<'_>,
    found: &Value,
) -> Result<Step, PlatformError> {
    let id = found["ID"].as_str().unwrap_or(upgrade.service_id);
    let all = tasks::of_service(connection, id).await?;
    Ok(if all.iter().any(tasks::is_wanted) {
        underway(upgrade, "its update is about to begin")
    } else {
        Step::Done
    })
}

/// A failure with what the task says that it failed by.
async fn explain(
    connection: &Connection,
    upgrade: &Upgrade<'_>,
    message: String,
) -> Result<Step, PlatformError> {
    let task = message.rsplit(' ').next().unwrap_or_default();
    let why = match connection.get(&["tasks", task]).await? {
        Some(task) => tasks::error(&task).map_or(String::new(), |why| format!(": {why}")),
        None => String::new(),
    };
    Ok(Step::Failed {
        code: Code::UpgradeFailed,
        message: format!("{}: {message}{why}", upgrade.name),
    })
}

fn next(upgrade: &Upgrade<'_>, found: &Value, known: Known) -> Next {
    let name = upgrade.name;
    if found.is_null() {
        let message = format!("service {name} was removed before its upgrade ended");
        return failed(Code::ServiceRemoved, message);
    }
    let image = service::image(&found["Spec"]).unwrap_or_default();
    if !is_same_repository(repository_of(image), &upgrade.push.image) {
        let message = format!("somebody set {name} to {image} meanwhile");
        return failed(Code::UpgradeFailed, message);
    }
    let status = &found["UpdateStatus"];
    let state = status["State"].as_str().unwrap_or_default();
    let told = status["Message"].as_str().unwrap_or_default();
    if !known.may_have_begun {
        return Next::Update;
    }
    if upgrade.is_written(found) {
        return match state {
            "" => Next::Look,
            "completed" => Next::Is(Step::Done),
            _ => stopped(upgrade, state, told),
        };
    }
    let is_back = upgrade.is_as_before(found);
    let is_untouched = upgrade.version.map(|decided| decided.index) == Some(index(found));
    match state {
        _ if is_back && is_untouched => Next::Update,
        // What ran before is written back at the start of a rollback.
        _ if is_back && state.starts_with("rollback") => stopped(upgrade, state, told),
        _ if is_back && !known.is_begun => Next::Update,
        _ => {
            let code = if known.is_begun {
                Code::UpgradeFailed
            } else {
                Code::Uncertain
            };
            let message = format!("somebody else set {name} to {image} before its upgrade ended");
            failed(code, message)
        }
    }
}

/// What an update's state means that is not its good end.
fn stopped(upgrade: &Upgrade<'_>, state: &str, told: &str) -> Next {
    match state {
        "paused" | "rollback_paused" => Next::Explain(told.to_owned()),
        "rollback_completed" => {
            let message = format!("{} was rolled back: {told}", upgrade.name);
            failed(Code::UpgradeFailed, message)
        }
        _ => Next::Is(underway(upgrade, told)),
    }
}

fn failed(code: Code, message: String) -> Next {
    Next::Is(Step::Failed { code, message })
}

fn index(found: &Value) -> u64 {
    Version::of(found).index
}

fn underway(upgrade: &Upgrade<'_>, what: &str) -> Step {
    Step::Underway {
        what: format!("{}: {what}", upgrade.name),
    }
}

/// The whole stored specification with another image and how to get there; everything else is as it was.
fn request(upgrade: &Upgrade<'_>, before: &Value, digest: Option<&str>) -> Value {
    let mut spec = before.clone();
    let old = service::image(before).unwrap_or_default();
    let goal = image::goal(old, upgrade.push, digest);
    if goal == old {
        // Nothing would be replaced otherwise. Where the tag is not resolved, every node pulls it anew.
        spec["TaskTemplate"]["ForceUpdate"] = json!(service::forced(before).saturating_add(1));
    }
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(goal);
    if !spec["UpdateConfig"].is_object() {
        spec["UpdateConfig"] = json!({});
    }
    let config = &mut spec["UpdateConfig"];
    config["Parallelism"] = json!(upgrade.batch_size);
    config["Delay"] = nanos(upgrade.interval_millis);
    config["Order"] = json!(if upgrade.start_first {
        "start-first"
    } else {
        "stop-first"
    });
    config["FailureAction"] = json!(upgrade.on_failure);
    if let Some(monitor) = upgrade.monitor_millis {
        config["Monitor"] = nanos(monitor);
    }
    spec
}

/// Docker writes times in nanoseconds.
fn nanos(millis: u64) -> Value {
    json!(millis.saturating_mul(1_000_000))
}

impl Upgrade<'_> {
    /// Whether the service's specification is what the upgrade makes of the one that it was decided from.
    fn is_written(&self, found: &Value) -> bool {
        let spec = &found["Spec"];
        let image = service::image(spec).unwrap_or_default();
        let is_other = self.before() != Some(image);
        let is_forced = self
            .version
            .is_some_and(|decided| service::forced(spec) > decided.forced);
        image::is_pushed(image, self.push) && (is_other || is_forced)
    }

    /// Whether the service runs what the upgrade was decided from.
    fn is_as_before(&self, found: &Value) -> bool {
        let spec = &found["Spec"];
        let forced = self.version.map(|decided| decided.forced);
        service::image(spec) == self.before()
            && forced.is_none_or(|forced| forced == service::forced(spec))
    }

    fn before(&self) -> Option<&str> {
        self.containers.first().map(|one| one.image.as_str())
    }
}

#[cfg(test)]
#[path = "upgrade_tests.rs"]
mod tests;
