//! The live feed: what is new in the trigger log, the ledger and the registry, as server-sent events of a project. Read
//! once for all viewers, through the ports, and only while somebody views.

mod event;
mod hub;
mod outcomes;
mod place;
mod source;
mod viewer;

use std::convert::Infallible;
use std::sync::Arc;

use actix_web::web::Bytes;
use futures::Stream;
use prometheus_client::metrics::counter::Counter;
use stormhook_shared::directory::Directory;
use stormhook_shared::domain::ids::ProjectId;
use stormhook_shared::ports::Backbone;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use hub::Hub;
pub(crate) use place::{NotAPlace, Place};
use source::Source;
use viewer::Viewer;

/// The live feed.
pub(crate) struct Feed {
    hub: Arc<Hub>,
    backbone: Backbone,
    base: String,
    viewers: Arc<watch::Sender<usize>>,
    too_slow: Counter,
    stop: CancellationToken,
}

/// Counts a viewer for as long as it lives.
pub(crate) struct Counted {
    viewers: Arc<watch::Sender<usize>>,
    too_slow: Counter,
}

impl Counted {
    fn too_slow(&self) {
        self.too_slow.inc();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.viewers.send_modify(|viewers| *viewers -= 1);
    }
}

impl Feed {
    /// A feed of what `backbone` carries, and the task that reads for it until `stop`. `base`: what links begin with.
    /// `too_slow`: how many viewers were told to begin anew.
    pub(crate) fn start(
        backbone: Backbone,
        directory: Arc<Directory>,
        base: String,
        too_slow: Counter,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let hub = Arc::new(Hub::default());
        let viewers = watch::Sender::new(0);
        let source = Source {
            backbone: backbone.clone(),
            directory,
            hub: Arc::clone(&hub),
            base: base.clone(),
            viewers: viewers.subscribe(),
            stop: stop.clone(),
        };
        let task = tokio::spawn(source.run());
        let feed = Self {
            hub,
            backbone,
            base,
            viewers: Arc::new(viewers),
            too_slow,
            stop,
        };
        (feed, task)
    }

    /// What happens in `project`: from `seen` on or, where that is absent, from now on, `until` at most. Who `wants_all`
    /// triggers and outcomes goes on however long ago `seen` is.
    pub(crate) async fn view(
        &self,
        project: ProjectId,
        (seen, wants_all): (Option<Place>, bool),
        until: Option<Instant>,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        self.viewers.send_modify(|viewers| *viewers += 1);
        let counted = Counted {
            viewers: Arc::clone(&self.viewers),
            too_slow: self.too_slow.clone(),
        };
        let begins = self.hub.join(&project).await;
        let viewer = Viewer {
            project,
            backbone: self.backbone.clone(),
            base: self.base.clone(),
            until,
            stop: self.stop.clone(),
            counted,
            wants_all,
        };
        viewer.stream(begins, seen)
    }

    /// How many viewers there are.
    pub(crate) fn viewers(&self) -> usize {
        *self.viewers.borrow()
    }
}
