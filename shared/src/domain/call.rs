//! Calls of a platform, as the record keeps them: what was called, when, how long it took, how it went.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformCall {
    /// What was called, as `PUT /v2-beta/projects/1a5/services/1s5`.
    pub what: String,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub millis: u64,
    /// What went wrong, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Calls in the order in which they ended. However many there were, only the first and the last of them are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// Those that are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<PlatformCall>,
    /// How many there were between the first half of those and the last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

impl Calls {
    /// How many are kept: with what else a record holds, it stays below nats-server's largest message.
    pub const MOST: usize = 24;
    /// How many characters of a call's name and of an error are kept.
    pub const MOST_CHARS: usize = 240;

    /// Adds a call.
    pub fn push(&mut self, mut call: PlatformCall) {
        call.what = cut(&call.what);
        call.error = call.error.as_deref().map(cut);
        if self.kept.len() == Self::MOST {
            self.kept.remove(Self::MOST / 2);
            self.left_out += 1;
        }
        self.kept.push(call);
    }

    /// Adds the calls that came after these.
    pub fn extend(&mut self, later: Self) {
        self.left_out += later.left_out;
        for call in later.kept {
            self.push(call);
        }
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(Calls::MOST_CHARS).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_calls_are_kept() {
        let mut calls = Calls::default();
        for number in 0..1_000 {
            calls.push(PlatformCall {
                what: format!("{number} {}", "é".repeat(1_000)),
                at: Timestamp::from_millis(0),
                millis: 1,
                error: None,
            });
        }
        assert_eq!(calls.kept.len(), Calls::MOST);
        assert_eq!(calls.left_out, 1_000 - Calls::MOST as u64);
        let kept = |place: usize| calls.kept[place].what.split(' ').next().unwrap().to_owned();
        assert_eq!(
            (kept(0), kept(11), kept(12), kept(23)),
            ("0".into(), "11".into(), "988".into(), "999".into())
        );
        assert_eq!(calls.kept[0].what.chars().count(), Calls::MOST_CHARS);
    }
}
