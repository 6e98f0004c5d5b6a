//! `Prefer: wait=N` (RFC 7240).

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName};

/// The longest wait.
const LONGEST: u64 = 60;

/// How long the caller wants to wait, a minute at most. What cannot be understood is ignored, as the RFC says.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(HeaderName::from_static("prefer"))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("wait") {
                return None;
            }
            let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
            Some(Duration::from_secs(seconds.min(LONGEST)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn the_wait_is_found_among_other_preferences() {
        for (value, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=5", Some(5)),
            ("Wait=\"7\"; foo", Some(7)),
            ("wait=600", Some(60)),
            ("wait=soon", None),
            ("return=minimal", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(
                HeaderName::from_static("prefer"),
                HeaderValue::from_static(value),
            );
            assert_eq!(
                wait(&headers).map(|wait| wait.as_secs()),
                seconds,
                "{value}"
            );
        }
    }
}
