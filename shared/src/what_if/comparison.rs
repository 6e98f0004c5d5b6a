//! Two histories beside each other: what was, and what would have been.

use serde::{Deserialize, Serialize};

use super::curve::{Curve, Step};
use super::rerun::Decided;
use crate::domain::ids::{Sequence, TriggerId};
use crate::domain::outcome::{Status, Verdict};
use crate::domain::time::Timestamp;

/// Two histories beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// How many triggers were decided anew.
    pub triggers: u64,
    /// How many of them would have come to another end.
    pub different: u64,
    /// How many of them had a body that is not in the trigger log any more, and were decided without it.
    pub without_body: u64,
    /// What was.
    pub recorded: Side,
    /// What would have been.
    pub what_if: Side,
    /// Triggers one by one, as many as were asked for.
    pub rows: Vec<Row>,
    /// There are more after these.
    pub has_more: bool,
}

/// One of the two histories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// How many triggers acted.
    pub actions: u64,
    /// How many were rejected.
    pub rejected: u64,
    /// How many were skipped.
    pub skipped: u64,
    /// How many failed.
    pub failed: u64,
    /// The lowest scale.
    pub lowest: Option<u32>,
    /// The highest scale.
    pub highest: Option<u32>,
    /// The scale at the end.
    pub last: Option<u32>,
    /// The receiver's largest scale, where it has one.
    pub maximum: Option<u32>,
    /// How long the scale was there, or above.
    pub millis_at_maximum: u64,
    /// The scale over time.
    pub curve: Vec<Step>,
}

/// One trigger in both histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The trigger.
    pub id: TriggerId,
    /// Its place in the log.
    pub sequence: Sequence,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The receiver's name then.
    pub receiver_name: Option<String>,
    /// What came of it.
    pub recorded: Verdict,
    /// What would have come of it.
    pub what_if: Verdict,
    /// Whether these are two different ends.
    pub differs: bool,
}

impl Comparison {
    /// How many steps a curve has at most.
    pub const MOST_STEPS: usize = 1_000;

    /// Compares what `decided` tells, one after the other: what is asked for is `limit` rows after `after`.
    pub fn builder(start: Option<(Timestamp, u32)>, after: Sequence, limit: usize) -> Builder {
        let mut curve = Curve::default();
        if let Some((at, scale)) = start {
            curve.push(at, scale);
        }
        Builder {
            after,
            limit,
            curves: [curve.clone(), curve],
            comparison: Self {
                triggers: 0,
                different: 0,
                without_body: 0,
                recorded: Side::default(),
                what_if: Side::default(),
                rows: Vec::new(),
                has_more: false,
            },
        }
    }
}

/// A comparison that is being made.
#[derive(Debug)]
pub struct Builder {
    after: Sequence,
    limit: usize,
    curves: [Curve; 2],
    comparison: Comparison,
}

impl Builder {
    /// Adds a trigger.
    pub fn add(&mut self, decided: Decided, has_body: bool) {
        let Self {
            comparison,
            curves: [recorded_curve, curve],
            ..
        } = self;
        let (recorded, what_if) = (&decided.recorded, &decided.what_if);
        let differs = (recorded.code, recorded.to) != (what_if.code, what_if.to);
        comparison.triggers += 1;
        comparison.different += u64::from(differs);
        comparison.without_body += u64::from(!has_body);
        comparison.recorded.count(recorded);
        comparison.what_if.count(what_if);
        for (curve, from, scale) in [
            (recorded_curve, recorded.from, decided.recorded_scale),
            (curve, what_if.from, decided.scale),
        ] {
            if let (true, Some(from)) = (curve.is_empty(), from) {
                curve.push(decided.facts.accepted_at, from);
            }
            if let Some(scale) = scale {
                curve.push(decided.at, scale);
            }
        }
        if decided.facts.sequence <= self.after {
            return;
        }
        if comparison.rows.len() == self.limit {
            comparison.has_more = true;
            return;
        }
        comparison.rows.push(Row {
            id: decided.facts.id,
            sequence: decided.facts.sequence,
            accepted_at: decided.facts.accepted_at,
            receiver_name: decided.facts.receiver.map(|receiver| receiver.name),
            recorded: decided.recorded,
            what_if: decided.what_if,
            differs,
        });
    }

    /// The comparison. `maxima`: the receiver's largest scale, as it is and as it would have been.
    pub fn build(mut self, maxima: [Option<u32>; 2]) -> Comparison {
        let sides = [&mut self.comparison.recorded, &mut self.comparison.what_if];
        for ((side, curve), maximum) in sides.into_iter().zip(&self.curves).zip(maxima) {
            let extremes = curve.extremes();
            side.lowest = extremes.map(|(lowest, _)| lowest);
            side.highest = extremes.map(|(_, highest)| highest);
            side.curve = curve.thinned(Comparison::MOST_STEPS);
            side.last = side.curve.last().map(|step| step.scale);
            side.maximum = maximum;
            let lasting = maximum.map_or(0, |maximum| curve.time_from(maximum).as_millis());
            side.millis_at_maximum = u64::try_from(lasting).unwrap_or(u64::MAX);
        }
        self.comparison
    }
}

impl Side {
    fn count(&mut self, verdict: &Verdict) {
        *match verdict.code.status() {
            Status::Succeeded => &mut self.actions,
            Status::Rejected => &mut self.rejected,
            Status::Skipped => &mut self.skipped,
            Status::Failed => &mut self.failed,
        } += 1;
    }
}
