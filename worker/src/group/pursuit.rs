//! Pursues an action of several calls: looks at what is there and makes the call that is due, until the goal is there
//! or the deadline is over. Between two looks it waits for news of the platform, or for a while where there are none.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use stormhook_shared::decide::{HostSeen, Seen};
use stormhook_shared::domain::ledger::{Action, HostRef, NewHost, Plan};
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::platform::{Need, News, Notes, PlatformError, Step};

use super::performance::{End, Interrupted, LONGEST_PAUSE, Performer, UNTRIED, late, pauses};

/// The longest pause between two looks at what goes on by itself.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// The pause between two looks where the platform tells of changes: it may miss one.
const LOOK_IN_SPITE_OF_NEWS: Duration = Duration::from_secs(5);

/// A resumed plan was seen to be as it was left.
const RESUMED: &str = "resumed";

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
        let mut before = UNTRIED.to_owned();
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
                    let is_unseen = notes.is_resumed && notes.calls() == 0;
                    return Ok(End::Otherwise {
                        code: if is_unseen {
                            Code::Uncertain
                        } else {
                            Code::PlatformRefused
                        },
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
        let is_due = notes.calls() == 0 && !notes.has_begun(RESUMED);
        if is_due && let Some(reason) = self.changed_since(plan, notes.is_resumed).await? {
            return Ok(Progressing::Ended(if notes.is_resumed {
                End::Otherwise {
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
        if notes.is_resumed {
            notes.begin(RESUMED);
        }
        let step = self.platform.pursue(&plan.action, notes).await?;
        let attempts = notes.calls();
        Ok(match step {
            Step::Underway { what } => Progressing::Underway(what),
            Step::Done => Progressing::Ended(End::Done { attempts }),
            Step::Overtaken { reason } => Progressing::Ended(End::NotPerformed {
                reason: format!("{}, but {reason}", plan.action),
            }),
            Step::Failed { code, message } => Progressing::Ended(End::Otherwise {
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
        match &plan.action {
            // A pool on its way to another size cannot be read; its own size is looked at with each step.
            Action::ScaleHosts { pool: Some(_), .. } if is_resumed => return Ok(None),
            Action::ScaleHosts { .. } => {}
            _ => return Ok(None),
        }
        let Seen::Hosts(found) = self.platform.observe(self.group, Need::Everything).await? else {
            return Ok(Some(format!(
                "{}, but the group cannot be read any more",
                plan.action
            )));
        };
        let count = found.hosts.len();
        let is_as_planned = is_as_planned(&plan.action, is_resumed, &found.hosts);
        Ok((!is_as_planned).then(|| format!("{}, but it has {count} now", plan.action)))
    }
}

/// Whether nobody but `action` changed the group since it was decided on, where `found` are there now.
fn is_as_planned(action: &Action, is_resumed: bool, found: &[HostSeen]) -> bool {
    let Action::ScaleHosts {
        from,
        create,
        remove,
        activate,
        drain,
        ..
    } = action
    else {
        return true;
    };
    let (from, count) = (*from as usize, found.len());
    if !is_resumed {
        return count == from;
    }
    let is_there = |host: &&HostRef| found.iter().any(|one| one.id == host.id);
    let is_made = |new: &&NewHost| found.iter().any(|host| host.is_called(&new.name));
    let added = create.iter().filter(is_made).count() + activate.iter().filter(is_there).count();
    let leaving = || remove.iter().chain(drain);
    let left = leaving().filter(is_there).count();
    let gone = leaving().count() - left;
    let is_done = added == create.len() + activate.len() && left == 0;
    is_done || count == (from + added).saturating_sub(gone)
}

/// The pauses between two looks at what goes on by itself.
fn looks() -> ExponentialBackoff {
    ExponentialBackoff {
        max_interval: LONGEST_LOOK,
        ..pauses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<HostSeen> {
        let host = |name: &&str| HostSeen {
            id: format!("id of {name}"),
            name: (*name).to_owned(),
            created_at: Timestamp::from_millis(0),
            is_working: true,
            is_cloneable: true,
            is_manager: false,
        };
        names.iter().map(host).collect()
    }

    fn refs(names: &[&str]) -> Vec<HostRef> {
        let host = |name: &&str| HostRef {
            id: format!("id of {name}"),
            name: (*name).to_owned(),
        };
        names.iter().map(host).collect()
    }

    fn action(from: u32, to: u32, create: &[&str], remove: &[&str]) -> Action {
        let new = |name: &&str| NewHost {
            name: (*name).to_owned(),
            base: "id of web1".to_owned(),
        };
        Action::ScaleHosts {
            from,
            to,
            create: create.iter().map(new).collect(),
            remove: refs(remove),
            activate: Vec::new(),
            drain: Vec::new(),
            pool: None,
        }
    }

    #[test]
    fn what_a_resumed_action_may_have_done_is_told_from_what_others_did() {
        let adding = action(2, 4, &["web3", "web4"], &[]);
        let removing = action(4, 2, &[], &["web1", "web2"]);
        for (action, there, is_own) in [
            (&adding, &["web1", "web2"][..], true),
            (&adding, &["web1", "web2", "web3.example.org"], true),
            (&adding, &["web1", "web2", "web3", "web4"], true),
            (&adding, &["web1"], false),
            (&adding, &["web1", "web2", "web9"], false),
            (&adding, &["web1", "web3"], false),
            (&removing, &["web1", "web2", "web3", "web4"], true),
            (&removing, &["web2", "web3", "web4"], true),
            (&removing, &["web3", "web4"], true),
            (&removing, &["web1", "web2"], false),
            (&removing, &["web1", "web2", "web3"], false),
            // Everything is done, and what others do now is not its business.
            (&adding, &["web1", "web2", "web3", "web4", "web9"], true),
            (&removing, &["web3"], true),
            (&removing, &["web1", "web2", "web3", "web4", "web5"], false),
        ] {
            let is_told = is_as_planned(action, true, &found(there));
            assert_eq!(is_told, is_own, "{action}: {there:?}");
        }
    }

    #[test]
    fn before_its_first_call_an_action_finds_what_it_was_decided_from() {
        let adding = action(1, 2, &["web2"], &[]);
        assert!(is_as_planned(&adding, false, &found(&["web1"])));
        assert!(!is_as_planned(&adding, false, &found(&["web1", "web2"])));
    }
}
