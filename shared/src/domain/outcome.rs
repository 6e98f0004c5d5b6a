//! Verdicts and outcomes: what was decided on a trigger, why, and what came of it.

use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ids::{ProjectId, ReceiverId, Sequence, TriggerId};
use super::kind::Driver;
use super::time::Timestamp;
use super::trigger::{Logged, Source};

/// The four ways in which a trigger ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The action was done, or folded into one that was done.
    Succeeded,
    /// A rule of the receiver or the platform forbids it.
    Rejected,
    /// Nothing had to be done.
    Skipped,
    /// It was tried until the deadline, or refused for good, or nobody can know.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Rejected, Self::Skipped, Self::Failed];
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Rejected => "rejected",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        })
    }
}

/// A text that names no status.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a status: succeeded, rejected, skipped or failed")]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.to_string() == text)
            .ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// Which rule decided. Each belongs to one [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "each is named as in the rules of docs/verdicts.md"
)]
pub enum Code {
    Scaled,
    HostsAdded,
    HostsRemoved,
    Upgraded,
    Forwarded,
    AboveMax,
    BelowMin,
    ServiceRemoved,
    NoHostsWithLabel,
    NoCloneableHost,
    NoSpareHost,
    NoRemovableHost,
    Unsupported,
    TargetRefused,
    AlertResolved,
    AlertRepeated,
    AtLimit,
    CoolingDown,
    Filtered,
    ReceiverDisabled,
    ReceiverDeleted,
    NoPush,
    TagMismatch,
    ImageMismatch,
    NoMatchingServices,
    Superseded,
    Duplicate,
    DeadlineExceeded,
    PlatformRefused,
    ProvisioningFailed,
    UpgradeFailed,
    Uncertain,
    Undecodable,
}

impl Code {
    /// The status that this rule leads to.
    pub fn status(self) -> Status {
        match self {
            Self::Scaled
            | Self::HostsAdded
            | Self::HostsRemoved
            | Self::Upgraded
            | Self::Forwarded => Status::Succeeded,
            Self::AboveMax
            | Self::BelowMin
            | Self::ServiceRemoved
            | Self::NoHostsWithLabel
            | Self::NoCloneableHost
            | Self::NoSpareHost
            | Self::NoRemovableHost
            | Self::Unsupported
            | Self::TargetRefused => Status::Rejected,
            Self::AlertResolved
            | Self::AlertRepeated
            | Self::AtLimit
            | Self::CoolingDown
            | Self::Filtered
            | Self::ReceiverDisabled
            | Self::ReceiverDeleted
            | Self::NoPush
            | Self::TagMismatch
            | Self::ImageMismatch
            | Self::NoMatchingServices
            | Self::Superseded
            | Self::Duplicate => Status::Skipped,
            Self::DeadlineExceeded
            | Self::PlatformRefused
            | Self::ProvisioningFailed
            | Self::UpgradeFailed
            | Self::Uncertain
            | Self::Undecodable => Status::Failed,
        }
    }
}

/// A text that names no code.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a code; docs/verdicts.md lists them, like scaled or aboveMax")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let word: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        Self::deserialize(word).map_err(|_| UnknownCode(text.to_owned()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What was decided on one trigger, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which rule decided.
    pub code: Code,
    /// Why, in one sentence with the figures.
    pub message: String,
    /// The scale that it was decided from, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// The scale that the trigger led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

impl Verdict {
    /// A verdict without figures of scale.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            from: None,
            to: None,
        }
    }

    /// The same verdict, decided from scale `from` and leading to `to`.
    #[must_use]
    pub fn scaling(mut self, from: u32, to: u32) -> Self {
        self.from = Some(from);
        self.to = Some(to);
        self
    }
}

/// What the record keeps of a trigger, besides its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerFacts {
    /// Names it.
    pub id: TriggerId,
    /// Its place in the trigger log.
    pub sequence: Sequence,
    /// Whose URL was called; absent where the entry could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<CalledReceiver>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Who called.
    pub source: Source,
    /// The caller's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The trigger that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<TriggerId>,
    /// The trigger that this one is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<TriggerId>,
    /// The place of that trigger in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_sequence: Option<Sequence>,
    /// SHA-256 of the body, in hex.
    pub body_sha256: String,
    /// The body's length.
    pub body_bytes: u64,
}

/// The receiver as a trigger's URL named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CalledReceiver {
    /// Names it.
    pub id: ReceiverId,
    /// Its name when it was called.
    pub name: String,
    /// Its kind.
    pub driver: Driver,
    /// Its project.
    pub project: ProjectId,
}

impl TriggerFacts {
    /// The facts of a trigger in the log.
    pub fn of(logged: &Logged) -> Self {
        let trigger = &logged.trigger;
        Self {
            id: trigger.id,
            sequence: logged.sequence,
            receiver: Some(CalledReceiver {
                id: trigger.receiver_id,
                name: trigger.receiver_name.clone(),
                driver: trigger.driver,
                project: trigger.project.clone(),
            }),
            accepted_at: trigger.accepted_at,
            source: trigger.source.clone(),
            idempotency_key: trigger.idempotency_key.clone(),
            replay_of: trigger.replay_of,
            parent_id: trigger.parent_id,
            parent_sequence: trigger.parent_sequence,
            body_sha256: hex::encode(Sha256::digest(&trigger.body)),
            body_bytes: trigger.body.len() as u64,
        }
    }
}

/// The one final word on a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Which trigger.
    pub trigger: TriggerFacts,
    /// The receiver's revision that it was decided under; absent where the receiver was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver_revision: Option<u64>,
    /// What was decided, and why.
    pub verdict: Verdict,
    /// How often the platform was called to perform the action that this trigger was part of.
    pub attempts: u32,
    /// When it was settled.
    pub settled_at: Timestamp,
}
