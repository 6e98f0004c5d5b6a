//! Entries are stored in compressed blocks, as those of a storm are nearly alike: a tenth of the size, and a tenth
//! of the work for sled. Pure.

use sha2::{Digest, Sha256};
use stormhook_shared::audit::chain::ChainHash;
use stormhook_shared::audit::export::Place;

use super::span::Span;

/// How many entries a block has at most. sled 0.34 keeps a copy of a page for each key that a batch writes to it,
/// until the batch is done, so larger ones take memory; and all of a block is decompressed to read one entry.
pub(super) const LARGEST: usize = 64;
/// How much of the SHA-256 of what follows is stored. The chain is over the entries, and other compressed
/// bytes can lead to the same ones.
const CHECKSUM: usize = 8;
/// How much of the chain's hash at each entry is stored, so that the first bad one of a block can be named.
const MARK: usize = 4;
/// More bytes than the entries of a block have: damage can say any number.
const LARGEST_PLAIN: u32 = 256 * 1024 * 1024;

/// A block: the encoded entries, the chain's hash at the last of them, and a mark of the hash at each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) head: ChainHash,
    /// When its triggers were accepted.
    pub(super) accepted: Span,
    marks: Vec<[u8; MARK]>,
    pub(super) entries: Vec<Vec<u8>>,
}

/// What a block says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// The chain's hash at its last entry.
    pub(super) head: ChainHash,
    /// How many entries it has.
    pub(super) count: u16,
    /// When its triggers were accepted.
    pub(super) accepted: Span,
}

impl Header {
    const BYTES: usize = 32 + CHECKSUM + 2 + Span::BYTES;
}

impl Block {
    /// The block of the entries that come after `place`, whose triggers were `accepted` then.
    pub(super) fn new(mut place: Place, entries: Vec<Vec<u8>>, accepted: Span) -> Self {
        let mut marks = Vec::with_capacity(entries.len());
        for entry in &entries {
            place = place.next(entry);
            marks.push(mark(place.hash));
        }
        Self {
            head: place.hash,
            accepted,
            marks,
            entries,
        }
    }

    /// Gives the block the sums of another one, as somebody leaves it who changes entries alone.
    #[cfg(test)]
    pub(super) fn keep_sums_of(&mut self, other: &Self) {
        self.head = other.head;
        self.marks.clone_from(&other.marks);
        self.marks.resize(self.entries.len(), [0; MARK]);
    }

    /// Whether the hash of the chain at the entry with this offset is `hash`, as far as its mark tells.
    pub(super) fn has_mark(&self, offset: usize, hash: ChainHash) -> bool {
        self.marks.get(offset) == Some(&mark(hash))
    }

    /// As stored: the chain's hash, the checksum of what follows, the number of entries, the time of their triggers, the marks,
    /// then the compressed entries, each behind its length.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        for entry in &self.entries {
            let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
            plain.extend_from_slice(&length.to_be_bytes());
            plain.extend_from_slice(entry);
        }
        let count = u16::try_from(self.marks.len()).unwrap_or(u16::MAX);
        let mut rest = count.to_be_bytes().to_vec();
        rest.extend(self.accepted.encode());
        rest.extend(self.marks.iter().flatten());
        rest.extend(lz4_flex::block::compress_prepend_size(&plain));
        let mut bytes = self.head.as_bytes().to_vec();
        bytes.extend_from_slice(&checksum(&rest));
        bytes.extend(rest);
        bytes
    }

    /// The block that [`Block::encode`] made into these bytes; `None` if it made no such bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (_, rest) = bytes.split_first_chunk::<32>()?;
        let (sum, rest) = rest.split_first_chunk::<CHECKSUM>()?;
        if *sum != checksum(rest) {
            return None;
        }
        Self::decode_damaged(bytes)
    }

    /// What stands before the entries in these bytes.
    pub(super) fn header(bytes: &[u8]) -> Option<Header> {
        let (head, rest) = bytes.split_first_chunk::<32>()?;
        let (count, rest) = rest.get(CHECKSUM..)?.split_first_chunk::<2>()?;
        let accepted = rest.first_chunk::<{ Span::BYTES }>()?;
        Some(Header {
            head: ChainHash::from_bytes(*head),
            count: u16::from_be_bytes(*count),
            accepted: Span::decode(*accepted),
        })
    }

    /// What can still be read of these bytes, to tell which entry is not as it was.
    pub(super) fn decode_damaged(bytes: &[u8]) -> Option<Self> {
        let Header {
            head,
            count,
            accepted,
        } = Self::header(bytes)?;
        let count = usize::from(count);
        let rest = bytes.get(Header::BYTES..)?;
        let (marks, compressed) = rest.split_at_checked(count * MARK)?;
        let (marks, _) = marks.as_chunks::<MARK>();
        let size = u32::from_le_bytes(*compressed.first_chunk::<4>()?);
        if size > LARGEST_PLAIN {
            return None;
        }
        let plain = lz4_flex::block::decompress_size_prepended(compressed).ok()?;
        let mut rest = plain.as_slice();
        let mut entries = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (entry, after) = after.split_at_checked(length)?;
            entries.push(entry.to_vec());
            rest = after;
        }
        (rest.is_empty() && entries.len() == count && count > 0).then(|| Self {
            head,
            accepted,
            marks: marks.to_vec(),
            entries,
        })
    }
}

fn mark(hash: ChainHash) -> [u8; MARK] {
    let mut mark = [0; MARK];
    mark.copy_from_slice(&hash.as_bytes()[..MARK]);
    mark
}

fn checksum(rest: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&Sha256::digest(rest)[..CHECKSUM]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written_and_not_if_it_is_cut_off() {
        let entries = vec![b"a".repeat(500), Vec::new(), b"b".to_vec()];
        let block = Block::new(Place::START, entries, Span::NOTHING);
        assert!(block.has_mark(2, block.head) && !block.has_mark(1, block.head));
        let bytes = block.encode();
        assert!(bytes.len() < 216);
        assert_eq!(Block::decode(&bytes), Some(block));
        for length in 0..bytes.len() {
            assert_eq!(Block::decode(&bytes[..length]), None);
        }
    }
}
