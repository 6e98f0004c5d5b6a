//! Times as people write them: RFC 3339, in any zone, or how long ago.

use anyhow::{Result, anyhow};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use stormhook_shared::domain::time::Timestamp;

const HOW: &str = "write it like 2026-11-23T21:00:00Z, 2026-11-23T22:00:00+01:00, or 2h ago";

/// The time that `text` means now: what an option's value is read with.
pub fn moment_from_now(text: &str) -> Result<Timestamp> {
    moment(text, Timestamp::now())
}

/// The time that `text` means at `now`.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp> {
    let text = text.trim();
    let Some(ago) = text.strip_suffix("ago") else {
        return text
            .parse()
            .map_err(|_| anyhow!("{text:?} is not a time{}; {HOW}", reason(text)));
    };
    let wrong = |error: jiff::Error| anyhow!("{text:?} is not a time: {error}; {HOW}");
    let duration = span(ago).map_err(wrong)?;
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_millis(
        now.as_millis().saturating_sub(millis),
    ))
}

/// A length of time like 2h or 7d. Days have 24 hours.
pub fn span(text: &str) -> Result<SignedDuration, jiff::Error> {
    let span: Span = text.trim().parse()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
}

/// What is most often missing.
fn reason(text: &str) -> &'static str {
    let has_zone =
        text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']));
    let is_local =
        text.parse::<jiff::civil::DateTime>().is_ok() || text.parse::<jiff::civil::Date>().is_ok();
    if is_local && !has_zone {
        return ": it has no zone, and could be any of a whole day";
    }
    if text.parse::<Span>().is_ok() {
        return ": is it \"ago\"?";
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_in_any_zone_and_how_long_ago_are_understood() {
        let now: Timestamp = "2026-11-23T21:00:00Z".parse().unwrap();
        for (text, meant) in [
            ("2026-11-23T20:00:00Z", "2026-11-23T20:00:00.000Z"),
            ("2026-11-23T21:00:00+01:00", "2026-11-23T20:00:00.000Z"),
            (" 2026-11-23 20:00:00.5Z ", "2026-11-23T20:00:00.500Z"),
            ("2h ago", "2026-11-23T19:00:00.000Z"),
            ("90 minutes ago", "2026-11-23T19:30:00.000Z"),
            ("2d ago", "2026-11-21T21:00:00.000Z"),
            ("1 week ago", "2026-11-16T21:00:00.000Z"),
        ] {
            assert_eq!(moment(text, now).unwrap().to_string(), meant, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_explained() {
        let now = Timestamp::from_millis(0);
        for (text, why) in [
            ("yesterday", "2h ago"),
            ("2026-11-23T20:00:00", "no zone"),
            ("2026-11-23", "no zone"),
            ("2h", "ago"),
            ("two hours ago", "not a time"),
            ("1y ago", "not a time"),
        ] {
            let error = moment(text, now).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("2026-11-23T21"),
                "{error}"
            );
        }
    }
}
