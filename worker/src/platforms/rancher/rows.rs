//! The rows of a list, put together from its pages. A page begins at a number of rows, so that rows which others remove
//! meanwhile move all later ones up: a row can come twice, or be passed over. Pure.

use std::collections::HashSet;

use serde_json::Value;

/// How many rows of the page before each page has, so that it is seen whether one follows the other; fewer where pages are
/// small.
const OVERLAP: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Rows {
    seen: HashSet<String>,
    all: Vec<Value>,
}

impl Rows {
    /// Adds the rows of the next page, without those that came before. False: it does not follow what came before, and
    /// rows may be missing in between.
    pub(super) fn add(&mut self, page: Vec<Value>) -> bool {
        let (is_first, count) = (self.seen.is_empty(), page.len());
        let seen = &mut self.seen;
        let new = page
            .into_iter()
            .filter(|row| seen.insert(row["id"].to_string()));
        let before = self.all.len();
        self.all.extend(new);
        let has_old = self.all.len() - before < count;
        is_first || has_old
    }

    pub(super) fn into_all(self) -> Vec<Value> {
        self.all
    }
}

/// Where a page is to begin that would begin at `marker`, after one of `count` rows, and whether it has rows of that one.
pub(super) fn with_overlap(marker: String, count: usize) -> (String, bool) {
    let overlap = OVERLAP.min(count / 2);
    let number = marker.strip_prefix('m').and_then(|at| at.parse().ok());
    match number.and_then(|at: usize| at.checked_sub(overlap)) {
        Some(earlier) if overlap > 0 => (format!("m{earlier}"), true),
        _ => (marker, false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(ids: std::ops::Range<u32>) -> Vec<Value> {
        ids.map(|id| json!({"id": format!("1h{id}")})).collect()
    }

    #[test]
    fn rows_come_once_and_none_is_missed() {
        for (second, follows, count) in [
            (80..180, true, 180),
            (99..200, true, 200),
            (100..200, false, 200),
            (50..60, true, 100),
            (0..0, false, 100),
        ] {
            let mut rows = Rows::default();
            assert!(rows.add(page(0..100)));
            assert_eq!(rows.add(page(second.clone())), follows, "{second:?}");
            assert_eq!(rows.into_all().len(), count, "{second:?}");
        }
    }

    #[test]
    fn pages_begin_among_the_rows_of_the_one_before() {
        for (marker, count, expected) in [
            ("m1000", 1_000, ("m980", true)),
            ("m10", 10, ("m5", true)),
            ("m1", 1, ("m1", false)),
            ("next-1000", 1_000, ("next-1000", false)),
        ] {
            let (begins, overlaps) = with_overlap(marker.to_owned(), count);
            assert_eq!((begins.as_str(), overlaps), expected);
        }
    }
}
