//! Which of a request's headers are kept with its trigger: those that tell what the request is about and how it came
//! here. Never those with credentials, cookies or signatures.

use std::collections::BTreeMap;

use actix_web::http::header::HeaderMap;

/// By whole names.
const NAMES: [&str; 16] = [
    "content-encoding",
    "forwarded",
    "host",
    "idempotency-key",
    "origin",
    "referer",
    "traceparent",
    "via",
    "webhook-id",
    "webhook-timestamp",
    "x-correlation-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];
/// By what names begin with: CloudEvents, and who sends webhooks.
const PREFIXES: [&str; 7] = [
    "ce-",
    "x-gitea-",
    "x-github-",
    "x-gitlab-",
    "x-harbor-",
    "x-registry-",
    "x-stormhook-",
];
/// What is in no name of a header that is kept.
const SECRETS: [&str; 5] = ["auth", "cookie", "secret", "signature", "token"];
/// How many are kept.
const MOST: usize = 24;
/// How many characters of each.
const MOST_CHARS: usize = 256;

/// The headers to keep, by their names in lower case.
pub(crate) fn of(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        if kept.len() < MOST
            && is_kept(name)
            && let Ok(value) = value.to_str()
        {
            let value = value.chars().take(MOST_CHARS).collect();
            kept.entry(name.to_owned()).or_insert(value);
        }
    }
    kept
}

fn is_kept(name: &str) -> bool {
    let is_named = NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_named && !SECRETS.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn nothing_secret_is_kept() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "x-gitlab-token",
            "x-hub-signature-256",
            "x-github-event",
            "traceparent",
            "accept",
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static("push"),
            );
        }
        let kept: Vec<_> = of(&headers).into_keys().collect();
        assert_eq!(kept, ["traceparent", "x-github-event"]);
    }

    #[test]
    fn long_values_are_cut() {
        let mut headers = HeaderMap::new();
        let long = HeaderValue::from_str(&"x".repeat(10_000)).unwrap();
        headers.insert(HeaderName::from_static("x-request-id"), long);
        assert_eq!(of(&headers)["x-request-id"].len(), MOST_CHARS);
    }
}
