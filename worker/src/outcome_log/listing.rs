//! What an index lists under one key: the triggers of one bucket whose entries are in one segment. Pure.

use stormhook_shared::domain::ids::Sequence;

use super::keys::{self, BUCKET_BITS, Bucket};
use super::store::StoreError;

/// Each trigger takes four bytes: its place in the bucket, and its entry's place in the segment.
const ITEM: usize = 4;

/// The triggers that are listed under one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing(Vec<u8>);

impl Listing {
    /// Adds the trigger at `sequence`, whose entry is the segment's `offset`th.
    pub(super) fn add(&mut self, sequence: Sequence, offset: u16) {
        let place = sequence.0 & ((1 << BUCKET_BITS) - 1);
        let [.., high, low] = place.to_be_bytes();
        self.0.extend_from_slice(&[high, low]);
        self.0.extend_from_slice(&offset.to_be_bytes());
    }

    /// As stored.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The triggers listed in `bytes` under `key`, with their entries' numbers.
pub(super) fn read(key: &[u8], bytes: &[u8]) -> Result<(Bucket, Vec<(Sequence, u64)>), StoreError> {
    let damaged = || StoreError::Damaged("an index entry has the wrong length".to_owned());
    let (bucket, first) = keys::listed(key).ok_or_else(damaged)?;
    let (items, rest) = bytes.as_chunks::<ITEM>();
    if !rest.is_empty() || items.is_empty() {
        return Err(damaged());
    }
    let read = |[high, low, high_offset, low_offset]: [u8; ITEM]| {
        let place = u16::from_be_bytes([high, low]);
        let offset = u16::from_be_bytes([high_offset, low_offset]);
        let sequence = (bucket << BUCKET_BITS) | u64::from(place);
        (Sequence(sequence), first + u64::from(offset))
    };
    Ok((bucket, items.iter().copied().map(read).collect()))
}

/// The part of `bytes`, listed in the segment that begins with entry `first`, whose entries come after entry `base`.
pub(super) fn after(base: u64, first: u64, bytes: &[u8]) -> Vec<u8> {
    let is_after = |[_, _, high, low]: &&[u8; ITEM]| {
        first + u64::from(u16::from_be_bytes([*high, *low])) > base
    };
    let (items, _) = bytes.as_chunks::<ITEM>();
    items.iter().filter(is_after).flatten().copied().collect()
}
