//! What the TOML parser found wrong, in plain words.

/// The key whose value cannot be used, where it is one, and what is wrong.
pub(super) fn in_words(error: &toml::de::Error) -> (Option<String>, String) {
    // The key is told only where the text is not known.
    let mut bare = error.clone();
    bare.set_input(None);
    let told = bare.to_string();
    let last = told.lines().last();
    let key = last.and_then(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    let what = error.message().replace('\n', ", ");
    (key.map(str::to_owned), plain(&what).unwrap_or(what))
}

/// "8085 is not a text in quotes" for "invalid type: integer `8085`, expected a string".
fn plain(message: &str) -> Option<String> {
    let wrong = message.strip_prefix("invalid type: ");
    let wrong = wrong.or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = wrong.rsplit_once(", expected ")?;
    Some(format!("{} is not {}", value(found), kind(expected)))
}

/// A value as it stands in the file, of what serde calls it.
fn value(found: &str) -> &str {
    if let Some(quoted) = found.strip_prefix("string ") {
        return quoted;
    }
    match (found, found.split_once('`')) {
        (_, Some((_, value))) => value.trim_end_matches('`'),
        ("sequence", None) => "a list",
        ("map", None) => "a section",
        (other, None) => other,
    }
}

/// What is expected, of what serde calls it.
fn kind(expected: &str) -> String {
    let least = if expected.starts_with("a nonzero ") {
        1
    } else {
        0
    };
    match expected.strip_prefix("a nonzero ").unwrap_or(expected) {
        "u16" => format!("a whole number from {least} to {}", u16::MAX),
        "u32" => format!("a whole number from {least} to {}", u32::MAX),
        "usize" => format!("a whole number from {least} on"),
        "a string" | "path string" => "a text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a section".to_owned(),
        other if other.starts_with("struct ") => "a section".to_owned(),
        other => other.to_owned(),
    }
}
