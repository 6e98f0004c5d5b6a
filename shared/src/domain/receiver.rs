//! A receiver: a configured hook with its kind, its options and its trigger URL's versions.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::group::GroupKey;
use super::ids::{ProjectId, ReceiverId};
use super::kind::{Driver, Kind};
use super::time::Timestamp;

/// A hook as it is stored in the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receiver {
    /// Names it for good.
    pub id: ReceiverId,
    /// The tenant.
    pub project: ProjectId,
    /// Unique in the project, and changeable.
    pub name: String,
    /// What its triggers do.
    pub kind: Kind,
    /// How its triggers are treated, whatever the kind.
    pub options: Options,
    /// Whether its triggers act.
    pub activity: Activity,
    /// Which trigger URLs are valid.
    pub keys: KeyVersions,
    /// 1 when created, one more with every change.
    pub revision: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Receiver {
    /// The group that all its triggers belong to. Never changes, as the kind's target never does.
    pub fn group(&self) -> GroupKey {
        GroupKey::of(&self.project, &self.kind.target())
    }
}

/// How a receiver's triggers are treated, whatever its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Triggers within this time after the receiver's last performed action are skipped.
    pub cooldown: Duration,
    /// The same, counted from the group's last performed action by any receiver.
    pub group_cooldown: Duration,
    /// What happens to an action that would cross a bound.
    pub on_limit: OnLimit,
    /// What a resolved Alertmanager notification does.
    pub on_resolved: OnResolved,
    /// What a repeated Alertmanager notification does.
    pub on_repeat: OnRepeat,
    /// Whether Alertmanager notifications get an idempotency key of their own.
    pub dedupe: Dedupe,
    /// What a body must contain for its trigger to act.
    pub filter: Vec<Condition>,
    /// The secret with which requests must be signed.
    pub sign: Option<SignSecret>,
    /// JSON pointers (RFC 6901) of what is masked in a body before it is written anywhere.
    pub redact: Vec<String>,
    /// How long after its acceptance a trigger is retried.
    pub deadline: Duration,
}

impl Options {
    /// The longest cooldown: a day. Group state need not remember actions that are older.
    pub const LONGEST_COOLDOWN: Duration = Duration::from_secs(86_400);
}

impl Options {
    /// The options of a receiver that says nothing of them.
    pub fn default_for(driver: Driver) -> Self {
        Self {
            cooldown: Duration::ZERO,
            group_cooldown: Duration::ZERO,
            on_limit: OnLimit::Reject,
            on_resolved: OnResolved::Skip,
            on_repeat: OnRepeat::Trigger,
            dedupe: Dedupe::None,
            filter: Vec::new(),
            sign: None,
            redact: Vec::new(),
            deadline: Kind::default_deadline(driver),
        }
    }
}

/// What happens to an action that would cross a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnLimit {
    /// It is rejected.
    Reject,
    /// It goes to the bound instead.
    Clamp,
}

/// What a resolved Alertmanager notification does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnResolved {
    /// Nothing.
    Skip,
    /// The same as a firing one.
    Trigger,
    /// The opposite action, within the same bounds.
    Reverse,
}

/// What a repeated Alertmanager notification does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnRepeat {
    /// It acts: an alert that still fires wants more.
    Trigger,
    /// Nothing.
    Ignore,
}

/// Whether a body gives a trigger its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Dedupe {
    /// Only headers do.
    None,
    /// An Alertmanager notification does, so that redundant Alertmanagers act once.
    Alert,
}

/// One condition on a trigger's JSON body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Where to look (RFC 6901).
    pub pointer: String,
    /// What must be there.
    #[serde(flatten)]
    pub test: Test,
}

/// What a value in a body is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// This value.
    Equals(Value),
    /// One of these values.
    In(Vec<Value>),
    /// A text that this pattern matches as a whole.
    Glob(String),
}

/// A shared secret; its text never appears in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignSecret(pub String);

impl fmt::Debug for SignSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignSecret(…)")
    }
}

/// Whether a receiver's triggers act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Activity {
    /// They do.
    Active,
    /// They are skipped, until a time where one is given.
    Disabled {
        /// When the receiver becomes active again by itself.
        until: Option<Timestamp>,
    },
}

impl Activity {
    /// Whether triggers act at `now`.
    pub fn is_active(self, now: Timestamp) -> bool {
        match self {
            Self::Active => true,
            Self::Disabled { until } => until.is_some_and(|until| until <= now),
        }
    }
}

/// Which versions of a receiver's trigger URL are valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyVersions {
    /// The version in the URL that is shown.
    pub current: NonZeroU32,
    /// Replaced versions that stay valid for a while.
    pub overlapping: Vec<OverlappingKey>,
    /// A key of another system that is valid here too, so that its callers need not change their URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedKey>,
}

/// A key that was brought along from Rancher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportedKey {
    /// SHA-256 of the key, in hex.
    pub sha256: String,
    /// When it ends, if its receiver was given a new URL since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl ImportedKey {
    /// `key`, valid without end.
    pub fn new(key: &str) -> Self {
        Self {
            sha256: Self::digest(key),
            until: None,
        }
    }

    /// Whether `text` can be a key of Rancher's: 40 letters and digits.
    pub fn is_key(text: &str) -> bool {
        text.len() == 40 && text.chars().all(|c| c.is_ascii_alphanumeric())
    }

    /// What is kept of a key.
    pub fn digest(key: &str) -> String {
        hex::encode(Sha256::digest(key))
    }

    /// Whether it is valid at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A replaced trigger URL that is still valid for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverlappingKey {
    /// Its version.
    pub version: NonZeroU32,
    /// When it ends.
    pub until: Timestamp,
}

impl KeyVersions {
    /// The versions of a new receiver.
    pub const FIRST: Self = Self {
        current: NonZeroU32::MIN,
        overlapping: Vec::new(),
        imported: None,
    };

    /// Whether a URL of `version` is valid at `now`.
    pub fn accept(&self, version: NonZeroU32, now: Timestamp) -> bool {
        version == self.current
            || self
                .overlapping
                .iter()
                .any(|key| key.version == version && now < key.until)
    }

    /// The versions after a rotation at `now` that leaves the present URL valid for `overlap`. Earlier ones stay valid for as
    /// long as was said then; without an overlap, none of them does.
    #[must_use]
    pub fn rotated(&self, overlap: Duration, now: Timestamp) -> Self {
        let end = now.plus(overlap);
        let present = OverlappingKey {
            version: self.current,
            until: end,
        };
        let overlapping = if overlap.is_zero() {
            Vec::new()
        } else {
            let all = self.overlapping.iter().copied().chain([present]);
            all.filter(|key| now < key.until).collect()
        };
        Self {
            current: self.current.saturating_add(1),
            overlapping,
            imported: self
                .imported
                .as_ref()
                .filter(|key| key.is_valid(now) && !overlap.is_zero())
                .map(|key| ImportedKey {
                    until: Some(key.until.unwrap_or(end).min(end)),
                    ..key.clone()
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_key_is_valid_until_its_overlap_ends() {
        let now = Timestamp::from_millis(0);
        let minute = Duration::from_secs(60);
        let first = NonZeroU32::MIN;

        let at_once = KeyVersions::FIRST.rotated(Duration::ZERO, now);
        assert!(!at_once.accept(first, now));

        let overlapping = KeyVersions::FIRST.rotated(minute, now);
        assert!(overlapping.accept(first, now));
        assert!(overlapping.accept(overlapping.current, now));
        assert!(!overlapping.accept(first, now.plus(minute)));

        // Somebody who rotates again because the URL is known to others means all URLs.
        let again = overlapping.rotated(Duration::ZERO, now);
        assert!(!again.accept(first, now) && !again.accept(overlapping.current, now));
        let shorter = overlapping.rotated(minute / 2, now);
        assert!(shorter.accept(first, now.plus(minute / 2)));
        assert!(!shorter.accept(overlapping.current, now.plus(minute / 2)));
    }

    #[test]
    fn a_disabled_receiver_becomes_active_when_its_time_is_up() {
        let until = Timestamp::from_millis(1_000);
        let disabled = Activity::Disabled { until: Some(until) };
        assert!(!disabled.is_active(Timestamp::from_millis(999)));
        assert!(disabled.is_active(until));
        assert!(!Activity::Disabled { until: None }.is_active(until));
    }
}
