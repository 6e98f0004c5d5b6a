//! The decision core: which verdict each trigger gets, and which one action a batch of them needs. Pure: no
//! clock, no I/O, no async, no logging. The rules are those of docs/verdicts.md.

pub mod alert;
mod checks;
mod filter;
mod fold;
mod host_names;
mod host_pool;
mod limits;
mod resume;
mod scale_host;
mod scale_service;
mod service_upgrade;
mod view;

use std::collections::{BTreeMap, BTreeSet};

pub use filter::{InvalidGlob, check_glob};
pub use fold::{Batch, Waiting, fold};
pub use resume::{Progress, progress};

use crate::domain::ledger::HostRef;
use crate::domain::outcome::Verdict;
use crate::domain::push::is_same_repository;
use crate::domain::time::Timestamp;

/// What a platform reports of the thing that a group acts upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A service.
    Service(ServiceSeen),
    /// A group of hosts.
    Hosts(HostsSeen),
    /// The services that carry the labels.
    Services(Vec<MatchedService>),
    /// Something that requests are passed on to; nothing has to be known of it.
    Endpoint,
    /// It is gone.
    Gone {
        /// How the platform says so.
        reason: String,
    },
    /// It is there, but of a sort that cannot be acted upon.
    Unsupported {
        /// Of which sort.
        reason: String,
    },
    /// It could not be read, and will not be: the verdict for every trigger that needs it.
    Unreadable(Verdict),
}

/// A service, as the platform reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSeen {
    /// The platform's id of it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The desired scale, not the count of running containers.
    pub scale: u32,
    /// The platform's version of what was read, where it has versions.
    pub version: Option<String>,
    /// Why it cannot be scaled, if it cannot.
    pub unscalable: Option<String>,
    /// What scales it by itself, in a sentence: whoever scales it all the same has to say so.
    pub autoscaled: Option<String>,
    /// What it runs.
    pub containers: Vec<Container>,
}

/// A container of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name; `None` for the primary one.
    pub name: Option<String>,
    /// Its image, as the platform writes it.
    pub image: String,
    /// Its image's repository, where only pushes of the same one concern it; `None` where any push does.
    pub repository: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A group of hosts, as the platform reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsSeen {
    /// Those that count.
    pub hosts: Vec<HostSeen>,
    /// How there can be more.
    pub growth: Growth,
}

/// How a group of hosts gets more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growth {
    /// One is cloned, and gets a name that nobody has.
    Clones {
        /// The names of all hosts there are, in or out of the group, in lower case.
        names_in_use: BTreeSet<String>,
    },
    /// The platform makes and removes them by itself, as many as its pool is to have.
    Resized {
        /// That pool.
        pool: HostRef,
    },
    /// One of the group that is out of service is taken into service again.
    Pool {
        /// Those that can be, in the order in which they are taken.
        spares: Vec<HostSeen>,
    },
}

/// A host of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSeen {
    /// The platform's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it is not inactive, disconnected or on the way there.
    pub is_working: bool,
    /// Whether there can be another like it.
    pub is_cloneable: bool,
    /// Whether it manages the cluster, and is left alone unless the receiver says otherwise.
    pub is_manager: bool,
}

impl HostSeen {
    /// Whether `name` is what it is called, up to the first dot and without case.
    pub fn is_called(&self, name: &str) -> bool {
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_lowercase();
        short(&self.name) == short(name)
    }
}

/// A service that carries the labels that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedService {
    /// The platform's id of it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The repositories of its containers' images, where only pushes of one of them concern it; `None` where any push
    /// does.
    pub repositories: Option<Vec<String>>,
}

impl MatchedService {
    /// Whether pushes of `image` concern it.
    pub fn takes(&self, image: &str) -> bool {
        let mut own = self.repositories.iter().flatten();
        self.repositories.is_none() || own.any(|own| is_same_repository(own, image))
    }
}
