//! What all requests share.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpRequest;
use stormhook_shared::configuration::ApiKey;
use stormhook_shared::directory::Directory;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::hook_key::HookKeys;
use stormhook_shared::management_record::ManagementRecord;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::questions::{Answer, Question};
use stormhook_shared::program::probes::Probes;
use stormhook_shared::session_key::SessionKeys;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::DatabaseCopies;
use crate::error::ApiError;
use crate::feed::Feed;
use crate::metrics::IngressMetrics;

/// What all requests share.
pub(crate) struct App {
    pub(crate) backbone: Backbone,
    pub(crate) directory: Arc<Directory>,
    pub(crate) hook_keys: HookKeys,
    pub(crate) session_keys: SessionKeys,
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) feed: Feed,
    pub(crate) probes: Probes,
    pub(crate) started_at: Timestamp,
    pub(crate) metrics: IngressMetrics,
    /// Where management calls are written down.
    pub(crate) record: ManagementRecord,
    /// The turn to change a receiver: changes at one ingress never come before each other.
    pub(crate) turn_to_change: Semaphore,
    pub(crate) database: Option<DatabaseCopies>,
    /// Cancelled when the ingress stops: whoever waits for something is answered at once.
    pub(crate) stop: CancellationToken,
    /// What links begin with; where absent, the address that a request came to.
    pub(crate) public_url: Option<String>,
}

impl App {
    /// What links in the answer to `request` begin with.
    pub(crate) fn base(&self, request: &HttpRequest) -> String {
        match &self.public_url {
            Some(url) => url.clone(),
            None => {
                let connection = request.connection_info();
                format!("{}://{}", connection.scheme(), connection.host())
            }
        }
    }

    /// The receivers, once all of them are known here: before that, nobody can say of one that it is not there.
    pub(crate) fn receivers(&self) -> Result<&Directory, ApiError> {
        if self.directory.is_complete() {
            Ok(&self.directory)
        } else {
            let message = "the receivers are still being read; try again";
            Err(ApiError::unavailable(message))
        }
    }

    /// Asks a worker. Without one, or without an answer in time, the caller is told to try again.
    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, ApiError> {
        match self.backbone.questions.ask(question).await {
            Ok(Answer::Unavailable(reason)) => Err(ApiError::unavailable(reason)),
            Ok(Answer::NoSuchProject) => Err(ApiError::not_found(
                "the project has no platform connection; add it to the configuration as [projects.<id>]",
            )),
            Ok(answer) => Ok(answer),
            Err(error) => Err(ApiError::unavailable(format!("no worker answers: {error}"))),
        }
    }

    /// All projects that are known, with the names that a worker tells: those with a platform, and those with receivers.
    pub(crate) async fn projects(&self) -> BTreeMap<ProjectId, Option<String>> {
        let receivers = self.directory.projects();
        let mut projects: BTreeMap<_, _> = receivers.into_iter().map(|id| (id, None)).collect();
        if let Ok(Answer::System(system)) = self.backbone.questions.ask(Question::System).await {
            let platforms = system.platforms.into_iter();
            projects.extend(platforms.map(|platform| (platform.project, platform.name)));
        }
        projects
    }
}
