//! Watches the objects of the projects whose management calls fall into a partition, and gives each its turn: when it
//! changes, when its receiver changes, and now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, Stream, StreamExt};
use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::controller::{Action, Config, Controller, Error};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use stormhook_shared::directory::{Directory, News};
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ReceiverId, Revision};
use stormhook_shared::management_record::ManagementRecord;
use stormhook_shared::ports::leases::Lease;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::object::{Object, resource};
use super::reconciliation::Project;
use crate::context::Context;

/// Keeps an object until its receiver is removed.
const FINALIZER: &str = "stormhook.io/receiver";
/// How long an object's turn may take.
const LONGEST_TURN: Duration = Duration::from_secs(60);
/// How soon a turn that came to nothing is repeated.
const PAUSE: Duration = Duration::from_secs(10);
/// How many objects have their turn at the same time.
const AT_ONCE: u16 = 4;
/// How long turns may go on that have begun when they are to stop.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait for the copy of the registry before looking whether to stop.
const LOOK: Duration = Duration::from_secs(1);

/// A turn came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unfinished(String);

/// The objects that were seen, by their receivers.
type Known = Mutex<HashMap<ReceiverId, Seen>>;

/// An object that was seen.
struct Seen {
    object: ObjectRef<DynamicObject>,
    /// The version of the URL that its receiver had last, or 0.
    key_version: u32,
}

/// What the turns of one project have in common.
struct Turns {
    project: Project,
    known: Known,
}

/// Makes receivers of the objects of those projects whose management calls fall into the partition of `lease`, until
/// `stop`. Returns at once if there are none.
pub(crate) async fn work(context: Arc<Context>, lease: Lease, stop: CancellationToken) {
    let partitions = context.backbone.triggers.partitions();
    let resources = &context.receiver_resources;
    let Some(urls) = &resources.urls else {
        return;
    };
    let falling_here = resources.clusters.iter().filter(|(project, _)| {
        partitions.of(GroupKey::management(project).hash()) == lease.partition()
    });
    let projects: Vec<_> = falling_here
        .map(|(id, cluster)| Project {
            id: id.clone(),
            context: Arc::clone(&context),
            cluster: Arc::clone(cluster),
            urls: urls.clone(),
            record: ManagementRecord::new(Arc::clone(&context.backbone.ledger)),
            lease: lease.clone(),
        })
        .collect();
    if projects.is_empty() {
        return;
    }
    // Nothing is missing only because it was not read yet.
    while !context.directory.reached(Revision(0), LOOK).await {
        if stop.is_cancelled() {
            return;
        }
    }
    let all = projects.into_iter().map(|project| {
        let turns = Turns {
            project,
            known: Mutex::default(),
        };
        Arc::new(turns).run(stop.clone())
    });
    tokio::select! {
        _ = join_all(all) => {}
        // Triggers of the partition do not wait for a turn that hangs: whoever comes next finds what it has done.
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        } => {}
    }
}

impl Turns {
    async fn run(self: Arc<Self>, stop: CancellationToken) {
        tracing::info!(project = %self.project.id, "receivers are made of custom resources here");
        let namespaces = match &self.project.cluster.namespaces {
            None => vec![None],
            Some(names) => names.iter().cloned().map(Some).collect(),
        };
        let all = namespaces
            .into_iter()
            .map(|namespace| Arc::clone(&self).follow(namespace, stop.clone()));
        join_all(all).await;
    }

    /// Gives the objects of one namespace, or of all, their turns until `stop`.
    async fn follow(self: Arc<Self>, namespace: Option<String>, stop: CancellationToken) {
        let config = Config::default().concurrency(AT_ONCE);
        let directory = Arc::clone(&self.project.context.directory);
        let changed = changed_receivers(&directory, Arc::clone(&self), namespace.clone());
        Controller::new_with(
            self.api(namespace.as_deref()),
            watcher::Config::default(),
            resource(),
        )
        .with_config(config)
        .reconcile_on(changed)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(turn, pause, Arc::clone(&self))
        .for_each(async |done| {
            // What is deleted needs no other turn.
            if let Err(error) = done
                && !matches!(error, Error::ObjectNotFound(_))
            {
                tracing::warn!(project = %self.project.id, %error, "a Receiver object had no turn");
            }
        })
        .await;
    }

    fn api(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        let client = self.project.cluster.connection.client();
        match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource()),
            None => Api::all_with(client, &resource()),
        }
    }

    /// Remembers an object; the version of the URL that its receiver had last, or 0.
    fn note(&self, object: Object<'_>) -> u32 {
        let id = object.receiver_id(&self.project.id);
        let mut known = lock(&self.known);
        let seen = known.entry(id).or_insert_with(|| Seen {
            object: ObjectRef::from_obj_with(object.0, resource()),
            key_version: 0,
        });
        if let Some(receiver) = self.project.context.directory.get(id) {
            seen.key_version = seen.key_version.max(receiver.keys.current.get());
        }
        seen.key_version
    }

    fn forget(&self, object: Object<'_>) {
        lock(&self.known).remove(&object.receiver_id(&self.project.id));
    }

    /// The objects, of one namespace or of all, whose receivers have `news`.
    fn meant(
        &self,
        news: Result<News, RecvError>,
        namespace: Option<&str>,
    ) -> Vec<ObjectRef<DynamicObject>> {
        let mut known = lock(&self.known);
        let meant: Vec<_> = match news {
            Ok(News::Stored(receiver, _) | News::Deleted(receiver, _)) => {
                let seen = known.get_mut(&receiver.id).map(|seen| {
                    seen.key_version = seen.key_version.max(receiver.keys.current.get());
                    seen.object.clone()
                });
                seen.into_iter().collect()
            }
            Ok(News::Replaced(_)) | Err(_) => {
                known.values().map(|seen| seen.object.clone()).collect()
            }
        };
        let is_here = |one: &ObjectRef<DynamicObject>| {
            namespace.is_none() || one.namespace.as_deref() == namespace
        };
        meant.into_iter().filter(is_here).collect()
    }
}

/// One object's turn.
async fn turn(object: Arc<DynamicObject>, turns: Arc<Turns>) -> Result<Action, Unfinished> {
    let namespace = Object(&object).namespace();
    let api = turns.api(Some(&namespace));
    let project = &turns.project;
    let done = finalizer(&api, FINALIZER, object, async |event| match event {
        Event::Apply(object) => {
            let last = turns.note(Object(&object));
            project.apply(Object(&object), last).await
        }
        Event::Cleanup(object) => {
            turns.forget(Object(&object));
            project.clean_up(Object(&object)).await
        }
    });
    match tokio::time::timeout(LONGEST_TURN, done).await {
        Ok(Ok(action)) => Ok(action),
        Ok(Err(error)) => Err(Unfinished(error.to_string())),
        Err(_) => Err(Unfinished(format!("no end within {LONGEST_TURN:?}"))),
    }
}

/// When a turn that came to nothing is repeated.
fn pause(_object: Arc<DynamicObject>, _error: &Unfinished, _turns: Arc<Turns>) -> Action {
    Action::requeue(PAUSE)
}

/// The objects of one namespace, or of all, whose receivers were changed, by whomever.
fn changed_receivers(
    directory: &Directory,
    turns: Arc<Turns>,
    namespace: Option<String>,
) -> impl Stream<Item = ObjectRef<DynamicObject>> + Send + 'static {
    let news = stream::unfold(
        directory.news(),
        async |mut news: broadcast::Receiver<News>| match news.recv().await {
            Err(RecvError::Closed) => None,
            next => Some((next, news)),
        },
    );
    news.map(move |news| stream::iter(turns.meant(news, namespace.as_deref())))
        .flatten()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
