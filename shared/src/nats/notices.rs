//! Notices that a stream has something new. They carry nothing and may get lost: who waits for one looks for itself.

use std::sync::Arc;

use async_nats::Client;
use futures::StreamExt;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stream::down;
use crate::ports::Unavailable;

/// The notices of one stream, spread over slots by the last token of their subjects. Nothing is subscribed to before
/// somebody listens.
#[derive(Clone)]
pub(super) struct Notices(Arc<Inner>);

struct Inner {
    subject: String,
    /// One for each slot, and a last one that hears them all.
    slots: Vec<watch::Sender<()>>,
    subscription: OnceCell<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Notices {
    /// The notices that come on `prefix` and a number below `slots`. Who listens to `slots` itself hears them all.
    pub(super) fn new(
        prefix: &str,
        slots: usize,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            subject: format!("{prefix}.*"),
            slots: (0..=slots).map(|_| watch::Sender::new(())).collect(),
            subscription: OnceCell::new(),
            tasks,
            stop,
        }))
    }

    /// What changes with each notice in `slot`.
    pub(super) async fn listen(
        &self,
        client: &Client,
        slot: usize,
    ) -> Result<watch::Receiver<()>, Unavailable> {
        self.0
            .subscription
            .get_or_try_init(|| self.subscribe(client))
            .await?;
        let slot = self.0.slots.get(slot);
        slot.map(watch::Sender::subscribe)
            .ok_or_else(|| down("there is no such partition"))
    }

    async fn subscribe(&self, client: &Client) -> Result<(), Unavailable> {
        let subject = self.0.subject.clone();
        let mut notices = client.subscribe(subject).await.map_err(down)?;
        let this = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            loop {
                let notice = tokio::select! {
                    notice = notices.next() => notice,
                    () = this.stop.cancelled() => None,
                };
                let Some(notice) = notice else { return };
                let slot = notice
                    .subject
                    .rsplit('.')
                    .next()
                    .and_then(|slot| slot.parse::<usize>().ok());
                if let Some(slot) = slot.and_then(|slot| this.slots.get(slot)) {
                    slot.send_replace(());
                }
                if let Some(all) = this.slots.last() {
                    all.send_replace(());
                }
            }
        });
        Ok(())
    }
}
