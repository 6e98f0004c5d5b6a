//! Where events come from the logs and go to the viewers: a bounded buffer a project, shared by all its viewers. A viewer
//! that does not keep up loses its place in the buffer and is told so; the others and the logs never wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web::Bytes;
use stormhook_shared::domain::ids::{ProjectId, Revision};
use tokio::sync::{broadcast, watch};

use super::event::Event;
use super::place::{Place, Step};

/// How many chunks a viewer may be behind.
const BUFFER: usize = 256;
/// About how many bytes a chunk has.
const CHUNK_BYTES: usize = 32 * 1024;
/// How many changes of receivers are kept for viewers who come back.
const KEPT_CHANGES: usize = 256;

/// Events of one project that come one after the other.
#[derive(Debug)]
pub(super) struct Chunk {
    /// How far everybody was before.
    pub(super) before: Place,
    /// How far whoever has seen it is.
    pub(super) after: Place,
    pub(super) events: Vec<Event>,
    /// All events, for viewers who have seen what was before.
    pub(super) bytes: Bytes,
}

/// What a viewer begins with.
pub(super) struct Beginning {
    /// Up to there nothing will come.
    pub(super) place: Place,
    pub(super) chunks: broadcast::Receiver<Arc<Chunk>>,
    /// The changes of receivers that are still known, and after which revision they begin.
    pub(super) changes: (Revision, Vec<Event>),
}

/// The hub.
#[derive(Default)]
pub(super) struct Hub {
    live: Mutex<Option<Live>>,
    is_live: watch::Sender<bool>,
}

/// What is there while there are viewers.
struct Live {
    place: Place,
    projects: HashMap<ProjectId, broadcast::Sender<Arc<Chunk>>>,
    changes: VecDeque<(ProjectId, Event)>,
    changes_after: Revision,
}

impl Hub {
    /// Begins at `place`.
    pub(super) fn begin(&self, place: Place) {
        *self.live() = Some(Live {
            place,
            projects: HashMap::new(),
            changes: VecDeque::new(),
            changes_after: place.registry,
        });
        self.is_live.send_replace(true);
    }

    /// Ends: viewers who are still there are told to begin anew.
    pub(super) fn end(&self) {
        self.is_live.send_replace(false);
        *self.live() = None;
    }

    /// Passes on events of one log, and notes that it has been read up to `through`.
    pub(super) fn pass_on(&self, events: Vec<(ProjectId, Event)>, through: Step) {
        let mut live = self.live();
        let Some(live) = live.as_mut() else { return };
        let mut by_project: HashMap<ProjectId, Vec<Event>> = HashMap::new();
        for (project, event) in events {
            if let Step::Registry(_) = event.step {
                live.keep(project.clone(), event.clone());
            }
            if live.projects.contains_key(&project) {
                by_project.entry(project).or_default().push(event);
            }
        }
        for (project, events) in by_project {
            live.send(&project, events);
        }
        live.place.advance(through);
    }

    /// Begins to view `project`, once there is something to view.
    pub(super) async fn join(&self, project: &ProjectId) -> Beginning {
        let mut is_live = self.is_live.subscribe();
        loop {
            if let Some(live) = self.live().as_mut() {
                return live.join(project);
            }
            // The hub, which has the sender, lives longer than its viewers.
            let _ = is_live.wait_for(|is_live| *is_live).await;
        }
    }

    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn join(&mut self, project: &ProjectId) -> Beginning {
        let channel = self
            .projects
            .entry(project.clone())
            .or_insert_with(|| broadcast::Sender::new(BUFFER));
        let changes = self.changes.iter().filter(|(of, _)| of == project);
        Beginning {
            place: self.place,
            chunks: channel.subscribe(),
            changes: (
                self.changes_after,
                changes.map(|(_, event)| event.clone()).collect(),
            ),
        }
    }

    fn keep(&mut self, project: ProjectId, event: Event) {
        self.changes.push_back((project, event));
        if self.changes.len() > KEPT_CHANGES
            && let Some((_, event)) = self.changes.pop_front()
            && let Step::Registry(revision) = event.step
        {
            self.changes_after = revision;
        }
    }

    fn send(&mut self, project: &ProjectId, events: Vec<Event>) {
        let Some(channel) = self.projects.get(project) else {
            return;
        };
        if channel.receiver_count() == 0 {
            self.projects.remove(project);
            return;
        }
        let mut before = self.place;
        let mut after = before;
        let mut text = String::new();
        let mut gathered = Vec::new();
        let last = events.len().saturating_sub(1);
        for (number, event) in events.into_iter().enumerate() {
            after.advance(event.step);
            event.write(&after, &mut text);
            gathered.push(event);
            if text.len() >= CHUNK_BYTES || number == last {
                let chunk = Chunk {
                    before,
                    after,
                    events: std::mem::take(&mut gathered),
                    bytes: Bytes::from(std::mem::take(&mut text)),
                };
                let _ = channel.send(Arc::new(chunk)); // The last viewer left just now.
                before = after;
            }
        }
    }
}
