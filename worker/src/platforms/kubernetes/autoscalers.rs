//! Which things are scaled by a HorizontalPodAutoscaler or a KEDA ScaledObject, so that another scale would be undone.
//!
//! A namespace is listed when it is first asked about, and watched from that very state on, so that a decision costs no
//! list and sees what was created a moment ago. What is known is dropped when its watch ends for whatever reason, or
//! shows no sign of life: the next decision lists again.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use kube::core::WatchEvent;
use serde_json::Value;
use stormhook_shared::ports::platform::PlatformError;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::discovery::Sort;

/// How long a watch lasts at most.
const WATCH: Duration = Duration::from_secs(300);
/// How long a watch may be silent. Servers send a bookmark about every minute.
const LONGEST_SILENCE: Duration = Duration::from_secs(100);
/// What scales others: plural, and group with version.
const SORTS: [(&str, &str); 2] = [
    ("horizontalpodautoscalers", "autoscaling/v1"),
    ("scaledobjects", "keda.sh/v1alpha1"),
];

#[derive(Default)]
pub(super) struct Autoscalers {
    known: Shared,
    /// Aborted when this is dropped; they only read.
    watches: Mutex<JoinSet<()>>,
    epochs: AtomicU64,
}

/// By namespace.
type Shared = Arc<Mutex<HashMap<String, Known>>>;

/// What scales what in one namespace.
#[derive(Default)]
struct Known {
    /// Tells it from what was known of the namespace before and after.
    epoch: u64,
    /// By kind and name of the autoscaler.
    targets: BTreeMap<(String, String), Target>,
}

/// What an autoscaler scales.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    group: String,
    kind: String,
    name: String,
}

/// One list that is followed.
struct Watch {
    known: Shared,
    namespace: String,
    epoch: u64,
    plural: &'static str,
}

/// What happens to a list.
type Event = kube::Result<WatchEvent<Value>>;

impl Autoscalers {
    /// What scales the thing of this sort with this name: a sentence that says so, or that it cannot be known.
    pub(super) async fn of(
        &self,
        connection: &Connection,
        sort: &Sort,
        namespace: &str,
        name: &str,
    ) -> Result<Option<String>, PlatformError> {
        let target = Target {
            group: sort.group.clone(),
            kind: sort.kind.clone(),
            name: name.to_owned(),
        };
        if let Some(known) = lock(&self.known).get(namespace) {
            return Ok(known.sentence(namespace, &target));
        }
        match self.list(connection, namespace, &target).await {
            Err(PlatformError::Refused { message }) => Ok(Some(format!(
                "whether an autoscaler scales {namespace}/{name} cannot be known: {message}"
            ))),
            result => result,
        }
    }

    /// Lists what there is, and follows it from there on.
    async fn list(
        &self,
        connection: &Connection,
        namespace: &str,
        target: &Target,
    ) -> Result<Option<String>, PlatformError> {
        let mut known = Known {
            epoch: self.epochs.fetch_add(1, Ordering::Relaxed),
            targets: BTreeMap::new(),
        };
        let mut watches = Vec::new();
        let mut are_followed = true;
        for (place, (plural, version)) in SORTS.iter().enumerate() {
            let path = format!("/apis/{version}/namespaces/{namespace}/{plural}");
            let snapshot = match connection.snapshot(&path, |one| read(plural, one)).await {
                Ok(Some(snapshot)) => snapshot,
                Ok(None) => continue,
                // KEDA scales through a HorizontalPodAutoscaler that it makes: seeing those is enough.
                Err(PlatformError::Refused { .. }) if place > 0 => continue,
                Err(error) => return Err(error),
            };
            known.targets.extend(snapshot.items);
            match connection.watch(&path, &snapshot.version, WATCH).await {
                Ok(events) => watches.push((plural, events)),
                Err(error) => {
                    tracing::debug!(path, error, "autoscalers cannot be watched");
                    are_followed = false;
                }
            }
        }
        let sentence = known.sentence(namespace, target);
        if are_followed {
            let epoch = known.epoch;
            lock(&self.known).insert(namespace.to_owned(), known);
            let mut running = lock(&self.watches);
            while running.try_join_next().is_some() {}
            for (plural, events) in watches {
                let watch = Watch {
                    known: Arc::clone(&self.known),
                    namespace: namespace.to_owned(),
                    epoch,
                    plural,
                };
                running.spawn(watch.run(events));
            }
        }
        Ok(sentence)
    }
}

impl Known {
    fn sentence(&self, namespace: &str, target: &Target) -> Option<String> {
        let by = self.targets.iter().find(|(_, scaled)| *scaled == target);
        by.map(|((plural, name), _)| {
            format!(
                "{namespace}/{} is scaled by {plural}/{namespace}/{name}, which would undo another scale",
                target.name
            )
        })
    }
}

impl Watch {
    /// Follows the list until the watch ends, and then forgets what is known.
    async fn run(self, events: impl Stream<Item = Event>) {
        let why = match self.follow(events).await {
            Ok(()) => "it ended".to_owned(),
            Err(error) => error,
        };
        let (namespace, plural) = (&self.namespace, self.plural);
        tracing::debug!(
            namespace,
            plural,
            why,
            "autoscalers are not watched any more"
        );
        let mut all = lock(&self.known);
        if all
            .get(&self.namespace)
            .is_some_and(|known| known.epoch == self.epoch)
        {
            all.remove(&self.namespace);
        }
    }

    async fn follow(&self, events: impl Stream<Item = Event>) -> Result<(), String> {
        let mut events = pin!(events);
        loop {
            let next = tokio::time::timeout(LONGEST_SILENCE, events.try_next()).await;
            let next = next.map_err(|_| "it is silent".to_owned())?;
            match next.map_err(|error| error.to_string())? {
                None => return Ok(()),
                Some(WatchEvent::Added(one) | WatchEvent::Modified(one)) => {
                    self.note(&one, read(self.plural, &one).map(|(_, target)| target));
                }
                Some(WatchEvent::Deleted(one)) => self.note(&one, None),
                Some(WatchEvent::Bookmark(_)) => {}
                Some(WatchEvent::Error(status)) => return Err(status.message),
            }
        }
    }

    fn note(&self, one: &Value, target: Option<Target>) {
        let mut all = lock(&self.known);
        let known = all
            .get_mut(&self.namespace)
            .filter(|known| known.epoch == self.epoch);
        let (Some(known), Some(name)) = (known, one["metadata"]["name"].as_str()) else {
            return;
        };
        let key = (self.plural.to_owned(), name.to_owned());
        match target {
            Some(target) => known.targets.insert(key, target),
            None => known.targets.remove(&key),
        };
    }
}

/// An autoscaler, and what it scales. Of a ScaledObject's target, all but the name has defaults.
fn read(plural: &str, one: &Value) -> Option<((String, String), Target)> {
    let target = &one["spec"]["scaleTargetRef"];
    let version = target["apiVersion"].as_str().unwrap_or("apps/v1");
    let target = Target {
        group: version
            .split_once('/')
            .map_or("", |(group, _)| group)
            .to_owned(),
        kind: target["kind"].as_str().unwrap_or("Deployment").to_owned(),
        name: target["name"].as_str()?.to_owned(),
    };
    let name = one["metadata"]["name"].as_str()?.to_owned();
    Some(((plural.to_owned(), name), target))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_scaled_is_told_by_group_kind_and_name() {
        let target = |group: &str, kind: &str| Target {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: "web".to_owned(),
        };
        for (reference, expected) in [
            (
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}),
                target("apps", "StatefulSet"),
            ),
            (json!({"name": "web"}), target("apps", "Deployment")),
            (
                json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}),
                target("argoproj.io", "Rollout"),
            ),
        ] {
            let one = json!({"metadata": {"name": "busy"}, "spec": {"scaleTargetRef": reference}});
            let (key, found) = read("scaledobjects", &one).unwrap();
            assert_eq!(found, expected);
            let known = Known {
                epoch: 1,
                targets: [(key, found)].into(),
            };
            let sentence = known.sentence("shop", &expected).unwrap();
            assert!(sentence.contains("scaledobjects/shop/busy"), "{sentence}");
            assert_eq!(known.sentence("shop", &target("apps", "ReplicaSet")), None);
        }
    }
}
