//! Pursues an action of several calls: looks at what is there and makes the call that is due, until the goal is there
//! or the deadline is over. Between two looks it waits for news of the platform, or for a while where there are none.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use stormhook_shared::decide::Seen;
use stormhook_shared::domain::ledger::{Action, Plan};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::platform::{Need, News, Notes, PlatformError, Step};

use super::performance::{End, Interrupted, LONGEST_PAUSE, Performer, pauses};

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
        let mut notes = Notes::new(self.lease.clone(), plan.decided_at, !is_own);
        // From before the first look, so that nothing is missed after it.
        let mut news = self.platform.news(&plan.action);
        let mut looks = looks();
        let mut failures = pauses();
        let mut before = String::new();
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
                return Ok(End::Failed {
                    code: Code::DeadlineExceeded,
                    message: format!("{}, but gave up at the deadline: {what}", plan.action),
                    attempts: notes.calls(),
                });
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
            && !notes.is_resumed
            && let Some(reason) = self.changed_since(plan).await?
        {
            return Ok(Progressing::Ended(End::NotPerformed { reason }));
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

    /// What is not as it was when `plan` was decided, so that its bounds would not hold.
    async fn changed_since(&self, plan: &Plan) -> Result<Option<String>, PlatformError> {
        let Action::ScaleHosts { from, .. } = &plan.action else {
            return Ok(None);
        };
        let Seen::Hosts(found) = self.platform.observe(self.group, Need::Everything).await? else {
            return Ok(Some("the group cannot be read any more".to_owned()));
        };
        let count = found.hosts.len();
        let is_same = u32::try_from(count) == Ok(*from);
        Ok((!is_same).then(|| format!("{}, but it has {count} now", plan.action)))
    }
}

/// The pauses between two looks at what goes on by itself.
fn looks() -> ExponentialBackoff {
    ExponentialBackoff {
        max_interval: LONGEST_LOOK,
        ..pauses()
    }
}
