//! What is asked of the outcome log as a record, and what is answered.

use serde::{Deserialize, Serialize};

use super::leases::WorkerId;
use crate::audit::export::Place;
use crate::domain::ids::Revision;
use crate::domain::time::Timestamp;

/// Which entries of the outcome log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntriesQuery {
    /// Of which worker; of any where absent.
    #[serde(default)]
    pub worker: Option<WorkerId>,
    /// Those after this one; from the first that is kept, or the first since a time, where absent.
    pub after: Option<u64>,
    /// Up to this one; to the last, or the last before a time, where absent.
    pub through: Option<u64>,
    /// From the first that happened then or later.
    pub since: Option<Timestamp>,
    /// Up to the last that happened before then.
    pub until: Option<Timestamp>,
    /// How many at most.
    pub limit: usize,
}

/// How far the outcome log of a worker goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Whose it is.
    pub worker: WorkerId,
    /// Where it begins: older entries were dropped.
    pub base: Place,
    /// Its last entry.
    pub head: Place,
    /// The entry that was asked for.
    pub at: Option<Place>,
}

/// How far a verification has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// By which worker.
    pub worker: WorkerId,
    /// Which.
    pub job: u64,
    /// How many entries are before the first.
    pub base: u64,
    /// The last entry that is certain to be as it was written.
    pub at: Place,
    /// The number of the last entry there is.
    pub entries: u64,
    /// Everything was read, the indexes too, and is as it was written.
    pub is_done: bool,
    /// What is wrong; the verification ends with that.
    pub problem: Option<Problem>,
}

/// What is wrong with an outcome log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The first entry that is not as it was written; absent where an index is wrong.
    pub entry: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// A page of the outcome log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntriesPage {
    /// The place before the first of them.
    pub after: Place,
    /// The last entry that was asked for; the page may end before it.
    pub through: u64,
    /// The entries, each as the text over which its hash is made.
    pub entries: Vec<String>,
    /// Where the ledger goes on after the last entry that was asked for, if that is the last one there is.
    pub position: Option<Position>,
}

/// A place between two entries of the outcome log, as the ledger's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// All entries of this record, and of all before, come before it.
    pub applied: Revision,
    /// So many entries of the records after that do, too.
    pub beyond: usize,
}
