//! Pursues an action of several calls: looks at what is there and makes the call that is due, until the goal is there
//! or the deadline is over. Between two looks it waits for news of the platform, or for a while where there are none.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use stormhook_shared::decide::{HostSeen, Seen};
use stormhook_shared::domain::ledger::{Action, Plan};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::platform::{Need, News, Notes, PlatformError, Step};

use super::performance::{End, Interrupted, LONGEST_PAUSE, Performer, late, pauses};

/// The longest pause between two looks at what goes on by itself.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// The pause between two looks where the platform tells of changes: it may miss one.
const LOOK_IN_SPITE_OF_NEWS: Duration = Duration::from_secs(5);

/// How far a step brought an action.
enum Progressing {
    Ended(End),
    Underway(String),
}

impl Performer<'_> {
    /// Takes an action step by step to its end.
    pub(super) async fn pursue(&self, plan: &Plan, is_own: bool) -> Result<End, Interrupted> {
        let mut notes = self.notes(plan, !is_own);
        // From before the first look, so that nothing is missed after it.
        let mut news = self.platform.news(&plan.action);
        let mut looks = looks();
        let mut failures = pauses();
        let mut before = "nothing more was done".to_owned();
        loop {
            let (what, rest) = match self.step(plan, &mut notes).await {
                Ok(Progressing::Ended(end)) => return Ok(end),
                Ok(Progressing::Underway(what)) => {
                    failures.reset();
                    if what != before {
                        looks.reset();
                        before.clone_from(&what);
                    }
                    (what, None)
                }
                Err(PlatformError::LeaseEnds) => {
                    self.lease_prolonged().await?;
                    continue;
                }
                Err(PlatformError::DeadlineOver) => {
                    return Ok(late(plan, &before, notes.calls()));
                }
                Err(PlatformError::Refused { message }) => {
                    return Ok(End::Failed {
                        code: Code::PlatformRefused,
                        message,
                        attempts: notes.calls(),
                    });
                }
                Err(PlatformError::Transient {
                    message,
                    retry_after,
                    ..
                }) => {
                    let rest = failures.next_backoff().unwrap_or(LONGEST_PAUSE);
                    (message, Some(retry_after.unwrap_or_default().max(rest)))
                }
            };
            let left = plan.deadline.since(Timestamp::now());
            if left.is_zero() {
                return Ok(late(plan, &what, notes.calls()));
            }
            self.tell(&what);
            // After a failure the platform is left alone, whatever it tells.
            match rest {
                Some(rest) => self.rest(rest.min(left), None).await?,
                None => {
                    let own = looks.next_backoff().unwrap_or(LONGEST_LOOK);
                    let live = news.as_mut().filter(|news| news.is_live());
                    let rest = live.map_or(own, |_| LOOK_IN_SPITE_OF_NEWS);
                    self.rest(rest.min(left), news.as_mut()).await?;
                }
            }
        }
    }

    /// Waits for so long, or for news.
    async fn rest(
        &self,
        rest: Duration,
        news: Option<&mut Box<dyn News>>,
    ) -> Result<(), Interrupted> {
        let told = async {
            match news {
                Some(news) => news.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => Ok(()),
            () = told => Ok(()),
            () = self.stop.cancelled() => Err(Interrupted),
        }
    }

    async fn step(&self, plan: &Plan, notes: &mut Notes) -> Result<Progressing, PlatformError> {
        if notes.calls() == 0
            && let Some(reason) = self.changed_since(plan, notes.is_resumed).await?
        {
            return Ok(Progressing::Ended(if notes.is_resumed {
                End::Failed {
                    code: Code::Uncertain,
                    message: format!(
                        "{reason}: somebody changed the group meanwhile, and nobody can know what was done before that"
                    ),
                    attempts: 0,
                }
            } else {
                End::NotPerformed { reason }
            }));
        }
        let step = self.platform.pursue(&plan.action, notes).await?;
        let attempts = notes.calls();
        Ok(match step {
            Step::Underway { what } => Progressing::Underway(what),
            Step::Done => Progressing::Ended(End::Done { attempts }),
            Step::Overtaken { reason } => Progressing::Ended(End::NotPerformed {
                reason: format!("{}, but {reason}", plan.action),
            }),
            Step::Failed { code, message } => Progressing::Ended(End::Failed {
                code,
                message,
                attempts,
            }),
        })
    }

    /// What is not as it was when `plan` was decided, but for what the plan itself may have done, so that its bounds
    /// would not hold.
    async fn changed_since(
        &self,
        plan: &Plan,
        is_resumed: bool,
    ) -> Result<Option<String>, PlatformError> {
        if !matches!(plan.action, Action::ScaleHosts { .. }) {
            return Ok(None);
        }
        let Seen::Hosts(found) = self.platform.observe(self.group, Need::Everything).await? else {
            return Ok(Some(format!(
                "{}, but the group cannot be read any more",
                plan.action
            )));
        };
        let (least, most) = hosts_between(&plan.action, is_resumed, &found.hosts);
        let count = found.hosts.len();
        Ok((!(least..=most).contains(&count))
            .then(|| format!("{}, but it has {count} now", plan.action)))
    }
}

/// How many hosts the group can have, at least and at most, if nobody but `action` changed it since it was decided on,
/// where `found` are there now.
fn hosts_between(action: &Action, is_resumed: bool, found: &[HostSeen]) -> (usize, usize) {
    let Action::ScaleHosts {
        from,
        to,
        create,
        remove,
        activate,
        drain,
        pool,
    } = action
    else {
        return (0, usize::MAX);
    };
    let (from, to) = (*from as usize, *to as usize);
    if !is_resumed {
        return (from, from);
    }
    if pool.is_some() {
        // The platform makes and removes them by itself, one after the other.
        return (from.min(to), from.max(to));
    }
    let is_there = |id: &str| found.iter().any(|host| host.id == id);
    let created = create
        .iter()
        .filter(|new| found.iter().any(|host| host.is_called(&new.name)));
    let added = created.count() + activate.iter().filter(|host| is_there(&host.id)).count();
    let gone = [remove, drain]
        .into_iter()
        .flatten()
        .filter(|host| !is_there(&host.id))
        .count();
    let expected = (from + added).saturating_sub(gone);
    (expected, expected)
}

/// The pauses between two looks at what goes on by itself.
fn looks() -> ExponentialBackoff {
    ExponentialBackoff {
        max_interval: LONGEST_LOOK,
        ..pauses()
    }
}
