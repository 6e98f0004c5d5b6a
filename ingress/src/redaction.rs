//! The `redact` option: what is masked in a body before it is written anywhere.

use serde_json::Value;

const MASK: &str = "***";

/// `body` with everything that `pointers` name masked. In one that is not JSON nobody can know where that stands: it is
/// masked as a whole.
pub(crate) fn redact(pointers: &[String], body: Vec<u8>) -> Vec<u8> {
    if pointers.is_empty() || body.is_empty() {
        return body;
    }
    let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
        return MASK.into();
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
        assert_eq!(redact(&[], b"text".to_vec()), b"text");
    }

    #[test]
    fn a_body_that_is_not_json_is_masked_as_a_whole() {
        let deep = format!(r#"{{"a":"s","b":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for body in [
            "text",
            "a=s&b=1",
            r#"{"a":"s""#,
            "\u{feff}{\"a\":\"s\"}",
            deep.as_str(),
        ] {
            let redacted = redact(&["/a".to_owned()], body.as_bytes().to_vec());
            assert_eq!(redacted, b"***", "{body}");
        }
        assert_eq!(redact(&["/a".to_owned()], Vec::new()), b"");
    }
}
