//! The `redact` option: what is masked in a body before it is written anywhere.

use serde_json::Value;

const MASK: &str = "***";

/// `body` with everything that `pointers` name masked. A body that is not JSON has nothing that they could name.
pub(crate) fn redact(pointers: &[String], body: Vec<u8>) -> Vec<u8> {
    if pointers.is_empty() {
        return body;
    }
    let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    for pointer in pointers {
        if let Some(value) = json.pointer_mut(pointer) {
            *value = Value::from(MASK);
        }
    }
    serde_json::to_vec(&json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_masked() {
        let redacted = redact(
            &["/a/b".to_owned(), "/no".to_owned()],
            br#"{"a":{"b":"s","c":1}}"#.to_vec(),
        );
        assert_eq!(redacted, br#"{"a":{"b":"***","c":1}}"#);
        assert_eq!(redact(&["/a".to_owned()], b"text".to_vec()), b"text");
    }
}
