//! Writes management calls into the record before they are carried out: a change that nobody wrote down must not be
//! possible, an entry of a change that did not come about is followed by another one that says so. The entries go through
//! the ledger, so that every worker has them at the same place; whoever makes the call keeps nothing.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::domain::group::GroupKey;
use crate::domain::ids::{ProjectId, Revision};
use crate::domain::ledger::{Entry, Record};
use crate::domain::management::{Call, Caller, ManagementCall, Subject};
use crate::domain::receiver::Receiver;
use crate::domain::time::Timestamp;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::receiver_json::{self, Rendering};

/// How often an entry is appended again that one of another process came before, in the same project.
const TRIES: usize = 20;

/// Where a process writes down what it is about to do.
pub struct ManagementRecord {
    ledger: Arc<dyn Ledger>,
    /// The turn to write: calls of one process never come before each other.
    turn: Semaphore,
}

/// A call that was written down and is now to be carried out.
#[must_use = "a call that is not carried out has to be followed by an entry that says so"]
pub struct Recorded {
    project: ProjectId,
    revision: Revision,
}

/// A call was not written down, so it must not be carried out.
#[derive(Debug, thiserror::Error)]
#[error("the call was not written down, so it was not carried out: {0}")]
pub struct Unrecorded(LedgerError);

impl ManagementRecord {
    /// A record in `ledger`.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            turn: Semaphore::new(1),
        }
    }

    /// Writes down what is about to be done.
    pub async fn write(&self, call: ManagementCall) -> Result<Recorded, Unrecorded> {
        let project = call.project.clone();
        let revision = self
            .append(&project, Entry::Managed(Box::new(call)))
            .await?;
        Ok(Recorded { project, revision })
    }

    async fn append(&self, project: &ProjectId, entry: Entry) -> Result<Revision, Unrecorded> {
        let group = GroupKey::management(project);
        // The semaphore is never closed.
        let _turn = self.turn.acquire().await;
        let mut tries = 0;
        loop {
            let last = self.ledger.last(&group).await.map_err(Unrecorded)?;
            let expected = last.map_or(Revision(0), |(revision, _)| revision);
            let record = Record::apart(group.clone(), entry.clone());
            tries += 1;
            match self.ledger.append(record, expected).await {
                Ok(revision) => return Ok(revision),
                Err(LedgerError::Conflict { .. }) if tries < TRIES => {}
                Err(error) => return Err(Unrecorded(error)),
            }
        }
    }
}

impl Recorded {
    /// Writes down that it was not carried out, because of `error`, which is returned.
    pub async fn not_done<E: ToString>(self, record: &ManagementRecord, error: E) -> E {
        let entry = Entry::NotDone {
            project: self.project.clone(),
            call: self.revision,
            reason: error.to_string(),
            at: Timestamp::now(),
        };
        if let Err(unrecorded) = record.append(&self.project, entry).await {
            tracing::warn!(call = %self.revision, error = %unrecorded, "that a call was not carried out is not recorded");
        }
        error
    }
}

/// That `by` is about to change a receiver of `project` from `before` to `after`, as the record keeps it.
pub fn of_receiver(
    project: &ProjectId,
    by: Caller,
    call: Call,
    (before, after): (Option<&Receiver>, Option<&Receiver>),
) -> ManagementCall {
    let named = before.or(after);
    ManagementCall {
        at: Timestamp::now(),
        by,
        project: project.clone(),
        call,
        subject: named.map_or(Subject::Triggers, |receiver| Subject::Receiver {
            id: receiver.id,
            name: receiver.name.clone(),
        }),
        before: before.map(masked),
        after: after.map(masked),
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
