//! Fetches from another worker what the ledger does not reach back to. The pages must link: each to the hash of the entry
//! before, its signed heads to the hashes that they sign, and the last entries to the ledger's records. A worker that goes
//! away meanwhile is replaced by another one; whose entries do not fit is not asked again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::Place;
use stormhook_shared::domain::ids::Revision;
use stormhook_shared::ports::leases::WorkerId;
use stormhook_shared::ports::ledger::Ledger;
use stormhook_shared::ports::record::{EntriesPage, Position};

use super::keeper::{OutcomeLog, PART, Unreadable};
use super::peers::{NoPage, Peers};
use super::setback::Setback;
use super::store::{Meta, Store, StoreError};
use super::tail::Tail;
use super::{beginning, heads, import};

/// The pause between two looks at who is there.
const PAUSE: Duration = Duration::from_millis(500);

/// What came of a round over all others.
enum Round {
    /// The log has everything up to here.
    Whole(Revision),
    /// Somebody may have it, but cannot be asked now.
    Later(String),
    /// Of those that are there, nobody has it.
    Nobody,
}

/// What came of one worker's entries.
enum Copied {
    Whole(Revision),
    /// It does not answer any more.
    Silent(String),
    /// It does not have all of it.
    NotAll(String),
    /// They are not what the log goes on with.
    Unfit(String),
    /// They do not go on from the log's last entry, which came from the last worker before.
    Differs(String),
}

impl OutcomeLog {
    /// Completes a log that the ledger does not go on from. Returns up to where of the ledger it is complete then.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        peers: &mut Peers,
    ) -> Result<Revision, Setback> {
        self.not_ready(
            "the ledger does not reach back to where it ends, so another worker is looked for"
                .to_owned(),
        );
        let mut nobody_since = None;
        loop {
            match self.round(ledger, peers).await? {
                Round::Whole(applied) => return Ok(applied),
                Round::Later(reason) => {
                    nobody_since = None;
                    self.not_ready(reason);
                }
                Round::Nobody => {
                    let since = *nobody_since.get_or_insert_with(Instant::now);
                    let patience = peers.patience;
                    if since.elapsed() >= patience {
                        return self.do_without(ledger).await;
                    }
                    let refused = peers.refused();
                    self.not_ready(format!(
                        "no other worker has the older part, which is not in the ledger any more; the log leaves it out \
                         unless one comes within {patience:?}{refused}"
                    ));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn round(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        peers: &mut Peers,
    ) -> Result<Round, Setback> {
        let survey = match peers.survey().await {
            Ok(survey) => survey,
            Err(error) => {
                let reason = format!("which workers have the older part is not known: {error}");
                return Ok(Round::Later(reason));
            }
        };
        let mut silent = survey.silent;
        for head in survey.having {
            let worker = head.worker;
            if head.head.number < self.meta().await?.entries {
                continue;
            }
            match self.copy(ledger, peers, &worker).await? {
                Copied::Whole(applied) => {
                    peers.source = None;
                    return Ok(Round::Whole(applied));
                }
                Copied::Silent(reason) => {
                    tracing::warn!(worker, reason, "a worker stopped to send the record");
                    silent.insert(worker, reason);
                }
                Copied::NotAll(reason) => {
                    tracing::info!(worker, reason, "a worker does not have all of the record");
                }
                Copied::Unfit(reason) => {
                    peers.refuse(worker, &reason);
                    return self.discard(reason).await;
                }
                Copied::Differs(reason) => {
                    if let Some(source) = peers.source.take() {
                        peers.refuse(source, &reason);
                    }
                    return self.discard(reason).await;
                }
            }
        }
        Ok(match silent.pop_first() {
            Some((worker, reason)) => Round::Later(format!(
                "worker {worker} does not say what it has of the older part: {reason}"
            )),
            None => Round::Nobody,
        })
    }

    /// What was fetched so far is of no use: it is set aside, if there is something, and others are asked for all of it.
    async fn discard(self: &Arc<Self>, reason: String) -> Result<Round, Setback> {
        if self.meta().await?.entries > 0 {
            let message = format!("what was fetched of it does not fit: {reason}");
            return Err(Setback::Damaged(message));
        }
        Ok(Round::Later(reason))
    }

    /// Takes over what `worker` has after the last entry, page after page.
    async fn copy(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        peers: &mut Peers,
        worker: &WorkerId,
    ) -> Result<Copied, Setback> {
        let mut is_told = false;
        loop {
            let own = self.meta().await?;
            let after = (own.entries > 0).then_some(own.entries);
            let page = match peers.page(worker, after).await {
                Ok(page) => page,
                Err(NoPage::Silent(reason)) => return Ok(Copied::Silent(reason)),
                Err(NoPage::NotThere(reason)) => return Ok(Copied::NotAll(reason)),
            };
            if after.is_some() && page.after != own.last() {
                let reason = format!("workers have other hashes for entry {}", own.entries);
                return Ok(Copied::Differs(reason));
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!(
                    worker,
                    after = page.after.number,
                    through = page.through,
                    "fetching the older part of the record"
                );
            }
            let EntriesPage {
                after,
                through,
                position,
                entries,
            } = page;
            let last = after.number + entries.len() as u64;
            if entries.is_empty() && last < through {
                return Ok(Copied::Unfit(format!("its entry {} is missing", last + 1)));
            }
            peers.source = Some(worker.clone());
            if let Err(reason) = self.take(after, entries).await? {
                return Ok(Copied::Unfit(reason));
            }
            self.not_ready(format!(
                "fetched from worker {worker}: {last} of {through} entries"
            ));
            if last == through {
                let Some(position) = position else {
                    return Ok(Copied::NotAll("it is fetching them itself".to_owned()));
                };
                return self.join(ledger, position).await;
            }
        }
    }

    /// Adds the entries after `place`. What is wrong with them otherwise.
    async fn take(
        self: &Arc<Self>,
        place: Place,
        texts: Vec<String>,
    ) -> Result<Result<(), String>, Setback> {
        self.change(move |store| {
            let mut entries = Vec::with_capacity(texts.len());
            for (number, text) in (place.number + 1..).zip(&texts) {
                match import::parsed(text) {
                    Some(entry) => entries.push(entry),
                    None => {
                        let reason = format!("its entry {number} is not as this version writes it");
                        return Ok(Err(reason));
                    }
                }
            }
            store.take(place, &entries)?;
            Ok(heads::contradiction(store, &entries)?.map_or(Ok(()), Err))
        })
        .await
    }

    /// Has the log go on after `position` of the ledger, if its last entries are what the ledger says.
    async fn join(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        position: Position,
    ) -> Result<Copied, Setback> {
        let reach = ledger.reach().await;
        let reach = reach.map_err(|error| Setback::of_ledger(&error.into()))?;
        let applied = position.applied;
        if applied < reach.after {
            let reason = format!(
                "it ends at {applied} of the ledger, too, which begins after {}",
                reach.after
            );
            return Ok(Copied::NotAll(reason));
        }
        if applied > reach.through {
            let reason = format!(
                "it is at {applied} of the ledger, which ends at {}",
                reach.through
            );
            return Ok(Copied::Unfit(reason));
        }
        let expected = Tail::new(ledger).last_entries(reach.after, applied).await;
        let expected = expected.map_err(|error| Setback::of_ledger(&error))?;
        let joined = self.change(move |store| {
            if let Some(number) = differing(store, position, &expected)? {
                return Ok(Err(number));
            }
            store.go_on_after(position)?;
            store.flush()?;
            Ok(Ok(store.meta()))
        });
        Ok(match joined.await? {
            Ok(meta) => {
                tracing::info!(entries = meta.entries, head = %meta.head, %applied, "the older part of the record is there, and the ledger goes on from it");
                Copied::Whole(applied)
            }
            Err(number) => Copied::Unfit(format!("its entry {number} is not what the ledger says")),
        })
    }

    /// Has the log begin, or go on, where the ledger begins, and records that.
    async fn do_without(self: &Arc<Self>, ledger: &dyn Ledger) -> Result<Revision, Setback> {
        let last = self.meta().await?.last();
        let agreed = beginning::agree(ledger, last).await;
        let (after, entry) = agreed.map_err(|error| Setback::of_ledger(&error))?;
        self.change(move |store| store.leave_out(after, entry))
            .await?;
        tracing::error!(last = last.number, %after, "the older part of the record is gone: it is neither in the ledger nor has a worker that is running all of it; behind its last entry the outcome log goes on after this revision of the ledger, and an entry says so");
        Ok(after)
    }

    async fn meta(self: &Arc<Self>) -> Result<Meta, Setback> {
        let meta = self.read(|store| Ok(store.meta())).await;
        meta.map_err(|error| match error {
            Unreadable::Store(error) => error.into(),
            Unreadable::NotLevel => Setback::Disk(error.to_string()),
        })
    }

    fn not_ready(&self, reason: String) {
        self.readiness.report(PART, Err(reason));
    }
}

/// The first of the last entries before `position` that is not as `expected`, as far as they are kept.
fn differing(
    store: &Store,
    position: Position,
    expected: &[LogEntry],
) -> Result<Option<u64>, StoreError> {
    let meta = store.meta();
    let last = meta.entries.saturating_sub(position.beyond as u64);
    let mut entries = store.entries();
    for (offset, expected) in (0..).zip(expected.iter().rev()) {
        let Some(number) = last
            .checked_sub(offset)
            .filter(|number| *number > meta.base.number)
        else {
            break;
        };
        if entries.get(number)?.as_ref() != Some(expected) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}
