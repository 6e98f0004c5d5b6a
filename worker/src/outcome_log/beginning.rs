//! Where a log begins, or goes on, when the part before that is gone everywhere. The ledger records it, so that workers that
//! do so at different times have equal chains.

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::Place;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::Revision;
use stormhook_shared::domain::ledger::{Entry, Record};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::ledger::{Ledger, LedgerError};

/// How often the place is recorded again when another worker came before.
const TRIES: usize = 5;

/// The last record of the ledger that is gone, and the entry that says so, for a log whose last place is `last`.
pub(super) async fn agree(
    ledger: &dyn Ledger,
    last: Place,
) -> Result<(Revision, LogEntry), LedgerError> {
    let group = GroupKey::beginnings();
    let mut tries = 0;
    loop {
        let reach = ledger.reach().await?;
        let recorded = ledger.last(&group).await?;
        if let Some((_, record)) = &recorded
            && let Entry::Began {
                after,
                last: place,
                at,
            } = record.entry
            && after >= reach.after
            && place == last
        {
            return Ok((after, LogEntry::Began { after, at }));
        }
        let (after, at) = (reach.after, Timestamp::now());
        let record = Record::apart(group.clone(), Entry::Began { after, last, at });
        let expected = recorded.map_or(Revision(0), |(revision, _)| revision);
        tries += 1;
        match ledger.append(record, expected).await {
            Ok(_) => return Ok((after, LogEntry::Began { after, at })),
            Err(LedgerError::Conflict { .. }) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}
