//! A receiver as the API shows it and takes it: Rancher's JSON shape. Parsing is the border where it becomes a
//! domain type, or an error that names the field.

mod config;
mod fields;
mod options;
mod parse;
mod render;

use crate::domain::kind::Driver;

pub use fields::{FieldError, FieldProblem};
pub use parse::{Definition, changed, check_target, parse};
pub use render::{Rendering, render};

/// The name of the field that holds the configuration of a receiver of this kind.
pub fn config_field(driver: Driver) -> &'static str {
    match driver {
        Driver::ScaleService => "scaleServiceConfig",
        Driver::ScaleHost => "scaleHostConfig",
        Driver::ServiceUpgrade => "serviceUpgradeConfig",
        Driver::ForwardPost => "forwardPostConfig",
    }
}
