//! What new hosts are called: as the host that they are a clone of, with the next number.

use std::collections::BTreeSet;

/// The names that nobody may be given, in lower case.
#[derive(Debug, Clone)]
pub(super) struct HostNames {
    in_use: BTreeSet<String>,
}

impl HostNames {
    pub(super) fn new(in_use: BTreeSet<String>) -> Self {
        Self { in_use }
    }

    /// Gives out the name of another host like the one called `base`: one more than the largest number that any host
    /// of the group has behind the same letters, as wide as the base's, and never one in use.
    pub(super) fn next<'a>(&mut self, base: &str, group: impl Iterator<Item = &'a str>) -> String {
        let (prefix, digits) = split(base);
        let width = digits.len();
        let last = group
            .filter_map(|host| {
                let (other, digits) = split(host);
                // The one without a number counts as the first.
                (other == prefix).then(|| digits.parse().unwrap_or(1_u64))
            })
            .max()
            .unwrap_or(0);
        let mut number = last.saturating_add(1);
        let mut name = format!("{prefix}{number:0width$}");
        while self.in_use.contains(&name.to_lowercase()) {
            number = number.saturating_add(1);
            name = format!("{prefix}{number:0width$}");
        }
        self.in_use.insert(name.to_lowercase());
        name
    }

    /// Takes a name back that was given out.
    pub(super) fn free(&mut self, name: &str) {
        self.in_use.remove(&name.to_lowercase());
    }
}

/// A host's name up to its first dot, as what stands before its last digits and those digits.
fn split(name: &str) -> (&str, &str) {
    let short = name.split('.').next().unwrap_or(name);
    let prefix = short.trim_end_matches(|c: char| c.is_ascii_digit());
    short.split_at(prefix.len())
}
