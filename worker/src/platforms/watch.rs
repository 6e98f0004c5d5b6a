//! Keeps looking whether each project's platform answers, and tells it in the log and in `/readyz`: at the start, and
//! when it changes. A platform that does not answer holds up nobody but its own groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::platform::Platform;
use stormhook_shared::telemetry::Readiness;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long until the next look, at a platform that answered and at one that did not.
const WHILE_WELL: Duration = Duration::from_secs(30);
const WHILE_FAILING: Duration = Duration::from_secs(5);

/// Looks at all platforms until `stop`, each by a task of `tasks`.
pub(crate) fn watch(
    platforms: &BTreeMap<ProjectId, Arc<dyn Platform>>,
    readiness: &Arc<Readiness>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    for (project, platform) in platforms {
        readiness.report_platform(project, Err("not looked at yet".to_owned()));
        let looking = look(project.clone(), Arc::clone(platform), Arc::clone(readiness));
        let stop = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = looking => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn look(project: ProjectId, platform: Arc<dyn Platform>, readiness: Arc<Readiness>) {
    let mut before: Option<Result<(), String>> = None;
    loop {
        let found = platform.probe().await;
        let state = match &found {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if before.as_ref() != Some(&state) {
            match &found {
                Ok(what) => tracing::info!(%project, "connected to {what}"),
                Err(error) => {
                    tracing::warn!(%project, %error, "the project's platform cannot be used; others are not held up");
                }
            }
        }
        readiness.report_platform(&project, state.clone());
        let rest = if state.is_ok() {
            WHILE_WELL
        } else {
            WHILE_FAILING
        };
        before = Some(state);
        tokio::time::sleep(rest).await;
    }
}
