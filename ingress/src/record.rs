//! Writes management calls into the record before they are carried out: a change that nobody wrote down must not be
//! possible, an entry of a change that did not come about is followed by another one that says so. The entries go through
//! the ledger, so that every worker has them at the same place; the ingress itself keeps nothing.

use actix_web::HttpRequest;
use serde_json::{Value, json};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, Revision};
use stormhook_shared::domain::ledger::{Entry, Record};
use stormhook_shared::domain::management::{Call, Caller, ManagementCall, Subject};
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::ledger::LedgerError;
use stormhook_shared::receiver_json::{self, Rendering};

use crate::access::Grant;
use crate::app::App;
use crate::endpoint;
use crate::error::ApiError;

/// How often an entry is appended again that one of another ingress came before, in the same project.
const TRIES: usize = 20;

/// A call that was written down and is now to be carried out.
pub(crate) struct Recorded {
    project: ProjectId,
    revision: Revision,
}

/// Writes down that whoever was granted `grant` is about to do `call` to `subject`, with how that is `before` and `after`.
pub(crate) async fn record(
    app: &App,
    request: &HttpRequest,
    grant: &Grant,
    (call, subject): (Call, Subject),
    (before, after): (Option<Value>, Option<Value>),
) -> Result<Recorded, ApiError> {
    let project = grant.project.clone();
    let call = ManagementCall {
        at: Timestamp::now(),
        by: Caller {
            access_key: grant.access_key.clone(),
            source: endpoint::source(request),
        },
        project: project.clone(),
        call,
        subject,
        before,
        after,
    };
    let revision = append(app, &project, Entry::Managed(Box::new(call))).await?;
    Ok(Recorded { project, revision })
}

/// The same of a receiver's change from `before` to `after`.
pub(crate) async fn record_receiver(
    app: &App,
    request: &HttpRequest,
    grant: &Grant,
    call: Call,
    (before, after): (Option<&Receiver>, Option<&Receiver>),
) -> Result<Recorded, ApiError> {
    let named = before.or(after);
    let subject = named.map_or(Subject::Triggers, |receiver| Subject::Receiver {
        id: receiver.id,
        name: receiver.name.clone(),
    });
    let states = (before.map(masked), after.map(masked));
    record(app, request, grant, (call, subject), states).await
}

impl Recorded {
    /// Writes down that it was not carried out, because of `error`, which is returned.
    pub(crate) async fn not_done<E: ToString>(self, app: &App, error: E) -> E {
        let entry = Entry::NotDone {
            project: self.project.clone(),
            call: self.revision,
            reason: error.to_string(),
            at: Timestamp::now(),
        };
        if let Err(unrecorded) = append(app, &self.project, entry).await {
            tracing::warn!(call = %self.revision, error = %unrecorded, "that a call was not carried out is not recorded");
        }
        error
    }
}

/// A receiver as the record keeps it: without trigger URL, secrets masked.
fn masked(receiver: &Receiver) -> Value {
    let rendering = Rendering {
        url: None,
        self_link: "",
        now: Timestamp::now(),
    };
    let mut shown = receiver_json::render(receiver, &rendering);
    shown["keyVersion"] = json!(receiver.keys.current);
    if let Value::Object(fields) = &mut shown {
        fields.retain(|name, _| !matches!(name.as_str(), "url" | "links" | "type"));
    }
    shown
}

async fn append(app: &App, project: &ProjectId, entry: Entry) -> Result<Revision, ApiError> {
    let ledger = &app.backbone.ledger;
    let group = GroupKey::management(project);
    let unwritten = |error: LedgerError| {
        ApiError::unavailable(format!(
            "the call was not written down, so it was not carried out: {error}"
        ))
    };
    // One after the other: calls of one ingress never come before each other. The semaphore is never closed.
    let _turn = app.recording.acquire().await;
    let mut tries = 0;
    loop {
        let last = ledger.last(&group).await.map_err(unwritten)?;
        let expected = last.map_or(Revision(0), |(revision, _)| revision);
        let record = Record::apart(group.clone(), entry.clone());
        tries += 1;
        match ledger.append(record, expected).await {
            Ok(revision) => return Ok(revision),
            Err(LedgerError::Conflict { .. }) if tries < TRIES => {}
            Err(error) => return Err(unwritten(error)),
        }
    }
}
