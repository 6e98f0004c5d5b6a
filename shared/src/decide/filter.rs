//! The `filter` option: conditions on a trigger's JSON body.

use glob::Pattern;
use serde_json::Value;

use crate::domain::receiver::{Condition, Test};

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is no valid pattern: {reason}")]
pub struct InvalidGlob {
    pattern: String,
    reason: String,
}

/// The longest pattern, and the most `*` in it, so that no text takes long.
const LONGEST_GLOB: usize = 500;
const MOST_STARS: usize = 20;

/// Checks a `glob` pattern when a receiver is created.
pub fn check_glob(pattern: &str) -> Result<(), InvalidGlob> {
    glob(pattern).map(|_| ()).map_err(|reason| InvalidGlob {
        pattern: pattern.chars().take(80).collect(),
        reason,
    })
}

/// Patterns that other matchers read in another way are refused, as they would silently match something else.
fn glob(pattern: &str) -> Result<Pattern, String> {
    if pattern.len() > LONGEST_GLOB || pattern.matches('*').count() > MOST_STARS {
        return Err(format!(
            "it may have {LONGEST_GLOB} bytes and {MOST_STARS} times * at most"
        ));
    }
    if pattern.contains(['{', '}', '\\']) || pattern.contains("[^") {
        return Err(
            "it may not have {, }, \\ or [^; alternatives are for \"in\", and others than some are [!…]".to_owned(),
        );
    }
    Pattern::new(pattern).map_err(|error| error.to_string())
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
            Test::Glob(pattern) => {
                let glob = match glob(pattern) {
                    Ok(glob) => glob,
                    // It was stored by a version that could use it.
                    Err(reason) => {
                        return Some(format!(
                            "the filter's pattern {pattern:?} cannot be used: {reason}"
                        ));
                    }
                };
                (
                    found.as_str().is_some_and(|text| glob.matches(text)),
                    format!("a text like {pattern:?}"),
                )
            }
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

    #[test]
    fn a_pattern_that_would_match_something_else_or_take_long_is_refused() {
        let long = "a".repeat(LONGEST_GLOB + 1);
        let stars = "*a".repeat(MOST_STARS + 1);
        for pattern in ["v[", "a**b", "{v1,v2}", "a\\*", "[^a]", &long, &stars] {
            let error = check_glob(pattern).unwrap_err().to_string();
            assert!(error.contains("is no valid pattern"), "{error}");
            let stored = condition(&json!({"pointer": "/a", "glob": pattern}));
            let why = mismatch(&[stored], br#"{"a": "b"}"#).unwrap();
            assert!(why.contains("cannot be used"), "{why}");
        }
        for pattern in ["v1.*", "[!a-c]?", &"*a".repeat(MOST_STARS)] {
            assert!(check_glob(pattern).is_ok(), "{pattern}");
        }
    }
}
