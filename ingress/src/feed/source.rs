//! Reads the logs while there are viewers, from their ends on, and passes on what is new.

use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::directory::{Directory, News};
use stormhook_shared::domain::ids::{ProjectId, Revision, Sequence};
use stormhook_shared::ports::trigger_log::Entry;
use stormhook_shared::ports::{Backbone, Unavailable};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::event::{Event, passed_over};
use super::hub::Hub;
use super::outcomes::Outcomes;
use super::place::{LedgerPlace, Place, Step};

/// How many entries are read at once.
pub(super) const TRIGGERS_A_PAGE: usize = 500;
/// How many records are read at once: one may bring a thousand outcomes.
pub(super) const RECORDS_A_PAGE: usize = 8;
/// How long to wait before a log that cannot be read is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the logs are read on after the last viewer left: it may only be reconnecting.
const LINGER: Duration = Duration::from_secs(30);

/// Reads for the hub.
pub(super) struct Source {
    pub(super) backbone: Backbone,
    pub(super) directory: Arc<Directory>,
    pub(super) hub: Arc<Hub>,
    /// What links begin with.
    pub(super) base: String,
    pub(super) viewers: watch::Receiver<usize>,
    pub(super) stop: CancellationToken,
}

impl Source {
    /// Reads whenever there are viewers, until `stop`.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = self.read_on_and_off() => {}
            () = stop.cancelled() => {}
        }
        self.hub.end();
    }

    async fn read_on_and_off(&mut self) {
        // The feed, which has the sender, stops this before it is dropped.
        while self.viewers.wait_for(|viewers| *viewers > 0).await.is_ok() {
            let mut viewers = self.viewers.clone();
            tokio::select! {
                restart = self.read() => tracing::debug!(reason = restart, "the live feed begins anew"),
                () = nobody_views(&mut viewers) => {}
            }
            self.hub.end();
        }
    }

    /// Reads from now on. Returns why viewers must begin anew.
    async fn read(&self) -> &'static str {
        let news = self.directory.news();
        let place = loop {
            match self.ends().await {
                Ok(place) => break place,
                Err(error) => {
                    tracing::warn!(%error, "the live feed cannot begin, trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        self.hub.begin(place);
        tokio::select! {
            () = self.read_triggers(place.trigger) => "",
            () = self.read_ledger(place.ledger.complete()) => "",
            reason = self.read_directory(news, place.registry) => reason,
        }
    }

    /// Where the logs end.
    async fn ends(&self) -> Result<Place, Unavailable> {
        let (triggers, ledger) = (&self.backbone.triggers, &self.backbone.ledger);
        let (reach, newest) = tokio::try_join!(ledger.reach(), triggers.newest())?;
        Ok(Place {
            ledger: LedgerPlace::through(reach.through),
            trigger: newest,
            registry: self.directory.revision(),
        })
    }

    async fn read_triggers(&self, mut after: Sequence) {
        let log = &self.backbone.triggers;
        loop {
            let read = async {
                log.wait_beyond_all(after).await?;
                log.read_all(after, TRIGGERS_A_PAGE).await
            };
            match read.await {
                Ok(entries) => {
                    if let Some(last) = entries.last() {
                        after = last.sequence();
                        let events = trigger_events(&self.base, &entries);
                        self.hub.pass_on(events, passed_over(after));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the live feed cannot read triggers, trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn read_ledger(&self, mut after: Revision) {
        let ledger = &*self.backbone.ledger;
        let mut outcomes = Outcomes::new(ledger, &self.base);
        loop {
            let read = async {
                ledger.wait_beyond(after).await?;
                outcomes.read_after(after, RECORDS_A_PAGE).await
            };
            match read.await {
                Ok(Some((through, events))) => {
                    after = through;
                    let step = Step::Ledger(LedgerPlace::through(through));
                    self.hub.pass_on(events, step);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the live feed cannot read the ledger, trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn read_directory(
        &self,
        mut news: tokio::sync::broadcast::Receiver<News>,
        after: Revision,
    ) -> &'static str {
        loop {
            let (receiver, event, revision) = match news.recv().await {
                Ok(News::Stored(receiver, at)) => {
                    let event = Event::receiver(&self.base, &receiver, at);
                    (receiver, event, at)
                }
                Ok(News::Deleted(receiver, at)) => {
                    let event = Event::removed(&self.base, &receiver, at);
                    (receiver, event, at)
                }
                Ok(News::Replaced(_)) => return "the receivers were read anew",
                Err(RecvError::Lagged(_)) => return "changes of receivers were missed",
                Err(RecvError::Closed) => return "the receivers are not followed any more",
            };
            // What came while the feed began is in its beginning already.
            if revision <= after {
                continue;
            }
            let events = vec![(receiver.project.clone(), event)];
            self.hub.pass_on(events, Step::Registry(revision));
        }
    }
}

/// The events of what was read from the trigger log.
pub(super) fn trigger_events(base: &str, entries: &[Entry]) -> Vec<(ProjectId, Event)> {
    entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Trigger(logged) => {
                let project = logged.trigger.project.clone();
                Some((project, Event::trigger(base, logged)))
            }
            Entry::Undecodable { .. } => None,
        })
        .collect()
}

/// Returns once there was no viewer for a while.
async fn nobody_views(viewers: &mut watch::Receiver<usize>) {
    loop {
        let _ = viewers.wait_for(|viewers| *viewers == 0).await;
        let somebody = viewers.wait_for(|viewers| *viewers > 0);
        if tokio::time::timeout(LINGER, somebody).await.is_err() {
            return;
        }
    }
}
