//! The keys of the outcome log's one sled tree. A first byte says what the key leads to; numbers are big-endian,
//! so that ranges follow their order. One tree, as only a batch on one tree is atomic.

use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::outcome::Status;
use stormhook_shared::domain::time::Timestamp;

/// What the log knows of itself.
pub(super) const META: &[u8] = b"m";
/// The first byte of entries.
pub(super) const ENTRY: u8 = b'e';

/// An index: the bytes that all its keys for one subject begin with. What follows is the trigger's sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index(Vec<u8>);

impl Index {
    /// The first byte of each index.
    pub(super) const TAGS: [u8; 7] = *b"aigprst";

    /// By trigger.
    pub(super) fn trigger(id: TriggerId) -> Self {
        Self(join(b'i', &[id.as_bytes()]))
    }

    /// By place in the trigger log.
    pub(super) fn sequence() -> Self {
        Self(vec![b's'])
    }

    /// By project.
    pub(super) fn project(project: &ProjectId) -> Self {
        Self(join(b'p', &[&short_hash(project.as_str())]))
    }

    /// By receiver.
    pub(super) fn receiver(receiver: ReceiverId) -> Self {
        Self(join(b'r', &[receiver.as_bytes()]))
    }

    /// By group.
    pub(super) fn group(group: &GroupKey) -> Self {
        Self(join(b'g', &[&group.hash().0.to_be_bytes()]))
    }

    /// By status within a project.
    pub(super) fn status(project: &ProjectId, status: Status) -> Self {
        let status = match status {
            Status::Succeeded => b's',
            Status::Rejected => b'r',
            Status::Skipped => b'k',
            Status::Failed => b'f',
        };
        Self(join(b't', &[&short_hash(project.as_str()), &[status]]))
    }

    /// The key of the trigger at `sequence`.
    pub(super) fn key(&self, sequence: Sequence) -> Vec<u8> {
        let mut key = self.0.clone();
        key.extend_from_slice(&sequence.0.to_be_bytes());
        key
    }
}

/// The key of the entry with this number.
pub(super) fn entry(number: u64) -> Vec<u8> {
    join(ENTRY, &[&number.to_be_bytes()])
}

/// The key of the entry that tells of the plan at `revision` of the ledger.
pub(super) fn plan(revision: Revision) -> Vec<u8> {
    join(b'l', &[&revision.0.to_be_bytes()])
}

/// The key by time of acceptance.
pub(super) fn accepted(at: Timestamp, sequence: Sequence) -> Vec<u8> {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    join(b'a', &[&millis.to_be_bytes(), &sequence.0.to_be_bytes()])
}

/// The sequence that an index key ends with.
pub(super) fn sequence_of(key: &[u8]) -> Option<Sequence> {
    let (_, sequence) = key.split_last_chunk::<8>()?;
    Some(Sequence(u64::from_be_bytes(*sequence)))
}

fn join(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![tag];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

fn short_hash(text: &str) -> [u8; 8] {
    GroupKey::named(text).hash().0.to_be_bytes()
}
