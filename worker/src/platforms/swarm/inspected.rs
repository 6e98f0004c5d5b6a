//! Specifications as they were read a moment ago, each until it is written back with another scale. A write names the
//! version that was read, so what is kept here can never undo somebody else's change: it only saves reading again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::service::Version;

/// How many are kept at most; those of services that needed no write stay until then.
const MOST: usize = 512;

#[derive(Default)]
pub(super) struct Inspected {
    specs: Mutex<HashMap<String, (Version, Value)>>,
}

impl Inspected {
    /// Keeps what was read of the service that was asked for by `id`.
    pub(super) fn keep(&self, id: &str, service: &Value) {
        let mut specs = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
        if specs.len() >= MOST {
            specs.clear();
        }
        let read = (Version::of(service), service["Spec"].clone());
        specs.insert(id.to_owned(), read);
    }

    /// What was read at this version, if it was the last.
    pub(super) fn take(&self, id: &str, version: Version) -> Option<Value> {
        let mut specs = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, spec) = specs.remove(id)?;
        (read == version).then_some(spec)
    }
}
