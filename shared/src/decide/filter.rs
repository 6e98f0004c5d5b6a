//! The `filter` option: conditions on a trigger's JSON body.

use glob::{Pattern, PatternError};
use serde_json::Value;

use crate::domain::receiver::{Condition, Test};

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is no valid pattern: {source}")]
pub struct InvalidGlob {
    pattern: String,
    source: PatternError,
}

/// Checks a `glob` pattern when a receiver is created.
pub fn check_glob(pattern: &str) -> Result<(), InvalidGlob> {
    let checked = Pattern::new(pattern);
    checked.map(|_| ()).map_err(|source| InvalidGlob {
        pattern: pattern.to_owned(),
        source,
    })
}

/// The sentence that says which condition `body` does not meet; `None` if it meets all.
pub(super) fn mismatch(conditions: &[Condition], body: &[u8]) -> Option<String> {
    if conditions.is_empty() {
        return None;
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Some("the body is not JSON, so the filter cannot match it".to_owned());
    };
    conditions.iter().find_map(|condition| {
        let pointer = &condition.pointer;
        let Some(found) = body.pointer(pointer) else {
            return Some(format!(
                "the filter needs {pointer}, which the body does not have"
            ));
        };
        let (is_met, wanted) = match &condition.test {
            Test::Equals(value) => (are_equal(found, value), value.to_string()),
            Test::In(values) => (
                values.iter().any(|value| are_equal(found, value)),
                format!("one of {}", Value::from(values.clone())),
            ),
            Test::Glob(pattern) => (
                found.as_str().is_some_and(|text| {
                    Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(text))
                }),
                format!("a text like {pattern:?}"),
            ),
        };
        (!is_met).then(|| {
            let found: String = found.to_string().chars().take(100).collect();
            format!("the filter wants {pointer} to be {wanted}, but it is {found}")
        })
    })
}

/// JSON knows numbers, not their spellings: 1.0 is 1.
fn are_equal(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => {
            found == wanted
                || (found.is_f64() || wanted.is_f64()) && found.as_f64() == wanted.as_f64()
        }
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn condition(test: &Value) -> Condition {
        serde_json::from_value(test.clone()).unwrap()
    }

    #[test]
    fn conditions_compare_whole_values() {
        let body = r#"{"a": {"b": "v1.2"}, "n": 3, "e": "é", "null": null}"#.as_bytes();
        for (test, matches) in [
            (json!({"pointer": "/a/b", "equals": "v1.2"}), true),
            (json!({"pointer": "/a/b", "equals": "v1"}), false),
            (json!({"pointer": "/n", "equals": 3}), true),
            (json!({"pointer": "/n", "equals": 3.0}), true),
            (json!({"pointer": "/n", "equals": 3.5}), false),
            (json!({"pointer": "/n", "equals": "3"}), false),
            (json!({"pointer": "/n", "in": [1, 3]}), true),
            (json!({"pointer": "/a/b", "glob": "v1.*"}), true),
            (json!({"pointer": "/a/b", "glob": "v2*"}), false),
            (json!({"pointer": "/e", "glob": "?"}), true),
            (json!({"pointer": "/n", "glob": "*"}), false),
            (json!({"pointer": "/null", "equals": null}), true),
            (json!({"pointer": "/null", "in": [null]}), true),
            (json!({"pointer": "/n", "equals": null}), false),
            (json!({"pointer": "/missing", "equals": null}), false),
            (json!({"pointer": "/missing", "glob": "*"}), false),
        ] {
            let why = mismatch(&[condition(&test)], body);
            assert_eq!(why.is_none(), matches, "{test}: {why:?}");
        }
        assert!(mismatch(&[condition(&json!({"pointer": "", "equals": {}}))], b"text").is_some());
        assert_eq!(mismatch(&[], b"text"), None);
    }
}
