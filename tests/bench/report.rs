//! The table.

use std::fmt::Display;

/// Adds a line: what was measured, what came out, and what it should be.
pub fn line(measure: &str, result: impl Display, target: &str) {
    println!("{measure:<70} {:>16}   {target}", result.to_string());
}

/// The value that `share` of 100 of all `values` do not exceed.
pub fn percentile(values: &mut [f64], share: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * share).div_ceil(100).saturating_sub(1);
    values[place]
}
