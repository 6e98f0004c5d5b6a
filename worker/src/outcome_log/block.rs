//! Entries are stored in compressed blocks, as those of a storm are nearly alike: a tenth of the size, and a tenth
//! of the work for sled. Pure.

use sha2::{Digest, Sha256};

use super::chain::ChainHash;

/// How many entries a block has at most. sled 0.34 keeps a copy of a page for each key that a batch writes to it,
/// until the batch is done, so larger ones take memory; and all of a block is decompressed to read one entry.
pub(super) const LARGEST: usize = 64;
/// How much of the SHA-256 of the compressed entries is stored. The chain is over the entries, and other compressed
/// bytes can lead to the same ones.
const CHECKSUM: usize = 8;

/// A block: the encoded entries, and the chain's hash at the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) head: ChainHash,
    pub(super) entries: Vec<Vec<u8>>,
}

impl Block {
    /// As stored: the chain's hash, the checksum, then the compressed entries, each behind its length.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        for entry in &self.entries {
            let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
            plain.extend_from_slice(&length.to_be_bytes());
            plain.extend_from_slice(entry);
        }
        let mut bytes = self.head.as_bytes().to_vec();
        let compressed = lz4_flex::block::compress_prepend_size(&plain);
        bytes.extend_from_slice(&checksum(&compressed));
        bytes.extend(compressed);
        bytes
    }

    /// The block that [`Block::encode`] made into these bytes; `None` if it made no such bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<32>()?;
        let (sum, compressed) = rest.split_first_chunk::<CHECKSUM>()?;
        if *sum != checksum(compressed) {
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
        (rest.is_empty() && !entries.is_empty()).then(|| Self {
            head: ChainHash::from_bytes(*head),
            entries,
        })
    }
}

fn checksum(compressed: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&Sha256::digest(compressed)[..CHECKSUM]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written_and_not_if_it_is_cut_off() {
        let block = Block {
            head: ChainHash::START.extend(1, b"a"),
            entries: vec![b"a".repeat(500), Vec::new(), b"b".to_vec()],
        };
        let bytes = block.encode();
        assert!(bytes.len() < 200);
        assert_eq!(Block::decode(&bytes), Some(block));
        for length in 0..bytes.len() {
            assert_eq!(Block::decode(&bytes[..length]), None);
        }
    }
}
