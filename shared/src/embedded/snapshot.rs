//! A copy of the database as it is at one moment, made while it is written to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Key, ReadTransaction, ReadableTable, TableDefinition, Value, WriteTransaction};

use super::Shared;
use super::tables;
use crate::ports::Unavailable;

/// Copies the database.
#[derive(Clone)]
pub struct Snapshots(pub(super) Arc<Shared>);

impl Snapshots {
    /// Writes a copy to a new file at `path`.
    pub async fn write(&self, path: &Path) -> Result<(), Unavailable> {
        let path: PathBuf = path.to_owned();
        self.0.database.read(move |from| copy(from, &path)).await
    }
}

fn copy(from: &ReadTransaction, path: &Path) -> Result<(), redb::Error> {
    let copy = redb::Database::create(path)?;
    let to = copy.begin_write()?;
    table(from, &to, tables::TRIGGERS)?;
    table(from, &to, tables::TRIGGER_IDS)?;
    table(from, &to, tables::LEDGER)?;
    table(from, &to, tables::LEDGER_LAST)?;
    table(from, &to, tables::RECEIVERS)?;
    table(from, &to, tables::RECEIVER_NAMES)?;
    table(from, &to, tables::CURSORS)?;
    table(from, &to, tables::NUMBERS)?;
    to.commit()?;
    Ok(())
}

fn table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    let mut copy = to.open_table(definition)?;
    for item in from.open_table(definition)?.iter()? {
        let (key, value) = item?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Embedded, EmbeddedOptions};
    use crate::domain::group::GroupKey;
    use crate::domain::ids::Revision;
    use crate::domain::ledger::{Entry, Record};

    #[tokio::test]
    async fn a_copy_has_everything_and_is_a_database_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            Embedded::open(&folder.path().join(name), EmbeddedOptions::default()).unwrap()
        };
        let original = open("original");
        let group = GroupKey::named("service/1a5/1s5");
        let record = |plan| {
            let entry = Entry::Abandoned {
                plan: Revision(plan),
                reason: "a test".to_owned(),
            };
            Record::apart(group.clone(), entry)
        };
        let ledger = original.backbone().ledger;
        let first = ledger.append(record(1), Revision(0)).await.unwrap();
        original
            .snapshots()
            .write(&folder.path().join("copy"))
            .await
            .unwrap();
        ledger.append(record(2), first).await.unwrap();
        drop(ledger);
        original.close().await;
        let copy = open("copy");
        let ledger = copy.backbone().ledger;
        assert_eq!(ledger.reach().await.unwrap().through, first);
        assert_eq!(ledger.last(&group).await.unwrap(), Some((first, record(1))));
        drop(ledger);
        copy.close().await;
    }
}
