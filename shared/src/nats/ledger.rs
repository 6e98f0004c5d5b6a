//! The ledger: stream `STORMHOOK_LEDGER`, a subject a group, with the server's check of a subject's last sequence as
//! the compare-and-swap.

use async_nats::HeaderMap;
use async_trait::async_trait;

use super::stream::{ALL, PublishError, Stored, Stream, down};
use crate::domain::group::{GroupKey, Partitions};
use crate::domain::ids::Revision;
use crate::domain::ledger::Record;
use crate::ports::Unavailable;
use crate::ports::ledger::{Ledger, LedgerError, Place, Reach};

/// How many records of a group are read at once in search of one that can be read.
const PAGE: usize = 1_000;

pub(super) struct NatsLedger {
    pub(super) stream: Stream,
    pub(super) partitions: Partitions,
}

#[async_trait]
impl Ledger for NatsLedger {
    async fn append(&self, record: Record, expected: Revision) -> Result<Revision, LedgerError> {
        let payload = serde_json::to_vec(&record).map_err(down)?;
        let subject = self.subject(&record.group);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        let published = self
            .stream
            .publish(subject.clone(), headers, payload.into())
            .await;
        match published {
            Ok(ack) => Ok(Revision(ack.sequence)),
            Err(PublishError::Unavailable(error)) => Err(error.into()),
            Err(PublishError::WrongLastSequence) => {
                let found = self.stream.last(&subject).await?;
                Err(LedgerError::Conflict {
                    group: record.group,
                    expected,
                    found: Revision(found.map_or(0, |found| found.sequence)),
                })
            }
        }
    }

    async fn last(&self, group: &GroupKey) -> Result<Option<(Revision, Record)>, LedgerError> {
        let subject = self.subject(group);
        let Some(last) = self.stream.last(&subject).await? else {
            return Ok(None);
        };
        let place = place(&last);
        match place.record {
            Ok(record) => Ok(Some((place.revision, record))),
            Err(reason) => {
                let revision = place.revision;
                tracing::error!(%group, %revision, reason, "undecodable record in the ledger, passed over");
                let before = self.last_decodable(&subject, revision).await?;
                Ok(before.map(|record| (revision, record)))
            }
        }
    }

    async fn is_last(&self, group: &GroupKey, revision: Revision) -> Result<bool, LedgerError> {
        let last = self.stream.leaders_last(&self.subject(group)).await?;
        Ok(last == Some(revision.0))
    }

    async fn read(&self, after: Revision, limit: usize) -> Result<Vec<Place>, LedgerError> {
        let messages = self.stream.read(ALL, after.0, limit).await?;
        Ok(messages.iter().map(place).collect())
    }

    async fn reach(&self) -> Result<Reach, Unavailable> {
        let range = self.stream.range().await?;
        Ok(Reach {
            after: Revision(range.first.saturating_sub(1)),
            through: Revision(range.last),
        })
    }

    async fn wait_beyond(&self, after: Revision) -> Result<(), Unavailable> {
        self.stream.next(ALL, 0, after.0, 1).await.map(|_| ())
    }
}

impl NatsLedger {
    fn subject(&self, group: &GroupKey) -> String {
        let hash = group.hash();
        let partition = self.partitions.of(hash);
        format!("stormhook.ledger.{partition}.{:016x}", hash.0)
    }

    /// The last record of a group that can be read, before `before`.
    async fn last_decodable(
        &self,
        subject: &str,
        before: Revision,
    ) -> Result<Option<Record>, Unavailable> {
        let mut after = 0;
        let mut found = None;
        loop {
            let messages = self.stream.read(subject, after, PAGE).await?;
            let Some(last) = messages.last() else {
                return Ok(found);
            };
            after = last.sequence;
            for message in messages {
                let place = place(&message);
                if place.revision < before
                    && let Ok(record) = place.record
                {
                    found = Some(record);
                }
            }
        }
    }
}

fn place(message: &Stored) -> Place {
    Place::decode(Revision(message.sequence), &message.payload)
}
