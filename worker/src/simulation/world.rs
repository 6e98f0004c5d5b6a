//! What outlives every worker: the logs, the leases, the platform's services, and the record of what was done to them.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use stormhook_shared::domain::group::{GroupKey, Partition, Partitions};
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::ledger::{Action, Entry, Record};
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::{Logged, Trigger};
use stormhook_shared::ports::cursors::Cursor;
use stormhook_shared::ports::leases::WorkerId;
use stormhook_shared::receiver_json;
use stormhook_tests::random::Random;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) const PARTITIONS: Partitions = Partitions(NonZeroU16::new(2).expect("2 is not zero"));
const SERVICES: [&str; 3] = ["1s1", "1s2", "1s3"];
/// The bounds of every receiver.
const BOUNDS: (u32, u32) = (1, 5);

/// What outlives every worker.
pub(super) struct World {
    inner: Mutex<Inner>,
    random: Mutex<Random>,
    began: Instant,
    calm_at: Instant,
    changed: watch::Sender<()>,
    pub(super) receivers: Vec<Receiver>,
    /// The platform has versions, and refuses writes for an older one.
    pub(super) has_versions: bool,
    /// How many of a group's last records a server of the ledger lacks that is behind.
    pub(super) lacking: usize,
}

/// The state of the world.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) triggers: Vec<Logged>,
    pub(super) ledger: Vec<Record>,
    pub(super) last: HashMap<GroupKey, Revision>,
    pub(super) leases: BTreeMap<Partition, Held>,
    pub(super) workers: BTreeMap<WorkerId, Instant>,
    pub(super) cursors: BTreeMap<Partition, Cursor>,
    pub(super) services: BTreeMap<String, Service>,
    calls: Vec<Value>,
    violations: Vec<String>,
}

/// A lease that somebody has.
pub(super) struct Held {
    pub(super) holder: WorkerId,
    pub(super) until: Instant,
}

/// A service of the platform.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) scale: u32,
    pub(super) version: u64,
}

/// The one project.
pub(super) fn project() -> ProjectId {
    "1a5".parse().expect("1a5 is a project id")
}

/// The group of a service.
pub(super) fn group(service: &str) -> GroupKey {
    GroupKey::named(&format!("service/1a5/{service}"))
}

impl World {
    pub(super) fn new(mut random: Random, trouble: Duration, lacking: usize) -> Arc<Self> {
        let has_versions = random.below(2) == 0;
        let service = Service {
            scale: 1,
            version: 1,
        };
        let services = SERVICES.map(|id| (id.to_owned(), service.clone()));
        Arc::new(Self {
            inner: Mutex::new(Inner {
                services: services.into(),
                ..Inner::default()
            }),
            random: Mutex::new(random),
            began: Instant::now(),
            calm_at: Instant::now() + trouble,
            changed: watch::Sender::new(()),
            receivers: receivers(),
            has_versions,
            lacking,
        })
    }

    /// Does something to the world, and tells those who wait for a change.
    pub(super) fn with<T>(&self, effect: impl FnOnce(&mut Inner) -> T) -> T {
        let done = effect(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
        done
    }

    /// Looks at the world.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns once `is_so`.
    pub(super) async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        let mut changed = self.changed.subscribe();
        while !self.look(&is_so) {
            let _ = changed.changed().await; // The world is never dropped meanwhile.
        }
    }

    /// A random number below `bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.below(bound)
    }

    pub(super) fn is_troubled(&self) -> bool {
        Instant::now() < self.calm_at
    }

    /// Appends a trigger of a random receiver.
    pub(super) fn append(&self, number: u64) {
        let place = usize::try_from(self.below(self.receivers.len() as u64)).unwrap();
        let receiver = &self.receivers[place];
        let trigger = trigger(receiver, number);
        self.with(|inner| {
            let sequence = Sequence(inner.triggers.len() as u64 + 1);
            inner.triggers.push(Logged { sequence, trigger });
        });
    }

    /// Returns once every trigger is settled.
    pub(super) async fn all_settled(&self) {
        self.until(|inner| {
            SERVICES.iter().all(|service| {
                let group = group(service);
                let mut own = inner.triggers.iter().rev();
                let newest = own.find(|logged| logged.trigger.group == group);
                let newest = newest.map_or(Sequence(0), |logged| logged.sequence);
                inner
                    .last_record(&group)
                    .map_or(Sequence(0), |record| record.state.settled)
                    >= newest
            })
        })
        .await;
    }

    /// A write arrives at the platform that was sent at `sent`: whether it is taken.
    pub(super) fn write(
        &self,
        service: &str,
        to: u32,
        version: Option<&str>,
        sent: Instant,
    ) -> Result<(), String> {
        let now = Instant::now();
        self.with(|inner| {
            let found = inner.services.get_mut(service).ok_or("no such service")?;
            if version.is_some_and(|version| version != found.version.to_string()) {
                return Err("another version is there".to_owned());
            }
            found.scale = to;
            found.version += 1;
            inner.calls.push(json!({
                "path": format!("/services/{service}"),
                "startedAt": time(sent - self.began),
                "endedAt": time(now - self.began),
                "body": {"scale": to},
            }));
            inner.check_write(service, to);
            Ok(())
        })
    }

    pub(super) fn calls(&self) -> Vec<Value> {
        self.look(|inner| inner.calls.clone())
    }

    pub(super) fn scales(&self) -> BTreeMap<String, u64> {
        self.look(|inner| {
            let services = inner.services.iter();
            services
                .map(|(id, service)| (id.clone(), service.scale.into()))
                .collect()
        })
    }

    pub(super) fn violations(&self) -> Result<(), String> {
        self.look(|inner| match &inner.violations[..] {
            [] => Ok(()),
            violations => Err(violations.join("; ")),
        })
    }

    /// Where the groups stand, for a seed that fails.
    pub(super) fn describe(&self) -> String {
        self.look(|inner| {
            let stands = SERVICES.map(|service| {
                let last = inner.last_record(&group(service));
                format!("{service}: {last:?}")
            });
            format!("{} triggers; {}", inner.triggers.len(), stands.join("; "))
        })
    }
}

impl Inner {
    pub(super) fn last_record(&self, group: &GroupKey) -> Option<&Record> {
        let revision = self.last.get(group)?;
        self.record(*revision)
    }

    fn record(&self, revision: Revision) -> Option<&Record> {
        self.ledger
            .get(usize::try_from(revision.0).ok()?.checked_sub(1)?)
    }

    /// A write must be that of the group's open plan, or repeat that of a plan that was just finished; and it must be
    /// within the bounds.
    fn check_write(&mut self, service: &str, to: u32) {
        let plan = match self
            .last_record(&group(service))
            .map(|record| &record.entry)
        {
            Some(Entry::Planned(plan)) => Some(plan),
            Some(Entry::Performed { plan, .. }) => {
                match self.record(*plan).map(|record| &record.entry) {
                    Some(Entry::Planned(plan)) => Some(plan),
                    _ => None,
                }
            }
            _ => None,
        };
        let is_planned = plan.is_some_and(
            |plan| matches!(plan.action, Action::ScaleService { to: goal, .. } if goal == to),
        );
        if !is_planned {
            self.violations.push(format!(
                "{service} was scaled to {to} without a plan for it: {plan:?}"
            ));
        }
        if !(BOUNDS.0..=BOUNDS.1).contains(&to) {
            self.violations
                .push(format!("{service} was scaled to {to}, out of its bounds"));
        }
    }
}

/// An up and a down receiver for each service; those of the first clamp.
fn receivers() -> Vec<Receiver> {
    let mut receivers = Vec::new();
    for service in SERVICES {
        for action in ["up", "down"] {
            let number = u8::try_from(receivers.len() + 1).unwrap();
            let definition = receiver_json::parse(json!({
                "name": format!("{service}-{action}"), "driver": "scaleService",
                "onLimit": if service == SERVICES[0] { "clamp" } else { "reject" },
                "scaleServiceConfig": {
                    "serviceId": service, "action": action, "amount": 1 + u32::from(number == 1),
                    "min": BOUNDS.0, "max": BOUNDS.1,
                },
            }))
            .unwrap();
            receivers.push(Receiver {
                id: ReceiverId::from_bytes([number; 12]),
                project: project(),
                name: definition.name,
                kind: definition.kind,
                options: definition.options,
                activity: Activity::Active,
                keys: KeyVersions::FIRST,
                revision: 1,
                created_at: Timestamp::from_millis(0),
            });
        }
    }
    receivers
}

fn trigger(receiver: &Receiver, number: u64) -> Trigger {
    let group = GroupKey::of(&receiver.project, &receiver.kind.target());
    Trigger {
        id: TriggerId::derived(receiver.id, &number.to_string()),
        receiver_id: receiver.id,
        receiver_name: receiver.name.clone(),
        ..stormhook_tests::contract::trigger_log::trigger(group.as_str(), None, Timestamp::now())
    }
}

/// A time that sorts as text.
fn time(since: Duration) -> String {
    format!("{:012}", since.as_micros())
}
