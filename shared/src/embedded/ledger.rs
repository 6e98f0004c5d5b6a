//! The ledger's tables.

use std::sync::Arc;

use async_trait::async_trait;
use redb::ReadableTable;

use super::Shared;
use super::database::down;
use super::tables::{LEDGER, LEDGER_LAST};
use crate::domain::group::GroupKey;
use crate::domain::ids::Revision;
use crate::domain::ledger::Record;
use crate::ports::Unavailable;
use crate::ports::ledger::{Ledger, LedgerError, Place, Reach};

pub(super) struct EmbeddedLedger(pub(super) Arc<Shared>);

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn append(&self, record: Record, expected: Revision) -> Result<Revision, LedgerError> {
        let bytes = serde_json::to_vec(&record).map_err(down)?;
        let group = record.group;
        self.0
            .writer
            .write(&self.0.options, move |batch| {
                let last = batch.ledger_last.get(group.as_str())?;
                let found = Revision(last.map_or(0, |last| last.value()));
                if found != expected {
                    return Ok(Err(LedgerError::Conflict {
                        group,
                        expected,
                        found,
                    }));
                }
                batch.counters.revision += 1;
                let revision = batch.counters.revision;
                batch.ledger.insert(revision, bytes.as_slice())?;
                batch.ledger_last.insert(group.as_str(), revision)?;
                Ok(Ok(Revision(revision)))
            })
            .await
    }

    async fn last(&self, group: &GroupKey) -> Result<Option<(Revision, Record)>, LedgerError> {
        let group = group.clone();
        let found = self
            .0
            .database
            .read(move |transaction| {
                let last = transaction.open_table(LEDGER_LAST)?;
                let Some(revision) = last.get(group.as_str())?.map(|last| last.value()) else {
                    return Ok(None);
                };
                let ledger = transaction.open_table(LEDGER)?;
                let record = ledger.get(revision)?;
                Ok(record.map(|record| Place::decode(Revision(revision), record.value())))
            })
            .await?;
        match found.map(|place| (place.revision, place.record)) {
            None => Ok(None),
            Some((revision, Ok(record))) => Ok(Some((revision, record))),
            Some((revision, Err(reason))) => Err(LedgerError::Unavailable(down(format!(
                "its record {revision} cannot be read: {reason}"
            )))),
        }
    }

    async fn read(&self, after: Revision, limit: usize) -> Result<Vec<Place>, LedgerError> {
        let places = self
            .0
            .database
            .read(move |transaction| {
                let ledger = transaction.open_table(LEDGER)?;
                let mut places = Vec::new();
                for item in ledger.range(after.0.saturating_add(1)..)?.take(limit) {
                    let (revision, record) = item?;
                    places.push(Place::decode(Revision(revision.value()), record.value()));
                }
                Ok(places)
            })
            .await?;
        Ok(places)
    }

    async fn reach(&self) -> Result<Reach, Unavailable> {
        let through = *self.0.writer.revision.borrow();
        Ok(Reach {
            after: Revision(0),
            through,
        })
    }

    async fn wait_beyond(&self, after: Revision) -> Result<(), Unavailable> {
        let mut revision = self.0.writer.revision.clone();
        revision
            .wait_for(|last| *last > after)
            .await
            .map(|_| ())
            .map_err(|_| down("it is closed"))
    }
}
