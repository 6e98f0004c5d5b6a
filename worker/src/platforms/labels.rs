//! Labels as platforms write them: an object of texts; Cattle also has numbers and booleans.

use std::collections::BTreeMap;

use serde_json::Value;
use stormhook_shared::domain::selector::Selector;

/// The labels in an object.
pub(super) fn of(labels: &Value) -> BTreeMap<String, String> {
    let fields = labels.as_object().into_iter().flatten();
    fields
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

/// Whether these labels are those that `selector` asks for.
pub(super) fn are_selected(selector: &Selector, labels: &Value) -> bool {
    selector.matches(&of(labels))
}

/// How often each label stands in these objects.
pub(super) fn count<'a>(
    labels: impl Iterator<Item = &'a Value>,
) -> BTreeMap<(String, String), u32> {
    let mut counts = BTreeMap::new();
    for label in labels.flat_map(of) {
        *counts.entry(label).or_default() += 1;
    }
    counts
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
