//! Where the next page of a list begins: the place of the last item before it, and a fingerprint of the query, so that
//! a marker is not taken for that of another query.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::error::ApiError;

/// What a marker begins with.
const SIGN: char = 'm';
/// How much of the SHA-256 of the query is kept.
const FINGERPRINT: usize = 6;

/// The beginning of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The place of the last item before the page.
    pub(crate) place: u64,
    fingerprint: [u8; FINGERPRINT],
}

impl Marker {
    /// What goes on after `place` in the list that `query` (its parts, however written) asks for.
    pub(crate) fn new(place: u64, query: &impl fmt::Debug) -> Self {
        let digest = Sha256::digest(format!("{query:?}"));
        let mut fingerprint = [0; FINGERPRINT];
        fingerprint.copy_from_slice(&digest[..FINGERPRINT]);
        Self { place, fingerprint }
    }

    /// The place where the marker in the parameter `text` says that the list of `query` goes on.
    pub(crate) fn place_in(text: &str, query: &impl fmt::Debug) -> Result<u64, ApiError> {
        let wrong = |message: String| Err(ApiError::invalid("InvalidFormat", "marker", message));
        let Ok(marker) = text.parse::<Self>() else {
            return wrong(format!("marker: {text:?} is not the marker of a page"));
        };
        if marker != Self::new(marker.place, query) {
            let message = "marker: this one belongs to another query; repeat the query that gave it \
                           without changes, or leave the marker out to begin anew";
            return wrong(message.to_owned());
        }
        Ok(marker.place)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SIGN}{}-{}", self.place, hex::encode(self.fingerprint))
    }
}

impl FromStr for Marker {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix(SIGN).ok_or(())?;
        let (place, hash) = rest.split_once('-').ok_or(())?;
        let mut fingerprint = [0; FINGERPRINT];
        hex::decode_to_slice(hash, &mut fingerprint).map_err(|_| ())?;
        Ok(Self {
            place: place.parse().map_err(|_| ())?,
            fingerprint,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_belongs_to_its_query() {
        let marker = Marker::new(42, &("1a5", Some("failed"))).to_string();
        assert_eq!(
            Marker::place_in(&marker, &("1a5", Some("failed"))).unwrap(),
            42
        );
        let other = Marker::place_in(&marker, &("1a5", None::<&str>)).unwrap_err();
        assert!(other.to_string().contains("another query"), "{other}");
        for wrong in ["", "m", "42", "m42", "m-00", "mx-000000000000", "m42-00"] {
            let error = Marker::place_in(wrong, &()).unwrap_err();
            assert!(error.to_string().contains("not the marker"), "{error}");
        }
    }
}
