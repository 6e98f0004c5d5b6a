//! Tails the ledger into the log. Where the ledger does not reach back to the log's end any more, the part in between is
//! fetched from another worker first (`fetch`).

use std::sync::Arc;

use stormhook_shared::domain::ids::Revision;
use stormhook_shared::ports::ledger::Ledger;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::keeper::{DISK_PAUSE, OutcomeLog, PART};
use super::peers::Peers;
use super::setback::Setback;
use super::tail::{Page, Tail};

/// How many pages are read before they are written.
const READ_AHEAD: usize = 2;

/// How the ledger goes on where a log ends.
enum Joint {
    /// With the next record.
    Fits,
    /// Its records from there on are gone.
    IsGone,
}

/// What was read of the ledger.
enum Read {
    /// Something.
    Page(Page),
    /// There is no more at present.
    End,
}

/// Why the log is not followed any more.
enum Followed {
    /// It was stopped.
    Stopped,
    /// The ledger dropped records that are not in the log, which has everything up to this one.
    Lost(Revision),
}

impl OutcomeLog {
    /// Opens the log and keeps it level with `ledger` until `stop`.
    pub(super) async fn open_and_follow(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        peers: &mut Peers,
        stop: &CancellationToken,
    ) -> Result<(), Setback> {
        let (meta, verification) = self.open().await?;
        let whole = (!meta.is_unfinished()).then_some(meta.applied);
        tokio::select! {
            followed = self.fetch_and_follow(ledger, peers, whole, stop) => followed,
            damage = self.verify_rest(verification) => Err(damage),
            () = self.rebuild.notified() => Err(Setback::Damaged("an operator asked for it".to_owned())),
        }
    }

    /// Follows a log that has everything up to `whole` of the ledger; `None`: a part of it is still to be fetched.
    async fn fetch_and_follow(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        peers: &mut Peers,
        mut whole: Option<Revision>,
        stop: &CancellationToken,
    ) -> Result<(), Setback> {
        loop {
            let fits = match whole {
                Some(applied) => matches!(joint(ledger, applied).await?, Joint::Fits),
                None => false,
            };
            let applied = match whole {
                Some(applied) if fits => applied,
                _ => {
                    self.is_level.send_replace(false);
                    tokio::select! {
                        fetched = self.fetch(ledger, peers) => fetched?,
                        () = stop.cancelled() => return Ok(()),
                    }
                }
            };
            self.readiness.report(PART, Ok(()));
            match self.follow(ledger, applied, stop).await? {
                Followed::Stopped => return Ok(()),
                Followed::Lost(applied) => whole = Some(applied),
            }
        }
    }

    /// Reads and writes at the same time: what comes next is read while the last page is written.
    async fn follow(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        applied: Revision,
        stop: &CancellationToken,
    ) -> Result<Followed, Setback> {
        let (pages, read) = mpsc::channel(READ_AHEAD);
        tokio::select! {
            written = self.write(ledger, applied, read) => written,
            () = read_pages(ledger, applied, pages) => Ok(Followed::Stopped),
            () = stop.cancelled() => Ok(Followed::Stopped),
        }
    }

    async fn write(
        self: &Arc<Self>,
        ledger: &dyn Ledger,
        mut applied: Revision,
        mut read: mpsc::Receiver<Read>,
    ) -> Result<Followed, Setback> {
        while let Some(read) = read.recv().await {
            let Read::Page(Page {
                first,
                through,
                entries,
            }) = read
            else {
                self.is_level.send_replace(true);
                continue;
            };
            let is_gap = first.0 > applied.0 + 1;
            if is_gap && matches!(joint(ledger, applied).await?, Joint::IsGone) {
                return Ok(Followed::Lost(applied));
            }
            self.append(through, entries).await?;
            applied = through;
        }
        Ok(Followed::Stopped)
    }
}

/// Reads what the ledger has after `applied`, and what comes, until nobody takes the `pages` any more.
async fn read_pages(ledger: &dyn Ledger, mut applied: Revision, pages: mpsc::Sender<Read>) {
    let mut tail = Tail::new(ledger);
    loop {
        let read = match tail.read_after(applied).await {
            Ok(page) if page.through > applied => {
                applied = page.through;
                Read::Page(page)
            }
            Ok(_) => Read::End,
            Err(error) => {
                tracing::warn!(%error, "cannot tail the ledger, trying again");
                tokio::time::sleep(DISK_PAUSE).await;
                continue;
            }
        };
        let is_end = matches!(read, Read::End);
        if pages.send(read).await.is_err() {
            return;
        }
        if is_end && let Err(error) = ledger.wait_beyond(applied).await {
            tracing::warn!(%error, "cannot wait for the ledger, trying again");
            tokio::time::sleep(DISK_PAUSE).await;
        }
    }
}

/// How `ledger` goes on where a log ends that has everything up to `applied`.
async fn joint(ledger: &dyn Ledger, applied: Revision) -> Result<Joint, Setback> {
    let reach = ledger.reach().await;
    let reach = reach.map_err(|error| Setback::of_ledger(&error.into()))?;
    if applied > reach.through {
        let message = format!(
            "it is at {applied} of the ledger, which ends at {}",
            reach.through
        );
        return Err(Setback::Damaged(message));
    }
    Ok(if applied < reach.after {
        Joint::IsGone
    } else {
        Joint::Fits
    })
}
