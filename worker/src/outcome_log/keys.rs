//! The keys of the outcome log's one sled tree. A first byte says what the key leads to; numbers are big-endian,
//! so that ranges follow their order. One tree, as only a batch on one tree is atomic.

use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::outcome::{Code, Status};
use stormhook_shared::domain::time::Timestamp;

/// What the log knows of itself.
pub(super) const META: &[u8] = b"m";
/// The first byte of blocks of entries.
pub(super) const BLOCK: u8 = b'e';
/// The first byte of triggers by id.
pub(super) const TRIGGER: u8 = b'i';
/// The first byte of samples of acceptance.
pub(super) const ACCEPTED: u8 = b'a';
/// The first byte of plans.
pub(super) const PLAN: u8 = b'l';
/// The first byte of management calls.
pub(super) const MANAGED: u8 = b'w';
/// The first byte of signed heads.
pub(super) const SIGNED: u8 = b'z';
/// The first byte of counts.
pub(super) const COUNT: u8 = b'h';

/// The first byte of calls.
pub(super) const CALLS: u8 = b'c';

/// The first byte of segments.
const SEGMENT: u8 = b'x';

/// An index: the bytes that all its keys for one subject begin with. What follows is a [`Bucket`] of the trigger
/// log and the segment whose entries are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Index(Vec<u8>);

/// A stretch of the trigger log, 2¹⁴ triggers long: as wide as two segments, whose triggers are next to each other for the
/// most part.
pub(super) type Bucket = u64;

/// How many bits of a place in the trigger log are the place within its bucket.
pub(super) const BUCKET_BITS: u32 = 14;

/// The bucket that `sequence` is in.
pub(super) fn bucket(sequence: Sequence) -> Bucket {
    sequence.0 >> BUCKET_BITS
}

impl Index {
    /// The first byte of each index that lists every trigger.
    pub(super) const COMPLETE: [u8; 6] = *b"dgprst";
    /// The first byte of the index of triggers with an idempotency key.
    pub(super) const KEY: u8 = b'k';
    /// The first byte of the index of triggers that repeat another one.
    pub(super) const REPLAY: u8 = b'o';

    /// All triggers.
    pub(super) fn sequence() -> Self {
        Self(vec![b's'])
    }

    /// By project.
    pub(super) fn project(project: Option<&ProjectId>) -> Self {
        Self(join(b'p', &[&short_hash(project)]))
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
    pub(super) fn status(project: Option<&ProjectId>, status: Status) -> Self {
        let status = match status {
            Status::Succeeded => b's',
            Status::Rejected => b'r',
            Status::Skipped => b'k',
            Status::Failed => b'f',
        };
        Self(join(b't', &[&short_hash(project), &[status]]))
    }

    /// By code within a project.
    pub(super) fn code(project: Option<&ProjectId>, code: Code) -> Self {
        let code = hash(&code.to_string());
        Self(join(b'd', &[&short_hash(project), &code]))
    }

    /// By idempotency key within a project.
    pub(super) fn key_of_caller(project: Option<&ProjectId>, key: &str) -> Self {
        Self(join(Self::KEY, &[&short_hash(project), &hash(key)]))
    }

    /// By the trigger that they repeat.
    pub(super) fn replay_of(origin: TriggerId) -> Self {
        Self(join(Self::REPLAY, &[origin.as_bytes()]))
    }

    /// The key of what `bucket` has in the segment that begins with entry `first`.
    pub(super) fn key(&self, bucket: Bucket, first: u64) -> Vec<u8> {
        let mut key = self.0.clone();
        key.extend_from_slice(&bucket.to_be_bytes());
        key.extend_from_slice(&first.to_be_bytes());
        key
    }
}

/// The bucket and the first entry of the segment that an index key ends with.
pub(super) fn listed(key: &[u8]) -> Option<(Bucket, u64)> {
    let (rest, first) = key.split_last_chunk::<8>()?;
    let (_, bucket) = rest.split_last_chunk::<8>()?;
    Some((u64::from_be_bytes(*bucket), u64::from_be_bytes(*first)))
}

/// The key of the block that begins with the entry of this number.
pub(super) fn block(first: u64) -> Vec<u8> {
    join(BLOCK, &[&first.to_be_bytes()])
}

/// The key of the segment that begins with the entry of this number.
pub(super) fn segment(first: u64) -> Vec<u8> {
    join(SEGMENT, &[&first.to_be_bytes()])
}

/// The number that a key ends with.
pub(super) fn last_number(key: &[u8]) -> Option<u64> {
    let (_, number) = key.split_last_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}

/// What all keys of triggers with this id begin with.
pub(super) fn trigger_id(id: TriggerId) -> Vec<u8> {
    join(TRIGGER, &[id.as_bytes()])
}

/// The key of the trigger with this id at `sequence`.
pub(super) fn trigger(id: TriggerId, sequence: Sequence) -> Vec<u8> {
    join(TRIGGER, &[id.as_bytes(), &sequence.0.to_be_bytes()])
}

/// The key of the plan at `revision` of the ledger.
pub(super) fn plan(revision: Revision) -> Vec<u8> {
    join(PLAN, &[&revision.0.to_be_bytes()])
}

/// The key of what was called for the record at `revision` of the ledger.
pub(super) fn calls(revision: Revision) -> Vec<u8> {
    join(CALLS, &[&revision.0.to_be_bytes()])
}

/// The key of a sample: a trigger that was accepted `at`, at its place.
pub(super) fn accepted(at: Timestamp, sequence: Sequence) -> Vec<u8> {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    join(
        ACCEPTED,
        &[&millis.to_be_bytes(), &sequence.0.to_be_bytes()],
    )
}

/// The key of a management call in a project, which is the entry of this number.
pub(super) fn managed(project: &ProjectId, number: u64) -> Vec<u8> {
    join(
        MANAGED,
        &[&short_hash(Some(project)), &number.to_be_bytes()],
    )
}

/// The key of a signed head at entry `at`, which is recorded in the entry of this number.
pub(super) fn signed(at: u64, number: u64) -> Vec<u8> {
    join(SIGNED, &[&at.to_be_bytes(), &number.to_be_bytes()])
}

/// The key of a project's counts in one hour since 1970.
pub(super) fn count(project: Option<&ProjectId>, hour: u64) -> Vec<u8> {
    join(COUNT, &[&short_hash(project), &hour.to_be_bytes()])
}

fn join(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![tag];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

fn short_hash(project: Option<&ProjectId>) -> [u8; 8] {
    hash(project.map_or("", ProjectId::as_str))
}

/// Two texts with the same hash share their keys, so whoever walks an index looks at the entries, too.
fn hash(text: &str) -> [u8; 8] {
    GroupKey::named(text).hash().0.to_be_bytes()
}
