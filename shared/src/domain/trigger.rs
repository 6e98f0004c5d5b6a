//! A trigger: one accepted POST to a trigger URL, as it stands in the trigger log.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::group::GroupKey;
use super::ids::{ProjectId, ReceiverId, Revision, Sequence, TriggerId};
use super::kind::Driver;
use super::push::Notice;
use super::time::Timestamp;

/// One accepted POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Names it.
    pub id: TriggerId,
    /// Whose URL was called.
    pub receiver_id: ReceiverId,
    /// The receiver's name then: history outlives receivers.
    pub receiver_name: String,
    /// The receiver's kind.
    pub driver: Driver,
    /// The receiver's project.
    pub project: ProjectId,
    /// The receiver's group.
    pub group: GroupKey,
    /// When the ingress took it.
    pub accepted_at: Timestamp,
    /// Who called.
    pub source: Source,
    /// The caller's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The trigger that this one repeats by an operator's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<TriggerId>,
    /// It acts though its receiver or group cools down, by an operator's wish.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_cooldown: bool,
    /// The trigger that this one is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<TriggerId>,
    /// The place of that trigger in its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_sequence: Option<Sequence>,
    /// What the body tells of a registry, where the receiver waits for a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// The request's query without what belongs to the trigger URL, where it is passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The registry as the ingress knew it: a worker whose copy is older waits before it decides.
    pub registry_revision: Revision,
    /// The request's headers that tell what it is about, by their names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body's content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body as received, except for what the receiver has masked.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// Who sent a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The peer's address, or what a trusted proxy says it is.
    pub address: Option<IpAddr>,
    /// The `User-Agent` header, at most [`Source::USER_AGENT_CHARS`] of it.
    pub user_agent: Option<String>,
}

impl Source {
    /// How much of a `User-Agent` is kept.
    pub const USER_AGENT_CHARS: usize = 200;
}

/// A trigger at its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Where it stands.
    pub sequence: Sequence,
    /// What stands there.
    pub trigger: Trigger,
}

/// Bytes that are no trigger.
#[derive(Debug, thiserror::Error)]
pub enum UndecodableTrigger {
    /// The bytes end before what their head announces.
    #[error("the entry is cut off")]
    CutOff,
    /// The head is not what this version writes.
    #[error("the entry's head: {0}")]
    Head(#[from] serde_json::Error),
}

impl Trigger {
    /// The trigger as bytes: the length of its JSON head in four, the head, the body as it is.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = vec![0; 4];
        serde_json::to_writer(&mut bytes, self)?;
        let head = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&head.to_be_bytes());
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }

    /// The trigger that [`Trigger::encode`] made into these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, UndecodableTrigger> {
        let (length, rest) = bytes
            .split_first_chunk::<4>()
            .ok_or(UndecodableTrigger::CutOff)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (head, body) = rest
            .split_at_checked(length)
            .ok_or(UndecodableTrigger::CutOff)?;
        let mut trigger: Self = serde_json::from_slice(head)?;
        trigger.body = body.to_vec();
        Ok(trigger)
    }
}
