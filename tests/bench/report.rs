//! The table.

use std::fmt::Display;

/// What was measured, line by line.
pub struct Report;

impl Report {
    /// Begins a table.
    pub fn begin() -> Self {
        let report = Self;
        report.line("measure", "result", "target");
        report
    }

    /// Adds a line: what was measured, what came out, and what it should be.
    pub fn line(&self, measure: &str, result: impl Display, target: &str) {
        println!("{measure:<70} {:>16}   {target}", result.to_string());
    }
}

/// The value that `share` of 100 of all `values` do not exceed.
pub fn percentile(values: &mut [f64], share: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * share).div_ceil(100).saturating_sub(1);
    values[place]
}
