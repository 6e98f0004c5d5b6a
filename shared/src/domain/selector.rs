//! Which labelled things a receiver is about: all those that carry every pair.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Pairs of labels, at least one. Keys and values are compared without case; a pair with a blank value asks only for
/// the key, as in Rancher 1.6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct Selector {
    /// As the caller wrote them.
    pairs: BTreeMap<String, String>,
}

/// A selector without a pair would match everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// It has no pair.
    #[error("a selector needs at least one pair of label and value")]
    Empty,
    /// A pair has no key.
    #[error("a selector's label must not be blank")]
    BlankKey,
    /// Two pairs ask for different values of one label.
    #[error("the label {0:?} stands twice in the selector")]
    Twice(String),
}

impl Selector {
    /// The selector of these pairs.
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self, InvalidSelector> {
        if pairs.is_empty() {
            return Err(InvalidSelector::Empty);
        }
        let mut keys: Vec<_> = pairs.keys().map(|key| key.trim().to_lowercase()).collect();
        keys.sort();
        if keys.iter().any(String::is_empty) {
            return Err(InvalidSelector::BlankKey);
        }
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(InvalidSelector::Twice(twice[0].clone()));
        }
        Ok(Self { pairs })
    }

    /// Whether something with these labels is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.canonical().iter().all(|(key, value)| {
            labels.iter().any(|(label, found)| {
                label.trim().to_lowercase() == *key
                    && (value.is_empty() || found.trim().to_lowercase() == *value)
            })
        })
    }

    /// The pairs, as the caller wrote them.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.pairs
    }

    /// Whether both mean the same things.
    pub fn is_same(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }

    /// The pairs in lower case, as text that [`Selector::parse`] reads: the same for selectors that mean the same.
    pub fn to_key(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.canonical())
            .finish()
    }

    /// The selector that [`Selector::to_key`] wrote.
    pub fn parse(key: &str) -> Result<Self, InvalidSelector> {
        let pairs = url::form_urlencoded::parse(key.as_bytes());
        Self::new(pairs.into_owned().collect())
    }

    fn canonical(&self) -> BTreeMap<String, String> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.trim().to_lowercase(), value.trim().to_lowercase()))
            .collect()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, value)) in self.pairs.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl TryFrom<BTreeMap<String, String>> for Selector {
    type Error = InvalidSelector;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, InvalidSelector> {
        Self::new(pairs)
    }
}

impl From<Selector> for BTreeMap<String, String> {
    fn from(selector: Selector) -> Self {
        selector.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(pairs: &[(&str, &str)]) -> Result<Selector, InvalidSelector> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Selector::new(pairs.iter().map(own).collect())
    }

    #[test]
    fn every_pair_must_match_without_case_and_a_blank_value_asks_for_the_key() {
        let labels = [("Role", "WEB"), ("zone", "a")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        for (pairs, expected) in [
            (&[("role", "web")][..], true),
            (&[("role", "web"), ("zone", "A")], true),
            (&[("role", "web"), ("zone", "b")], false),
            (&[("role", "")], true),
            (&[("rack", "")], false),
        ] {
            let matches = selector(pairs).unwrap().matches(&labels);
            assert_eq!(matches, expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_selector_that_would_match_everything_or_nothing_is_refused() {
        assert_eq!(selector(&[]), Err(InvalidSelector::Empty));
        assert_eq!(selector(&[(" ", "x")]), Err(InvalidSelector::BlankKey));
        assert!(selector(&[("a", "1"), ("A", "2")]).is_err());
    }

    #[test]
    fn its_key_is_read_as_it_was_written_and_the_same_for_the_same_things() {
        let odd = selector(&[("a/b", "x=y&z"), ("ü", "")]).unwrap();
        assert!(Selector::parse(&odd.to_key()).unwrap().is_same(&odd));
        let one = selector(&[("Role", "Web"), ("zone", "a")]).unwrap();
        assert_eq!(one.to_key(), "role=web&zone=a");
    }
}
