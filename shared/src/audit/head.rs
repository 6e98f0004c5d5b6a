//! Signed heads: number and hash of the chain's last entry under the deployment's Ed25519 key (RFC 8032). Somebody who
//! rewrote the log everywhere is found out by one of them that is kept elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hmac::Mac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::chain::ChainHash;
use crate::domain::time::Timestamp;
use crate::hook_key::DeploymentSecret;

const LABEL: &[u8] = b"stormhook audit signing key 1\0";

/// The head of a chain, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedHead {
    /// The number of the last entry.
    pub number: u64,
    /// Its hash.
    pub hash: ChainHash,
    /// When it was signed.
    pub at: Timestamp,
    /// Whose signature it is.
    pub public_key: PublicKey,
    /// The signature over [`SignedHead::message`].
    pub signature: Signature,
}

/// Why a head cannot be believed.
#[derive(Debug, thiserror::Error)]
#[error("the signature on the head at entry {number} is not that of key {key}")]
pub struct WrongSignature {
    number: u64,
    key: PublicKey,
}

impl SignedHead {
    /// What is signed: four lines, so that it can be made with a text editor.
    pub fn message(number: u64, hash: ChainHash, at: Timestamp) -> String {
        format!("stormhook head 1\n{number}\n{hash}\n{at}\n")
    }

    /// Whether the signature is that of the key.
    pub fn verify(&self) -> Result<(), WrongSignature> {
        let message = Self::message(self.number, self.hash, self.at);
        UnparsedPublicKey::new(&ED25519, self.public_key.0)
            .verify(message.as_bytes(), &self.signature.0)
            .map_err(|_| WrongSignature {
                number: self.number,
                key: self.public_key,
            })
    }
}

/// Signs heads.
pub struct SigningKey(Ed25519KeyPair);

/// Why there is no key in a file.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file cannot be read.
    #[error("read the signing key from {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds no key.
    #[error(
        "a signing key is a seed of exactly 32 random bytes, which {0} does not hold; make one with: head -c 32 /dev/urandom"
    )]
    NoSeed(PathBuf),
}

impl SigningKey {
    /// The key that belongs to a deployment's secret.
    pub fn derived(secret: &DeploymentSecret) -> Self {
        let mut mac = secret.mac();
        mac.update(LABEL);
        Self::from_seed(&mac.finalize().into_bytes()).expect("SHA-256 has the length of a seed")
    }

    /// The key whose seed the file at `path` holds.
    pub fn read(path: &Path) -> Result<Self, SigningKeyError> {
        let seed = std::fs::read(path).map_err(|source| SigningKeyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::from_seed(&seed).ok_or_else(|| SigningKeyError::NoSeed(path.to_owned()))
    }

    /// The key with this seed of 32 bytes.
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).ok()
    }

    /// Signs the head of a chain.
    pub fn sign(&self, number: u64, hash: ChainHash, at: Timestamp) -> SignedHead {
        let message = SignedHead::message(number, hash, at);
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(message.as_bytes()).as_ref());
        SignedHead {
            number,
            hash,
            at,
            public_key: self.public_key(),
            signature: Hex(signature),
        }
    }

    /// What its signatures are checked with.
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        Hex(bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// An Ed25519 public key.
pub type PublicKey = Hex<32>;
/// An Ed25519 signature.
pub type Signature = Hex<64>;

/// Bytes that are written in hex.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex<const BYTES: usize>([u8; BYTES]);

/// A text that is not so many bytes in hex.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not {digits} of 0-9 a-f")]
pub struct InvalidHex {
    text: String,
    digits: usize,
}

impl<const BYTES: usize> FromStr for Hex<BYTES> {
    type Err = InvalidHex;

    fn from_str(text: &str) -> Result<Self, InvalidHex> {
        let mut bytes = [0; BYTES];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if !text.contains(|c: char| c.is_ascii_uppercase()) => Ok(Self(bytes)),
            _ => Err(InvalidHex {
                text: text.to_owned(),
                digits: BYTES * 2,
            }),
        }
    }
}

impl<const BYTES: usize> TryFrom<String> for Hex<BYTES> {
    type Error = InvalidHex;

    fn try_from(text: String) -> Result<Self, InvalidHex> {
        text.parse()
    }
}

impl<const BYTES: usize> From<Hex<BYTES>> for String {
    fn from(bytes: Hex<BYTES>) -> Self {
        bytes.to_string()
    }
}

impl<const BYTES: usize> fmt::Display for Hex<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const BYTES: usize> fmt::Debug for Hex<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_believed_as_it_was_signed_and_not_otherwise() {
        let secret = DeploymentSecret::new(vec![7; 32]).unwrap();
        let key = SigningKey::derived(&secret);
        let hash = ChainHash::START.extend(1, b"a");
        let head = key.sign(41, hash, Timestamp::from_millis(0));
        head.verify().unwrap();
        let text = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<SignedHead>(&text).unwrap(), head);
        let changed = [
            SignedHead {
                number: 42,
                ..head.clone()
            },
            SignedHead {
                hash: ChainHash::START,
                ..head.clone()
            },
            SignedHead {
                at: Timestamp::from_millis(1),
                ..head.clone()
            },
            SignedHead {
                signature: Hex([1; 64]),
                ..head.clone()
            },
            SignedHead {
                public_key: Hex([1; 32]),
                ..head
            },
        ];
        for changed in changed {
            assert!(changed.verify().is_err(), "{changed:?}");
        }
        // The same on every start, as heads are compared over years.
        assert_eq!(SigningKey::derived(&secret).public_key(), key.public_key());
        assert!(SigningKey::from_seed(&[1; 31]).is_none());
    }
}
