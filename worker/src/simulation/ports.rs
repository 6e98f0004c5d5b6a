//! The ports into the world, as one worker has them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use stormhook_shared::domain::group::{GroupKey, Partition, Partitions};
use stormhook_shared::domain::ids::{ReceiverId, Revision, Sequence};
use stormhook_shared::domain::ledger::Record;
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::trigger::{Logged, Trigger};
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::cursors::{Cursor, Cursors};
use stormhook_shared::ports::leases::{Census, LeaseEnd, Leases, Role};
use stormhook_shared::ports::ledger::{Ledger, LedgerError, Place, Reach};
use stormhook_shared::ports::questions::{Answer, Answerer, Question, Questions, Serving};
use stormhook_shared::ports::registry::{Change, Registry, RegistryError};
use stormhook_shared::ports::trigger_log::{AppendError, Appended, Entry, TriggerLog};
use tokio::time::Instant;

use super::nerve::Nerve;
use super::world::{Held, Inner, PARTITIONS, World};

const TTL: Duration = Duration::from_secs(3);
/// One in so many answers on a group's last record comes from a server that does not have it yet.
const BEHIND: u64 = 8;

/// The ports of a worker; or of an onlooker, whom nothing happens to.
pub(super) struct Ports {
    pub(super) world: Arc<World>,
    pub(super) nerve: Option<Arc<Nerve>>,
}

impl Ports {
    async fn request<T>(&self, effect: impl FnOnce(&mut Inner) -> T) -> Result<T, Unavailable> {
        match &self.nerve {
            Some(nerve) => nerve.request(effect).await,
            None => Ok(self.world.with(effect)),
        }
    }

    async fn wait_until(&self, is_so: impl Fn(&Inner) -> bool) -> Result<(), Unavailable> {
        self.world.until(is_so).await;
        self.request(|_| ()).await
    }

    fn me(&self) -> String {
        self.nerve
            .as_ref()
            .map_or_else(String::new, |nerve| nerve.name.clone())
    }
}

#[async_trait]
impl TriggerLog for Ports {
    async fn append(&self, _trigger: Trigger) -> Result<Appended, AppendError> {
        Err(nobody("appends here").into())
    }

    async fn read(
        &self,
        partition: Partition,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        self.request(|inner| {
            entries(inner, after, limit, |key| {
                PARTITIONS.of(key.hash()) == partition
            })
        })
        .await
    }

    async fn read_newest(
        &self,
        _after: Sequence,
        _before: Sequence,
        _limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        Err(nobody("asks for history"))
    }

    async fn read_group(
        &self,
        group: &GroupKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Entry>, Unavailable> {
        self.request(|inner| entries(inner, after, limit, |key| key == group))
            .await
    }

    async fn wait_beyond(&self, partition: Partition, after: Sequence) -> Result<(), Unavailable> {
        self.wait_until(|inner| {
            let is_own = |key: &GroupKey| PARTITIONS.of(key.hash()) == partition;
            !entries(inner, after, 1, is_own).is_empty()
        })
        .await
    }

    async fn read_all(&self, _after: Sequence, _limit: usize) -> Result<Vec<Entry>, Unavailable> {
        Err(nobody("follows the whole log"))
    }

    async fn newest(&self) -> Result<Sequence, Unavailable> {
        Err(nobody("follows the whole log"))
    }

    async fn wait_beyond_all(&self, _after: Sequence) -> Result<(), Unavailable> {
        Err(nobody("follows the whole log"))
    }

    async fn get(&self, _sequence: Sequence) -> Result<Option<Logged>, Unavailable> {
        Err(nobody("asks for one trigger"))
    }

    fn partitions(&self) -> Partitions {
        PARTITIONS
    }
}

#[async_trait]
impl Ledger for Ports {
    async fn append(&self, record: Record, expected: Revision) -> Result<Revision, LedgerError> {
        self.request(|inner| {
            let found = inner.last.get(&record.group).copied().unwrap_or_default();
            if found != expected {
                return Err(LedgerError::Conflict {
                    group: record.group,
                    expected,
                    found,
                });
            }
            let revision = Revision(inner.ledger.len() as u64 + 1);
            inner.last.insert(record.group.clone(), revision);
            inner.ledger.push(record);
            Ok(revision)
        })
        .await?
    }

    async fn last(&self, group: &GroupKey) -> Result<Option<(Revision, Record)>, LedgerError> {
        let lacking = match &self.nerve {
            Some(nerve) if nerve.happens(BEHIND) => self.world.lacking,
            _ => 0,
        };
        let found = self.request(|inner| {
            let records = inner.ledger.iter().enumerate().rev();
            let mut own = records.filter(|(_, record)| record.group == *group);
            let (place, record) = own.nth(lacking)?;
            Some((Revision(place as u64 + 1), record.clone()))
        });
        Ok(found.await?)
    }

    async fn is_last(&self, group: &GroupKey, revision: Revision) -> Result<bool, LedgerError> {
        let is_last = self.request(|inner| inner.last.get(group) == Some(&revision));
        Ok(is_last.await?)
    }

    async fn read(&self, after: Revision, limit: usize) -> Result<Vec<Place>, LedgerError> {
        let read = self.request(|inner| {
            let records = (1..).zip(&inner.ledger);
            let later = records.filter(|(revision, _)| *revision > after.0);
            later
                .take(limit)
                .map(|(revision, record)| Place {
                    revision: Revision(revision),
                    record: Ok(record.clone()),
                })
                .collect()
        });
        Ok(read.await?)
    }

    async fn reach(&self) -> Result<Reach, Unavailable> {
        self.request(|inner| Reach {
            after: Revision(0),
            through: Revision(inner.ledger.len() as u64),
        })
        .await
    }

    async fn wait_beyond(&self, after: Revision) -> Result<(), Unavailable> {
        self.wait_until(|inner| inner.ledger.len() as u64 > after.0)
            .await
    }
}

#[async_trait]
impl Leases for Ports {
    async fn announce(&self, _role: Role) -> Result<(), Unavailable> {
        let me = self.me();
        self.request(|inner| inner.workers.insert(me, Instant::now() + TTL))
            .await?;
        Ok(())
    }

    async fn withdraw(&self, _role: Role) -> Result<(), Unavailable> {
        let me = self.me();
        self.request(|inner| inner.workers.remove(&me)).await?;
        Ok(())
    }

    async fn census(&self) -> Result<Census, Unavailable> {
        let me = self.me();
        self.request(|inner| {
            let now = Instant::now();
            let live = inner.workers.iter().filter(|(_, until)| **until > now);
            let held = inner.leases.iter().filter(|(_, held)| held.until > now);
            Census {
                me,
                workers: live.map(|(id, _)| id.clone()).collect(),
                holders: held
                    .map(|(one, held)| (*one, held.holder.clone()))
                    .collect(),
                ..Census::default()
            }
        })
        .await
    }

    async fn acquire(&self, partition: Partition) -> Result<Option<LeaseEnd>, Unavailable> {
        let me = self.me();
        let sent_at = Instant::now();
        let acquired = self.request(|inner| {
            let now = Instant::now();
            let is_free = inner
                .leases
                .get(&partition)
                .is_none_or(|held| held.until <= now || held.holder == me);
            if is_free {
                let until = now + TTL;
                inner.leases.insert(partition, Held { holder: me, until });
            }
            is_free
        });
        Ok(acquired.await?.then_some(Some(sent_at + TTL)))
    }

    async fn release(&self, partition: Partition) -> Result<(), Unavailable> {
        let me = self.me();
        self.request(|inner| {
            if inner
                .leases
                .get(&partition)
                .is_some_and(|held| held.holder == me)
            {
                inner.leases.remove(&partition);
            }
        })
        .await
    }

    fn ttl(&self) -> Option<Duration> {
        Some(TTL)
    }
}

#[async_trait]
impl Cursors for Ports {
    async fn load(&self, partition: Partition) -> Result<Cursor, Unavailable> {
        self.request(|inner| inner.cursors.get(&partition).cloned().unwrap_or_default())
            .await
    }

    async fn store(&self, partition: Partition, cursor: Cursor) -> Result<(), Unavailable> {
        self.request(|inner| inner.cursors.insert(partition, cursor))
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Registry for Ports {
    async fn create(&self, _receiver: Receiver) -> Result<Revision, RegistryError> {
        Err(nobody("changes receivers").into())
    }

    async fn update(&self, _receiver: Receiver) -> Result<Revision, RegistryError> {
        Err(nobody("changes receivers").into())
    }

    async fn delete(&self, _id: ReceiverId) -> Result<Revision, RegistryError> {
        Err(nobody("changes receivers").into())
    }

    async fn watch(&self) -> Result<BoxStream<'static, Change>, Unavailable> {
        let receivers = self.world.receivers.clone().into_iter();
        let stored = receivers.map(|receiver| Change::Stored {
            receiver,
            revision: Revision(0),
        });
        let complete = Change::Complete {
            revision: Revision(0),
        };
        let told = stored.chain([complete]);
        Ok(stream::iter(told).chain(stream::pending()).boxed())
    }
}

#[async_trait]
impl Questions for Ports {
    async fn ask(&self, _question: Question) -> Result<Answer, Unavailable> {
        Err(nobody("asks"))
    }

    async fn serve(&self, _answerer: Answerer) -> Result<Serving, Unavailable> {
        Err(nobody("serves"))
    }
}

fn entries(
    inner: &Inner,
    after: Sequence,
    limit: usize,
    is_wanted: impl Fn(&GroupKey) -> bool,
) -> Vec<Entry> {
    let later = inner
        .triggers
        .iter()
        .filter(|logged| logged.sequence > after);
    later
        .filter(|logged| is_wanted(&logged.trigger.group))
        .take(limit)
        .map(|logged| Entry::Trigger(logged.clone()))
        .collect()
}

fn nobody(what: &str) -> Unavailable {
    Unavailable::Down {
        what: "the simulation",
        reason: format!("nobody {what}"),
    }
}
