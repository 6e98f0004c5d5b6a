//! Reaching NATS, however long it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::nats::{ConnectError, Nats, NatsOptions};
use crate::telemetry::Readiness;

/// How long to wait before NATS is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The part's name in `/readyz`.
const PART: &str = "NATS";

/// Connects to NATS. Tries again while it is not there, and tells `readiness` why; `None`: it was told to `stop`.
pub async fn reach(
    options: &NatsOptions,
    readiness: &Arc<Readiness>,
    stop: &CancellationToken,
) -> Result<Option<Nats>, ConnectError> {
    readiness.report(PART, Err(format!("connecting to {}", options.addresses())));
    loop {
        let connected = tokio::select! {
            connected = Nats::connect(options, readiness) => connected,
            () = stop.cancelled() => return Ok(None),
        };
        match connected {
            Ok(nats) => return Ok(Some(nats)),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "trying again");
                readiness.report(PART, Err(error.to_string()));
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}
