//! What of the live feed is to be shown: what fits the filters of the list, and was not shown by it.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use serde_json::Value;
use stormhook_shared::domain::time::Timestamp;

/// The list's filters, for single triggers.
pub(super) struct Filter {
    /// Fields with what they must be.
    fields: Vec<(&'static str, String)>,
    status: Option<String>,
    code: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filter {
    /// The filters of a list's `query`.
    pub(super) fn new(query: &[(&'static str, String)]) -> Result<Self> {
        let mut filter = Self {
            fields: Vec::new(),
            status: None,
            code: None,
            since: None,
            until: None,
        };
        for (name, value) in query {
            let value = value.clone();
            match *name {
                "status" => filter.status = Some(value),
                "code" => filter.code = Some(value),
                "since" => filter.since = Some(value.parse().context("--since")?),
                "until" => filter.until = Some(value.parse().context("--until")?),
                field => filter.fields.push((field, value)),
            }
        }
        Ok(filter)
    }

    /// Whether `trigger` is one of the list.
    pub(super) fn fits(&self, trigger: &Value) -> bool {
        let outcome = &trigger["outcome"];
        let accepted = trigger["acceptedAt"].as_str();
        let accepted: Option<Timestamp> = accepted.and_then(|at| at.parse().ok());
        let status = outcome["status"].as_str().unwrap_or("pending");
        let is_of = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        self.fields
            .iter()
            .all(|(name, value)| trigger[*name].as_str() == Some(value))
            && is_of(&self.status, Some(status))
            && is_of(&self.code, outcome["code"].as_str())
            && self.since.is_none_or(|since| accepted >= Some(since))
            && self.until.is_none_or(|until| accepted < Some(until))
    }
}

/// What was shown, as far as the feed may tell it again.
pub(super) struct Told {
    /// The list's triggers by their places in the log, and whether they were settled.
    listed: HashMap<u64, bool>,
    /// Settled before the feed told that they were accepted: the two come from different logs.
    early: BTreeSet<u64>,
    /// The last one of which the feed told that it was accepted.
    accepted: u64,
}

impl Told {
    /// The list was shown.
    pub(super) fn new(listed: &[Value]) -> Self {
        Self {
            listed: listed
                .iter()
                .map(|trigger| (place(trigger), is_settled(trigger)))
                .collect(),
            early: BTreeSet::new(),
            accepted: 0,
        }
    }

    /// Whether a trigger of the feed tells something that was not shown.
    pub(super) fn is_new(&mut self, trigger: &Value) -> bool {
        let place = place(trigger);
        if is_settled(trigger) {
            if place > self.accepted {
                self.early.insert(place);
            }
            return self.listed.get(&place) != Some(&true);
        }
        let was_early = self.early.contains(&place);
        // They come in order.
        self.early = self.early.split_off(&(place + 1));
        self.accepted = place;
        !was_early && !self.listed.contains_key(&place)
    }
}

fn place(trigger: &Value) -> u64 {
    trigger["sequence"].as_u64().unwrap_or(0)
}

fn is_settled(trigger: &Value) -> bool {
    trigger["state"] == "settled"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_trigger_is_told_once_as_accepted_and_once_as_settled() {
        let accepted = |place| json!({"sequence": place, "state": "pending"});
        let settled = |place| json!({"sequence": place, "state": "settled"});
        let mut told = Told::new(&[settled(5), accepted(6)]);
        let events = [
            (accepted(5), false),
            (settled(6), true),
            (accepted(6), false),
            (settled(5), false),
            (settled(8), true),
            (accepted(7), true),
            (accepted(8), false),
            (settled(7), true),
            (settled(2), true),
        ];
        for (event, is_new) in events {
            assert_eq!(told.is_new(&event), is_new, "{event}");
        }
    }

    #[test]
    fn the_filters_are_those_of_the_list() {
        let query = [
            ("receiverId", "r1".to_owned()),
            ("status", "failed".to_owned()),
            ("since", "2026-11-23T21:00:00Z".to_owned()),
        ];
        let filter = Filter::new(&query).unwrap();
        let trigger = json!({"receiverId": "r1", "acceptedAt": "2026-11-23T21:00:00.000Z",
            "outcome": {"status": "failed", "code": "uncertain"}});
        assert!(filter.fits(&trigger));
        for (field, other) in [
            ("receiverId", json!("r2")),
            ("acceptedAt", json!("2026-11-23T20:59:59.999Z")),
            ("outcome", Value::Null),
        ] {
            let mut trigger = trigger.clone();
            trigger[field] = other;
            assert!(!filter.fits(&trigger), "{trigger}");
        }
        let pending = Filter::new(&[("status", "pending".to_owned())]).unwrap();
        assert!(!pending.fits(&trigger) && pending.fits(&json!({"outcome": null})));
    }
}
