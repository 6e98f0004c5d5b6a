//! What trigger URLs begin with: a path and a query are appended to it.

use url::Url;

/// The URL that `text` is, if trigger URLs can begin with it; otherwise why not.
pub fn parse_public_url(text: &str) -> Result<Url, String> {
    const EXPECTED: &str = "a URL like https://hooks.example.org";
    let url: Url = text.parse().map_err(|_| format!("it is not {EXPECTED}"))?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(format!(
            "it must have no user, no query and no fragment, but be {EXPECTED}"
        ));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{url} is not {EXPECTED}"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_url_can_begin_with_it() {
        for url in ["https://hooks.example.org", "http://127.0.0.1:8085/hooks/"] {
            parse_public_url(url).unwrap();
        }
        for (text, says) in [
            ("hooks", "a URL like"),
            ("hooks.example.org:8085", "a URL like"),
            ("ftp://hooks.example.org", "a URL like"),
            ("https://ops:s3cret@hooks.example.org", "no user"),
            ("https://hooks.example.org/?key=s3cret", "no query"),
            ("https://hooks.example.org/#s3cret", "no fragment"),
        ] {
            let error = parse_public_url(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
