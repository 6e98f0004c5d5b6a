//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often it is looked at.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// Returns what `look` finds as soon as it finds something.
///
/// # Panics
/// When the deadline passes; the message says what was seen last.
pub async fn until<T, F>(what: &str, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    until_within(DEADLINE, what, look).await
}

/// The same with another deadline.
///
/// # Panics
/// When the deadline passes; the message says what was seen last.
pub async fn until_within<T, F>(deadline: Duration, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let started = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(
                started.elapsed() < deadline,
                "waited {deadline:?} for {what}, but saw {seen}"
            ),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
