//! The state in memory, written through to disk: whoever changes something holds the lock until it is durable.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::events::ChangeLog;
use crate::fault::Fault;
use crate::knobs::Knobs;
use crate::metrics::Metrics;
use crate::resource::{Kind, number_of};
use crate::seed;
use crate::store::{Changes, Store};

/// The sandbox.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) metrics: Metrics,
    inner: Mutex<Inner>,
}

/// What is locked.
pub(crate) struct Inner {
    /// By kind and the number in the id, so that lists are in the order of creation.
    pub(crate) resources: BTreeMap<(Kind, u64), Value>,
    pub(crate) knobs: Knobs,
    pub(crate) last_call: u64,
    /// What changed of late, for subscribers.
    pub(crate) changes: ChangeLog,
}

impl World {
    /// The world that `store` holds; a new one where it holds none.
    pub(crate) fn load(
        store: Store,
        credentials: Option<(String, String)>,
    ) -> Result<Self, redb::Error> {
        let stored = store.load()?;
        let mut resources = BTreeMap::new();
        for (plural, resource) in stored.resources {
            if let Some(kind) = Kind::of_plural(&plural) {
                resources.insert((kind, id_number(kind, &resource)), resource);
            }
        }
        if resources.is_empty() {
            for (kind, resource) in seed::resources(now()) {
                resources.insert((kind, id_number(kind, &resource)), resource);
            }
            let all = resources
                .iter()
                .map(|((kind, _), resource)| write_of(*kind, resource));
            store.write(&Changes {
                resources: all.collect(),
                ..Changes::default()
            })?;
        }
        let knobs = stored
            .knobs
            .and_then(|knobs| serde_json::from_value(knobs).ok());
        Ok(Self {
            store,
            credentials,
            metrics: Metrics::default(),
            inner: Mutex::new(Inner {
                resources,
                knobs: knobs.unwrap_or_default(),
                last_call: stored.last_call,
                changes: ChangeLog::default(),
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer on purpose that a call with this method gets, if there is one. How many are left is on disk before
    /// that.
    pub(crate) fn next_fault(&self, method: &Method) -> Result<Option<Fault>, redb::Error> {
        let mut inner = self.lock();
        let fault = Fault::next(&mut inner.knobs.fault, method);
        if fault.is_some() {
            self.store.write(&Changes {
                knobs: Some(&json!(inner.knobs)),
                ..Changes::default()
            })?;
        }
        Ok(fault)
    }
}

impl Inner {
    /// The resource with this id, in the state that it has come to by `now`.
    pub(crate) fn get(&mut self, kind: Kind, id: &str, now: i64) -> Option<&mut Value> {
        let key = (kind, number_of(kind, id));
        let resource = self.resources.get_mut(&key)?;
        if crate::process::settle(resource, now) {
            self.changes.note(key);
        }
        (resource["id"] == id).then_some(resource)
    }

    /// Puts a resource into its place.
    pub(crate) fn put(&mut self, kind: Kind, resource: Value) {
        let key = (kind, id_number(kind, &resource));
        self.changes.note(key);
        self.resources.insert(key, resource);
    }

    /// All resources of a kind, in the states that they have come to by `now`.
    pub(crate) fn all(&mut self, kind: Kind, now: i64) -> impl Iterator<Item = &Value> {
        let changes = &mut self.changes;
        self.resources
            .range_mut((kind, 0)..=(kind, u64::MAX))
            .map(move |(key, resource)| {
                if crate::process::settle(resource, now) {
                    changes.note(*key);
                }
                &*resource
            })
    }

    /// An id that no resource of the kind has had.
    pub(crate) fn next_id(&self, kind: Kind) -> String {
        let last = self
            .resources
            .range((kind, 0)..=(kind, u64::MAX))
            .next_back();
        format!(
            "{}{}",
            kind.prefix(),
            last.map_or(1, |((_, number), _)| number + 1)
        )
    }
}

/// What is written of a resource.
pub(crate) fn write_of(kind: Kind, resource: &Value) -> (&'static str, String, &Value) {
    (
        kind.plural(),
        resource["id"].as_str().unwrap_or_default().to_owned(),
        resource,
    )
}

fn id_number(kind: Kind, resource: &Value) -> u64 {
    number_of(kind, resource["id"].as_str().unwrap_or_default())
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time as the API writes it.
pub(crate) fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}
