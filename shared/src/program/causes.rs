//! Errors in one sentence.

use std::error::Error;

/// An error and what it came from. What says its cause itself is not followed by it once more.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let further = source.to_string();
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        cause = source.source();
    }
    text
}
