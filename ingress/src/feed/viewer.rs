//! One viewer: first what it missed, from the logs, then what is new, from the hub.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use futures::stream::{self, Stream};
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::trigger_log::Entry;
use stormhook_shared::ports::{Backbone, Unavailable};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Counted;
use super::event::{Event, beginning, position, reload};
use super::hub::{Beginning, Chunk};
use super::outcomes::Outcomes;
use super::place::{Place, Step};
use super::source::{RECORDS_A_PAGE, TRIGGERS_A_PAGE, trigger_events};

/// How often a line is sent when nothing happens, so that a broken connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How far back a viewer can go on in each log; beyond, it had better begin anew.
const FARTHEST_BACK: u64 = 20_000;

const TOO_SLOW: &str = "you were too slow for what happens here";
const TOO_LONG_AGO: &str = "too much has happened meanwhile";
const OTHER_LOGS: &str = "what you saw did not happen here";
const INTERRUPTED: &str = "the feed was interrupted";

/// One viewer of a project.
pub(super) struct Viewer {
    pub(super) project: ProjectId,
    pub(super) backbone: Backbone,
    /// What links begin with.
    pub(super) base: String,
    /// When its right to view ends.
    pub(super) until: Option<Instant>,
    pub(super) stop: CancellationToken,
    pub(super) counted: Counted,
    /// It goes on with every trigger and outcome, however much it has missed; not so with changes of receivers.
    pub(super) wants_all: bool,
}

/// What a viewer does next.
enum Stage {
    /// Tell where it begins.
    Begin(Box<Beginning>, Option<Place>),
    /// Send what it missed.
    CatchUp(Box<Beginning>, Place),
    /// Send what is new.
    Live(broadcast::Receiver<Arc<Chunk>>, Place),
    End,
}

impl Viewer {
    /// What is sent: from `seen` on or, where that is absent, from now on.
    pub(super) fn stream(
        self,
        begins: Beginning,
        seen: Option<Place>,
    ) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        let stage = Stage::Begin(Box::new(begins), seen);
        stream::unfold((self, stage), |(viewer, stage)| async move {
            let (bytes, stage) = viewer.next(stage).await?;
            Some((Ok(bytes), (viewer, stage)))
        })
    }

    async fn next(&self, stage: Stage) -> Option<(Bytes, Stage)> {
        // What it missed may be long.
        if self.stop.is_cancelled() {
            return None;
        }
        match stage {
            Stage::Begin(begins, None) => {
                let place = begins.place;
                let stage = Stage::Live(begins.chunks, place);
                Some((beginning(&place).into(), stage))
            }
            Stage::Begin(begins, Some(seen)) => Some(self.come_back(begins, seen).await),
            Stage::CatchUp(begins, seen) => self.catch_up(*begins, seen).await,
            Stage::Live(chunks, seen) => self.live(chunks, seen).await,
            Stage::End => None,
        }
    }

    /// A viewer comes back with what it has seen.
    async fn come_back(&self, begins: Box<Beginning>, seen: Place) -> (Bytes, Stage) {
        match self.ends_before(&seen).await {
            Ok(false) => (beginning(&seen).into(), Stage::CatchUp(begins, seen)),
            Ok(true) => (reload(OTHER_LOGS).into(), Stage::End),
            Err(error) => {
                tracing::warn!(%error, "a viewer of the live feed cannot go on");
                (reload(INTERRUPTED).into(), Stage::End)
            }
        }
    }

    /// Whether the logs end before what was seen: then they are not the ones that it was seen in.
    async fn ends_before(&self, seen: &Place) -> Result<bool, Unavailable> {
        let (triggers, ledger) = (&self.backbone.triggers, &self.backbone.ledger);
        let (newest, reach) = tokio::try_join!(triggers.newest(), ledger.reach())?;
        Ok(seen.trigger > newest || seen.ledger.complete() > reach.through)
    }

    /// The next page of what was missed.
    async fn catch_up(&self, begins: Beginning, mut seen: Place) -> Option<(Bytes, Stage)> {
        let missed = match self.missed(&begins, &seen).await {
            Ok(missed) => missed,
            Err(error) => {
                tracing::warn!(%error, "a viewer of the live feed cannot catch up");
                return Some((reload(INTERRUPTED).into(), Stage::End));
            }
        };
        match missed {
            Missed::Nothing => {
                let stage = Stage::Live(begins.chunks, seen);
                Some((Bytes::from_static(b": live\n\n"), stage))
            }
            Missed::TooMuch => Some((reload(TOO_LONG_AGO).into(), Stage::End)),
            Missed::Page(events, through) => {
                let mut text = String::new();
                for event in events {
                    write(&event, &mut seen, &mut text);
                }
                seen.advance(through);
                // The id tells what was passed over, too.
                text.push_str(&position(&seen));
                Some((text.into(), Stage::CatchUp(Box::new(begins), seen)))
            }
        }
    }

    async fn missed(&self, begins: &Beginning, seen: &Place) -> Result<Missed, Unavailable> {
        let goal = begins.place;
        if seen.registry < goal.registry {
            let (after, changes) = &begins.changes;
            return Ok(if seen.registry < *after && !self.wants_all {
                Missed::TooMuch
            } else {
                Missed::Page(changes.clone(), Step::Registry(goal.registry))
            });
        }
        if seen.trigger < goal.trigger {
            return self.missed_triggers(seen, goal).await;
        }
        if seen.ledger < goal.ledger {
            return self.missed_outcomes(seen, goal).await;
        }
        Ok(Missed::Nothing)
    }

    async fn missed_triggers(&self, seen: &Place, goal: Place) -> Result<Missed, Unavailable> {
        if self.is_too_far(goal.trigger.0, seen.trigger.0) {
            return Ok(Missed::TooMuch);
        }
        let log = &self.backbone.triggers;
        let mut entries = log.read_all(seen.trigger, TRIGGERS_A_PAGE).await?;
        entries.retain(|entry| entry.sequence() <= goal.trigger);
        let through = entries.last().map_or(goal.trigger, Entry::sequence);
        let events = self.own(trigger_events(&self.base, &entries));
        Ok(Missed::Page(events, Step::Trigger(through)))
    }

    async fn missed_outcomes(&self, seen: &Place, goal: Place) -> Result<Missed, Unavailable> {
        let ledger = &*self.backbone.ledger;
        let after = seen.ledger.complete();
        let reach = ledger.reach().await?;
        if after < reach.after || self.is_too_far(goal.ledger.complete().0, after.0) {
            return Ok(Missed::TooMuch);
        }
        let mut outcomes = Outcomes::new(ledger, &self.base);
        let read = outcomes.read_after(after, RECORDS_A_PAGE).await;
        let read = read.map_err(|error| Unavailable::Down {
            what: "the ledger",
            reason: error.to_string(),
        })?;
        let (through, events) = match read {
            Some((through, events)) => (through, self.own(events)),
            None => (goal.ledger.complete(), Vec::new()),
        };
        let through = Step::Ledger(super::place::LedgerPlace::through(through));
        Ok(Missed::Page(events, through))
    }

    fn is_too_far(&self, goal: u64, seen: u64) -> bool {
        !self.wants_all && goal.saturating_sub(seen) > FARTHEST_BACK
    }

    fn own(&self, events: Vec<(ProjectId, Event)>) -> Vec<Event> {
        events
            .into_iter()
            .filter_map(|(project, event)| (project == self.project).then_some(event))
            .collect()
    }

    /// What happens next.
    async fn live(
        &self,
        mut chunks: broadcast::Receiver<Arc<Chunk>>,
        mut seen: Place,
    ) -> Option<(Bytes, Stage)> {
        let ends = async {
            match self.until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let chunk = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            () = ends => return None,
            chunk = chunks.recv() => chunk,
            () = tokio::time::sleep(HEARTBEAT) => {
                let stage = Stage::Live(chunks, seen);
                return Some((Bytes::from_static(b": nothing new\n\n"), stage));
            }
        };
        let bytes = match chunk {
            Ok(chunk) => shown(&chunk, &mut seen),
            Err(RecvError::Lagged(_)) => {
                self.counted.too_slow();
                return Some((reload(TOO_SLOW).into(), Stage::End));
            }
            Err(RecvError::Closed) => return Some((reload(INTERRUPTED).into(), Stage::End)),
        };
        Some((bytes, Stage::Live(chunks, seen)))
    }
}

/// What a viewer missed.
enum Missed {
    Nothing,
    /// So much that it had better begin anew.
    TooMuch,
    /// These events, after which it has seen everything up to the step.
    Page(Vec<Event>, Step),
}

/// The chunk as its viewer needs it, who has seen everything up to `seen`.
fn shown(chunk: &Chunk, seen: &mut Place) -> Bytes {
    if seen.is_within(&chunk.before) {
        *seen = chunk.after;
        return chunk.bytes.clone();
    }
    // It comes from another ingress, which was ahead of this one.
    let mut text = String::from(":\n");
    for event in &chunk.events {
        write(event, seen, &mut text);
    }
    text.into()
}

/// Writes `event`, unless it was seen.
fn write(event: &Event, seen: &mut Place, text: &mut String) {
    if seen.is_before(event.step) {
        seen.advance(event.step);
        event.write(seen, text);
    }
}
