//! What somebody did by a management call, as the record keeps it. Secrets are masked before they come here.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::group::GroupKey;
use super::ids::{ProjectId, ReceiverId, TriggerId};
use super::time::Timestamp;
use super::trigger::Source;

/// One management call, written down before it is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagementCall {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Caller,
    /// In which project.
    pub project: ProjectId,
    /// What.
    pub call: Call,
    /// To what.
    pub subject: Subject,
    /// How that was before, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// How it is after, if it is there; of a redelivery or a replay, what is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Who made a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The access key, which is no secret.
    pub access_key: String,
    /// From where.
    pub source: Source,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is named as the call of the API")]
pub enum Call {
    Create,
    Update,
    Rotate,
    Enable,
    Disable,
    Delete,
    Redeliver,
    Replay,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// To what something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Subject {
    /// A receiver.
    Receiver {
        /// Names it.
        id: ReceiverId,
        /// Its name before the call, or the one that it gets.
        name: String,
    },
    /// A trigger.
    Trigger {
        /// Names it.
        id: TriggerId,
    },
    /// The triggers that a replay chooses.
    Triggers,
}

impl GroupKey {
    /// The ledger's group of all management calls in `project`. No trigger belongs to it.
    pub fn management(project: &ProjectId) -> Self {
        Self::named(&format!("management/{project}"))
    }

    /// The ledger's group of signed heads. No trigger belongs to it.
    pub fn signed_heads() -> Self {
        Self::named("audit//heads")
    }

    /// The ledger's group of places where outcome logs begin whose older part is gone. No trigger belongs to it.
    pub fn beginnings() -> Self {
        Self::named("audit//beginnings")
    }
}
