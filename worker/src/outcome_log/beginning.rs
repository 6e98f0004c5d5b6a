//! Where a log begins whose older part is gone everywhere. The ledger records it, so that workers that begin at different
//! times begin at the same place, and their chains are equal.

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::Revision;
use stormhook_shared::domain::ledger::{Entry, Record};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::ledger::{Ledger, LedgerError};

/// How often the place is recorded again when another worker came before.
const TRIES: usize = 5;

/// The last record of the ledger that is gone, and the log's first entry, which says so.
pub(super) async fn agree(ledger: &dyn Ledger) -> Result<(Revision, LogEntry), LedgerError> {
    let group = GroupKey::beginnings();
    let mut tries = 0;
    loop {
        let reach = ledger.reach().await?;
        let last = ledger.last(&group).await?;
        if let Some((_, record)) = &last
            && let Entry::Began { after, at } = record.entry
            && after >= reach.after
        {
            return Ok((after, LogEntry::Began { after, at }));
        }
        let (after, at) = (reach.after, Timestamp::now());
        let record = Record::apart(group.clone(), Entry::Began { after, at });
        let expected = last.map_or(Revision(0), |(revision, _)| revision);
        tries += 1;
        match ledger.append(record, expected).await {
            Ok(_) => return Ok((after, LogEntry::Began { after, at })),
            Err(LedgerError::Conflict { .. }) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}
