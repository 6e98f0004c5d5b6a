//! What if a receiver had been another? Decides recorded triggers anew with the same rules, from where the recorded
//! history began. Pure: no platform is called, and nothing is read but what is given.

mod comparison;
mod curve;
mod rerun;

pub use comparison::{Comparison, Row, Side};
pub use curve::{Curve, Step};
pub use rerun::{Decided, Recorded, Rerun, Start};
