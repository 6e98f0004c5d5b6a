//! What a Cattle server tells of changes over a websocket, for those who wait for one. It is a help, never relied upon:
//! the server drops some events (those of purged hosts), repeats none, and a proxy may not let the websocket through.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use futures::StreamExt;
use reqwest::Upgraded;
use serde_json::Value;
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::ports::platform::News;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connection;

/// The server pings every 5 s: whoever is quiet for longer is gone.
const LONGEST_SILENCE: Duration = Duration::from_secs(16);
/// The longest pause between two tries to subscribe.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the server may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(1);
/// How many changes wait for a slow listener; if more come, it just looks.
const KEPT: usize = 1_024;

/// The subscription of one environment. It lasts as long as somebody listens.
pub(super) struct Feed {
    shared: Arc<Shared>,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

struct Shared {
    connection: Arc<Connection>,
    told: Sender<Told>,
    is_live: AtomicBool,
    /// Somebody subscribes and listens for the others.
    is_served: Mutex<bool>,
}

#[derive(Debug, Clone)]
enum Told {
    /// Anything may have changed, as nobody listened for a while.
    Anything,
    Change {
        kind: String,
        id: String,
    },
}

impl Feed {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self {
            shared: Arc::new(Shared {
                connection,
                told: Sender::new(KEPT),
                is_live: AtomicBool::new(false),
                is_served: Mutex::new(false),
            }),
            task: Mutex::new(None),
        }
    }

    /// The news of what `action` waits for.
    pub(super) fn news(&self, action: &Action) -> Option<Box<dyn News>> {
        let interest = match action {
            Action::UpgradeService { service_id, .. } => Interest::Service(service_id.clone()),
            Action::ScaleHosts { .. } => Interest::Hosts,
            _ => return None,
        };
        let mut is_served = self.shared.is_served();
        let told = self.shared.told.subscribe();
        if !*is_served {
            *is_served = true;
            let task = tokio::spawn(Arc::clone(&self.shared).serve());
            let mut owned = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            *owned = Some(AbortOnDropHandle::new(task));
        }
        Some(Box::new(Listener {
            told,
            interest,
            shared: Arc::clone(&self.shared),
        }))
    }
}

impl Shared {
    async fn serve(self: Arc<Self>) {
        let mut pauses = ExponentialBackoff {
            max_interval: LONGEST_PAUSE,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        while !self.is_over() {
            match self.connection.subscribe().await {
                Ok(socket) => {
                    pauses.reset();
                    self.is_live.store(true, Ordering::Relaxed);
                    let _ = self.told.send(Told::Anything);
                    let is_over = self.listen(socket).await;
                    self.is_live.store(false, Ordering::Relaxed);
                    let _ = self.told.send(Told::Anything);
                    if is_over {
                        return;
                    }
                }
                Err(error) => tracing::debug!(%error, "no news of changes; looking now and then"),
            }
            tokio::time::sleep(pauses.next_backoff().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// Tells what the server tells. True when nobody listens any more, false when the server is gone.
    async fn listen(&self, mut socket: WebSocketStream<Upgraded>) -> bool {
        loop {
            match tokio::time::timeout(LONGEST_SILENCE, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    if let Some(change) = change(&text) {
                        let _ = self.told.send(change);
                    }
                }
                Err(_) | Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => return false,
                Ok(Some(Ok(_))) => {}
            }
            if self.is_over() {
                let _ = tokio::time::timeout(FAREWELL, socket.close(None)).await;
                return true;
            }
        }
    }

    /// Whether nobody listens any more; whoever comes next then begins anew.
    fn is_over(&self) -> bool {
        let mut is_served = self.is_served();
        *is_served = self.told.receiver_count() > 0;
        !*is_served
    }

    fn is_served(&self) -> MutexGuard<'_, bool> {
        self.is_served
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(text: &str) -> Option<Told> {
    let event: Value = serde_json::from_str(text).ok()?;
    (event["name"] == "resource.change").then_some(())?;
    Some(Told::Change {
        kind: event["resourceType"].as_str()?.to_owned(),
        id: event["resourceId"].as_str()?.to_owned(),
    })
}

/// What somebody waits for.
#[derive(Debug)]
enum Interest {
    /// This one service.
    Service(String),
    /// Any host: new ones have no id yet.
    Hosts,
}

impl Interest {
    fn concerns(&self, told: &Told) -> bool {
        match (self, told) {
            (_, Told::Anything) => true,
            (Self::Service(own), Told::Change { id, .. }) => own == id,
            (Self::Hosts, Told::Change { kind, .. }) => kind == "host",
        }
    }
}

struct Listener {
    told: Receiver<Told>,
    interest: Interest,
    shared: Arc<Shared>,
}

#[async_trait]
impl News for Listener {
    fn is_live(&self) -> bool {
        self.shared.is_live.load(Ordering::Relaxed)
    }

    async fn changed(&mut self) {
        loop {
            match self.told.recv().await {
                Ok(told) if self.interest.concerns(&told) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                // Whatever was shared is here, so it does not end before.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
        // One look shows what all of them told.
        self.told = self.told.resubscribe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_waited_for_concerns() {
        let told = |kind: &str, id: &str| {
            let event = json!({
                "name": "resource.change", "resourceType": kind, "resourceId": id, "data": {"resource": {}},
            });
            change(&event.to_string()).unwrap()
        };
        let service = Interest::Service("1s5".to_owned());
        assert!(service.concerns(&told("service", "1s5")));
        assert!(!service.concerns(&told("service", "1s6")));
        assert!(!service.concerns(&told("host", "1h5")));
        assert!(Interest::Hosts.concerns(&told("host", "1h5")));
        assert!(!Interest::Hosts.concerns(&told("instance", "1i5")));
        assert!(service.concerns(&Told::Anything));
    }

    #[test]
    fn what_is_no_change_is_passed_over() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"name": "ping"}"#,
            r#"{"name": "resource.change", "resourceId": 5}"#,
        ] {
            assert!(change(text).is_none(), "{text}");
        }
    }
}
