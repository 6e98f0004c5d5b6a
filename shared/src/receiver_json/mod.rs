//! A receiver as the API shows it and takes it: Rancher's JSON shape. Parsing is the border where it becomes a
//! domain type, or an error that names the field.

mod fields;
mod options;
mod parse;
mod render;

pub use fields::{FieldError, FieldProblem};
pub use parse::{Definition, changed, parse};
pub use render::{Rendering, render};

/// The name of the field that holds a scaleService receiver's configuration.
pub const SCALE_SERVICE_CONFIG: &str = "scaleServiceConfig";
