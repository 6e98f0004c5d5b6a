//! Compares signed heads, as they come in, with the log that they are recorded in.

use stormhook_shared::audit::entry::LogEntry;

use super::store::{Store, StoreError};

/// What is wrong with a signed head among `entries`, which are the last of the log: it signs another hash than the log has
/// there, or an entry that the log does not have. Heads of entries that were dropped are not compared.
pub(super) fn contradiction(
    store: &Store,
    entries: &[LogEntry],
) -> Result<Option<String>, StoreError> {
    let meta = store.meta();
    for entry in entries {
        let LogEntry::Signed { head } = entry else {
            continue;
        };
        if let Err(error) = head.verify() {
            return Ok(Some(error.to_string()));
        }
        let signed = format!(
            "at {} key {} signed the hash {} for entry {}",
            head.at, head.public_key, head.hash, head.number
        );
        match store.place(head.number)? {
            Some(place) if place.hash == head.hash => {}
            Some(place) => return Ok(Some(format!("{signed}, which has {} here", place.hash))),
            None if head.number < meta.base.number => {}
            None => return Ok(Some(format!("{signed}, which is not here"))),
        }
    }
    Ok(None)
}
