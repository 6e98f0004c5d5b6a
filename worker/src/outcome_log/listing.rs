//! What an index lists under one key: the triggers of one bucket whose entries are in one block. Pure.

use stormhook_shared::domain::ids::Sequence;

use super::keys::{self, Bucket};
use super::store::StoreError;

/// Each trigger takes three bytes: its place in the bucket, and its entry's place in the block.
const ITEM: usize = 3;

/// The triggers that are listed under one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing(Vec<u8>);

impl Listing {
    /// Adds the trigger at `sequence`, whose entry is the block's `offset`th.
    pub(super) fn add(&mut self, sequence: Sequence, offset: usize) {
        let [.., low] = sequence.0.to_be_bytes();
        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
        self.0.push(low);
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
    let read = |[low, high_offset, low_offset]: [u8; ITEM]| {
        let offset = u16::from_be_bytes([high_offset, low_offset]);
        let sequence = (bucket << 8) | u64::from(low);
        (Sequence(sequence), first + u64::from(offset))
    };
    Ok((bucket, items.iter().copied().map(read).collect()))
}
