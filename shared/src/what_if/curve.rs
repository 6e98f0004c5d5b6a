//! A scale over time: a line of steps, of which a picture needs no more than it has dots.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// A scale from some time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From when.
    pub at: Timestamp,
    /// The scale.
    pub scale: u32,
}

/// A scale over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Curve {
    steps: Vec<Step>,
    end: Option<Timestamp>,
}

impl Curve {
    /// The scale is this from `at` on. Of several at once, only the last was ever there.
    pub fn push(&mut self, at: Timestamp, scale: u32) {
        let at = self.end.map_or(at, |end| end.max(at));
        self.end = Some(at);
        if self.steps.last().is_some_and(|last| last.at == at) {
            self.steps.pop();
        }
        if self.steps.last().is_none_or(|last| last.scale != scale) {
            self.steps.push(Step { at, scale });
        }
    }

    /// Whether no scale is known.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps that there are, `most` (at least four) of them at most: where there are more, the lowest and the highest
    /// of each stretch of time stay.
    pub fn thinned(&self, most: usize) -> Vec<Step> {
        let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) else {
            return Vec::new();
        };
        if self.steps.len() <= most {
            return self.steps.clone();
        }
        let stretches = (most.saturating_sub(2) / 2).max(1);
        let mut thinned = vec![*first];
        for stretch in self.steps.chunks(self.steps.len().div_ceil(stretches)) {
            let lowest = stretch.iter().min_by_key(|step| step.scale);
            let highest = stretch.iter().max_by_key(|step| step.scale);
            let mut kept: Vec<_> = lowest.into_iter().chain(highest).copied().collect();
            kept.sort_by_key(|step| step.at);
            thinned.extend(kept);
        }
        thinned.push(*last);
        thinned.dedup();
        thinned
    }

    /// The lowest and the highest scale.
    pub fn extremes(&self) -> Option<(u32, u32)> {
        let scales = || self.steps.iter().map(|step| step.scale);
        scales().min().zip(scales().max())
    }

    /// How long the scale was at `bound` or above.
    pub fn time_from(&self, bound: u32) -> Duration {
        let ends = self
            .steps
            .iter()
            .skip(1)
            .map(|step| step.at)
            .chain(self.end);
        let lasting = self.steps.iter().zip(ends);
        lasting
            .filter(|(step, _)| step.scale >= bound)
            .map(|(step, end)| end.since(step.at))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(steps: &[(i64, u32)]) -> Curve {
        let mut curve = Curve::default();
        for (at, scale) in steps {
            curve.push(Timestamp::from_millis(*at), *scale);
        }
        curve
    }

    #[test]
    fn what_was_never_there_is_no_extreme() {
        let curve = curve(&[(0, 3), (10, 9), (10, 4), (20, 4), (30, 2), (50, 2)]);
        assert_eq!(curve.extremes(), Some((2, 4)));
        assert_eq!(curve.time_from(4), Duration::from_millis(20));
        assert_eq!(curve.time_from(2), Duration::from_millis(50));
        assert_eq!(curve.time_from(5), Duration::ZERO);
        assert_eq!(curve.thinned(100).len(), 3);
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_extremes() {
        let mut steps: Vec<_> = (0..10_000).map(|at| (at, 50 + (at % 7) as u32)).collect();
        steps[5_000].1 = 1;
        steps[5_001].1 = 99;
        let curve = curve(&steps);
        let thinned = curve.thinned(100);
        assert!(thinned.len() <= 100, "{}", thinned.len());
        let scales: Vec<_> = thinned.iter().map(|step| step.scale).collect();
        assert!(scales.contains(&1) && scales.contains(&99));
        assert_eq!((scales[0], thinned[0].at.as_millis()), (50, 0));
        assert!(thinned.is_sorted_by_key(|step| step.at));
    }
}
