//! Hands an upgrade out: each service gets a trigger of its own, in its own group, and the upgrade is over when all of
//! these have their outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{Sequence, TriggerId};
use stormhook_shared::domain::kind::Target;
use stormhook_shared::domain::ledger::{Child, Plan};
use stormhook_shared::domain::outcome::{CalledReceiver, Code, Outcome, Status, Verdict};
use stormhook_shared::domain::push::{Notice, Push};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::{Source, Trigger};

use super::performance::{End, Interrupted, Performer, pause, pauses};
use crate::unsettled;

/// How long one look for an outcome takes at most.
const LOOK: Duration = Duration::from_secs(5);
/// How many failed services a sentence tells of.
const MOST_TOLD: usize = 5;

impl Performer<'_> {
    /// Appends a trigger for each service, unless it is there already, and waits for all outcomes.
    pub(super) async fn hand_out(
        &self,
        plan: &Plan,
        push: &Push,
        services: &[Child],
    ) -> Result<End, Interrupted> {
        let parent = plan.drafts.last().map(|draft| &draft.trigger);
        let Some((parent, receiver)) =
            parent.and_then(|parent| Some((parent, parent.receiver.as_ref()?)))
        else {
            return Ok(End::Otherwise {
                code: Code::Uncertain,
                message: "the plan has no trigger".to_owned(),
                attempts: 0,
            });
        };
        let mut waiting = Vec::new();
        for child in services {
            let trigger = self.child(parent.id, parent.sequence, receiver, push, child);
            waiting.push((child, self.append(trigger).await?));
        }
        self.tell(&format!("the upgrades of {} services", services.len()));
        let mut verdicts = Vec::new();
        for (child, sequence) in waiting {
            verdicts.push((&child.name, self.outcome(sequence).await?.verdict));
        }
        let attempts = 1;
        Ok(match summary(push, &verdicts) {
            None => End::Done { attempts },
            Some(Verdict { code, message, .. }) => End::Otherwise {
                code,
                message,
                attempts,
            },
        })
    }

    fn child(
        &self,
        parent: TriggerId,
        parent_sequence: Sequence,
        receiver: &CalledReceiver,
        push: &Push,
        child: &Child,
    ) -> Trigger {
        Trigger {
            id: child.trigger,
            receiver_id: receiver.id,
            receiver_name: receiver.name.clone(),
            driver: receiver.driver,
            project: receiver.project.clone(),
            group: GroupKey::of(
                &receiver.project,
                &Target::Service(child.service_id.clone()),
            ),
            accepted_at: Timestamp::now(),
            source: Source {
                address: None,
                user_agent: None,
            },
            idempotency_key: Some(TriggerId::child_key(parent, &child.service_id)),
            replay_of: None,
            ignores_cooldown: false,
            parent_id: Some(parent),
            parent_sequence: Some(parent_sequence),
            notice: Some(Notice::Pushed(vec![push.clone()])),
            query: None,
            registry_revision: self.context.directory.revision(),
            headers: BTreeMap::new(),
            content_type: None,
            body: Vec::new(),
        }
    }

    /// The place of `trigger` in the log, where it stands already if this plan was taken up before.
    async fn append(&self, trigger: Trigger) -> Result<Sequence, Interrupted> {
        let log = &self.context.backbone.triggers;
        let mut pauses = pauses();
        loop {
            let appended: Result<Sequence, String> = match self.place(&trigger).await {
                Ok(Some(sequence)) => Ok(sequence),
                Ok(None) => match log.append(trigger.clone()).await {
                    Ok(appended) => Ok(appended.sequence),
                    Err(error) => Err(error.to_string()),
                },
                Err(error) => Err(error),
            };
            match appended {
                Ok(sequence) => return Ok(sequence),
                Err(error) => {
                    tracing::warn!(group = %self.group, %error, "cannot append a part of an upgrade, trying again");
                    pause(&mut pauses, None, self.stop).await?;
                }
            }
        }
    }

    /// Where `trigger` stands, if it was appended before.
    async fn place(&self, trigger: &Trigger) -> Result<Option<Sequence>, String> {
        let id = trigger.id;
        let waiting = unsettled::find_of_group(&self.context.backbone, &trigger.group, id)
            .await
            .map_err(|error| error.to_string())?;
        if let Some(logged) = waiting {
            return Ok(Some(logged.sequence));
        }
        let settled = self.context.log.read(move |store| store.settled_by_id(id));
        match settled.await.map_err(|error| error.to_string())? {
            Some(LogEntry::Settled { outcome, .. }) => Ok(Some(outcome.trigger.sequence)),
            _ => Ok(None),
        }
    }

    async fn outcome(&self, sequence: Sequence) -> Result<Outcome, Interrupted> {
        let log = &self.context.log;
        let mut pauses = pauses();
        loop {
            let settled = tokio::select! {
                settled = log.settled(sequence, LOOK) => settled,
                () = self.stop.cancelled() => return Err(Interrupted),
            };
            if !settled {
                continue;
            }
            match log.read(move |store| store.settled(sequence)).await {
                Ok(Some(LogEntry::Settled { outcome, .. })) => return Ok(outcome),
                // It was set aside just now, and comes again.
                Ok(_) | Err(_) => pause(&mut pauses, None, self.stop).await?,
            }
        }
    }
}

/// What became of an upgrade whose services came to these verdicts; `None` if all were upgraded.
fn summary(push: &Push, verdicts: &[(&String, Verdict)]) -> Option<Verdict> {
    let all = verdicts.len();
    let of = |is_meant: fn(&Verdict) -> bool| -> Vec<_> {
        let meant = verdicts.iter().filter(|(_, verdict)| is_meant(verdict));
        meant.collect()
    };
    let failed = of(|verdict| !is_done(verdict) && !is_skipped(verdict));
    let skipped = of(is_skipped);
    if !failed.is_empty() {
        let (count, told) = (failed.len(), told(&failed));
        let message = format!("{count} of {all} upgrades to {push} failed: {told}");
        return Some(Verdict::new(Code::UpgradeFailed, message));
    }
    let (_, first) = skipped.first()?;
    let (count, told) = (skipped.len(), told(&skipped));
    Some(if count == all {
        let message = format!("none of {all} services was upgraded to {push}: {told}");
        Verdict::new(first.code, message)
    } else {
        let done = all - count;
        let message = format!("upgraded {done} of {all} services to {push}; {told}");
        Verdict::new(Code::Upgraded, message)
    })
}

/// A part that was taken before is not skipped.
fn is_done(verdict: &Verdict) -> bool {
    verdict.code.status() == Status::Succeeded || verdict.code == Code::Duplicate
}

fn is_skipped(verdict: &Verdict) -> bool {
    verdict.code.status() == Status::Skipped && !is_done(verdict)
}

fn told(verdicts: &[&(&String, Verdict)]) -> String {
    let told = verdicts
        .iter()
        .take(MOST_TOLD)
        .map(|(name, verdict)| format!("{name}: {}", verdict.message));
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_tells_what_became_of_each_service() {
        let push = Push {
            image: "example/web".to_owned(),
            tag: "v2".to_owned().try_into().unwrap(),
            digest: None,
        };
        let (web, api) = ("web".to_owned(), "api".to_owned());
        let summary = |one: Code, other: Code| {
            let verdicts = [
                (&web, Verdict::new(one, "first".to_owned())),
                (&api, Verdict::new(other, "second".to_owned())),
            ];
            summary(&push, &verdicts).map(|verdict| (verdict.code, verdict.message))
        };
        assert_eq!(summary(Code::Upgraded, Code::Upgraded), None);
        assert_eq!(summary(Code::Upgraded, Code::Duplicate), None);
        for (one, other, code, message) in [
            (
                Code::Upgraded,
                Code::UpgradeFailed,
                Code::UpgradeFailed,
                "1 of 2 upgrades to example/web:v2 failed: api: second",
            ),
            (
                Code::ServiceRemoved,
                Code::ReceiverDisabled,
                Code::UpgradeFailed,
                "1 of 2 upgrades to example/web:v2 failed: web: first",
            ),
            (
                Code::ReceiverDisabled,
                Code::Upgraded,
                Code::Upgraded,
                "upgraded 1 of 2 services to example/web:v2; web: first",
            ),
            (
                Code::ReceiverDisabled,
                Code::ReceiverDisabled,
                Code::ReceiverDisabled,
                "none of 2 services was upgraded to example/web:v2: web: first; api: second",
            ),
        ] {
            assert_eq!(summary(one, other), Some((code, message.to_owned())));
        }
    }
}
