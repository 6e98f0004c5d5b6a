//! An in-memory copy of the registry, kept fresh by a watch. Ingress and worker look receivers up here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{ProjectId, ReceiverId, Revision};
use crate::domain::receiver::Receiver;
use crate::ports::registry::{Change, Registry};
use crate::telemetry::Readiness;

/// The part's name in `/readyz`.
const PART: &str = "registry";
/// How long to wait before a broken watch is begun again.
const PAUSE: Duration = Duration::from_millis(500);
/// By how many changes those who follow the copy may be behind.
const BUFFER: usize = 256;

/// A copy of the registry.
pub struct Directory {
    receivers: RwLock<Receivers>,
    /// Up to where the registry's changes are in the copy; `None` until it is complete.
    revision: watch::Sender<Option<Revision>>,
    news: broadcast::Sender<News>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What changed in the copy, and up to where the registry's changes are in it with that.
#[derive(Debug, Clone)]
pub enum News {
    /// A receiver is new, or has changed.
    Stored(Arc<Receiver>, Revision),
    /// A receiver was deleted.
    Deleted(Arc<Receiver>, Revision),
    /// The copy was made anew: anything may have changed.
    Replaced(Revision),
}

/// The receivers, by what they are looked up by.
#[derive(Default)]
struct Receivers {
    by_id: HashMap<ReceiverId, Arc<Receiver>>,
    by_imported_key: HashMap<(ProjectId, String), ReceiverId>,
}

impl Receivers {
    fn insert(&mut self, receiver: Arc<Receiver>) {
        self.remove(receiver.id);
        if let Some(key) = key_of(&receiver) {
            self.by_imported_key.insert(key, receiver.id);
        }
        self.by_id.insert(receiver.id, receiver);
    }

    fn remove(&mut self, id: ReceiverId) -> Option<Arc<Receiver>> {
        let removed = self.by_id.remove(&id)?;
        if let Some(key) = key_of(&removed) {
            self.by_imported_key.remove(&key);
        }
        Some(removed)
    }
}

fn key_of(receiver: &Receiver) -> Option<(ProjectId, String)> {
    let key = receiver.keys.imported.as_ref()?;
    Some((receiver.project.clone(), key.sha256.clone()))
}

impl Directory {
    /// A copy that follows `registry` until it is stopped.
    pub fn follow(registry: Arc<dyn Registry>, readiness: Arc<Readiness>) -> Arc<Self> {
        let directory = Arc::new(Self {
            receivers: RwLock::default(),
            revision: watch::Sender::new(None),
            news: broadcast::Sender::new(BUFFER),
            stop: CancellationToken::new(),
            task: Mutex::default(),
        });
        readiness.report(PART, Err("receivers are being read".to_owned()));
        let task = tokio::spawn(Arc::clone(&directory).run(registry, readiness));
        *directory
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(task);
        directory
    }

    /// The receiver with this id.
    pub fn get(&self, id: ReceiverId) -> Option<Arc<Receiver>> {
        let receivers = self
            .receivers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        receivers.by_id.get(&id).cloned()
    }

    /// The receiver of `project` that brought along the key with this SHA-256.
    pub fn with_imported_key(&self, project: &ProjectId, sha256: &str) -> Option<Arc<Receiver>> {
        let receivers = self
            .receivers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (project.clone(), sha256.to_owned());
        let id = receivers.by_imported_key.get(&key)?;
        receivers.by_id.get(id).cloned()
    }

    /// The receivers of `project`, by name.
    pub fn list(&self, project: &ProjectId) -> Vec<Arc<Receiver>> {
        let receivers = self
            .receivers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = receivers
            .by_id
            .values()
            .filter(|receiver| receiver.project == *project)
            .cloned()
            .collect();
        list.sort_by(|one, two| one.name.cmp(&two.name));
        list
    }

    /// The projects that have receivers.
    pub fn projects(&self) -> BTreeSet<ProjectId> {
        let receivers = self
            .receivers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let projects = receivers.by_id.values();
        projects.map(|receiver| receiver.project.clone()).collect()
    }

    /// Whether all receivers are in the copy. Before that, one that is not found in it may be there all the same.
    pub fn is_complete(&self) -> bool {
        self.revision.borrow().is_some()
    }

    /// Up to where the registry's changes are in the copy.
    pub fn revision(&self) -> Revision {
        self.revision.borrow().unwrap_or_default()
    }

    /// What changes in the copy from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Whether the copy is complete and has everything up to `revision` within `timeout`.
    pub async fn reached(&self, revision: Revision, timeout: Duration) -> bool {
        let mut reached = self.revision.subscribe();
        let reached = reached.wait_for(|at| at.is_some_and(|at| at >= revision));
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    /// Stops following.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the copy of the registry ended in a panic");
        }
    }

    async fn run(self: Arc<Self>, registry: Arc<dyn Registry>, readiness: Arc<Readiness>) {
        let follow = async {
            loop {
                match registry.watch().await {
                    Ok(changes) => self.take_in(changes, &readiness).await,
                    Err(error) => tracing::warn!(%error, "cannot watch receivers, trying again"),
                }
                readiness.report(PART, Err("the watch over receivers broke off".to_owned()));
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = follow => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Takes in a watch from its beginning to its end.
    async fn take_in(
        &self,
        mut changes: futures::stream::BoxStream<'static, Change>,
        readiness: &Readiness,
    ) {
        // What was deleted while nobody watched is missing here, and goes when the copy is replaced.
        let mut fresh = Some(Receivers::default());
        while let Some(change) = changes.next().await {
            match (change, &mut fresh) {
                (Change::Stored { receiver, .. }, Some(fresh)) => {
                    fresh.insert(Arc::new(receiver));
                }
                (Change::Deleted { id, .. }, Some(fresh)) => {
                    fresh.remove(id);
                }
                (Change::Complete { revision }, _) => {
                    if let Some(fresh) = fresh.take() {
                        self.change(revision, |receivers| {
                            *receivers = fresh;
                            Some(News::Replaced(revision))
                        });
                        readiness.report(PART, Ok(()));
                    }
                }
                (Change::Stored { receiver, revision }, None) => {
                    let receiver = Arc::new(receiver);
                    self.change(revision, |receivers| {
                        receivers.insert(Arc::clone(&receiver));
                        Some(News::Stored(receiver, revision))
                    });
                }
                (Change::Deleted { id, revision }, None) => self.change(revision, |receivers| {
                    let removed = receivers.remove(id)?;
                    Some(News::Deleted(removed, revision))
                }),
            }
        }
    }

    fn change(&self, revision: Revision, change: impl FnOnce(&mut Receivers) -> Option<News>) {
        let news = change(
            &mut self
                .receivers
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.revision.send_replace(Some(revision));
        if let Some(news) = news {
            let _ = self.news.send(news); // Nobody follows just now.
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures::stream::{self, BoxStream};
    use tokio::sync::Notify;

    use super::*;
    use crate::ports::Unavailable;
    use crate::ports::registry::RegistryError;

    /// An empty registry that is not read to its end before it is told so.
    struct Slow(Arc<Notify>);

    #[async_trait]
    impl Registry for Slow {
        async fn create(&self, receiver: Receiver) -> Result<Revision, RegistryError> {
            Err(RegistryError::NotFound(receiver.id))
        }

        async fn update(&self, receiver: Receiver) -> Result<Revision, RegistryError> {
            Err(RegistryError::NotFound(receiver.id))
        }

        async fn delete(&self, id: ReceiverId) -> Result<Revision, RegistryError> {
            Err(RegistryError::NotFound(id))
        }

        async fn watch(&self) -> Result<BoxStream<'static, Change>, Unavailable> {
            let read = Arc::clone(&self.0);
            let end = async move {
                read.notified().await;
                let revision = Revision(0);
                Change::Complete { revision }
            };
            Ok(stream::once(end).chain(stream::pending()).boxed())
        }
    }

    #[tokio::test]
    async fn it_is_complete_once_all_is_read_even_if_that_is_nothing() {
        let read = Arc::new(Notify::new());
        let directory = Directory::follow(Arc::new(Slow(Arc::clone(&read))), Arc::default());
        assert!(!directory.is_complete());
        read.notify_one();
        let patience = Duration::from_secs(10);
        assert!(directory.reached(Revision(0), patience).await);
        assert!(directory.is_complete());
        directory.stop().await;
    }
}
