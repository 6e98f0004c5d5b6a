//! Hands an upgrade out: each service gets a trigger of its own, in its own group, and the upgrade is over when all of
//! these have their outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{Sequence, TriggerId};
use stormhook_shared::domain::kind::Target;
use stormhook_shared::domain::ledger::{Child, Plan};
use stormhook_shared::domain::outcome::{CalledReceiver, Code, Outcome, Status};
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
            return Ok(End::Failed {
                code: Code::Uncertain,
                message: "the plan has no trigger".to_owned(),
                attempts: 0,
            });
        };
        let mut failed = Vec::new();
        let mut waiting = Vec::new();
        for child in services {
            let trigger = self.child(parent.id, parent.sequence, receiver, push, child);
            waiting.push((child, self.append(trigger).await?));
        }
        self.tell(&format!("the upgrades of {} services", services.len()));
        for (child, sequence) in waiting {
            let outcome = self.outcome(sequence).await?;
            if !matches!(
                outcome.verdict.code.status(),
                Status::Succeeded | Status::Skipped
            ) {
                failed.push(format!("{}: {}", child.name, outcome.verdict.message));
            }
        }
        let attempts = 1;
        if failed.is_empty() {
            return Ok(End::Done { attempts });
        }
        let told: Vec<_> = failed.iter().take(MOST_TOLD).cloned().collect();
        let message = format!(
            "{} of {} upgrades to {push} failed: {}",
            failed.len(),
            services.len(),
            told.join("; ")
        );
        Ok(End::Failed {
            code: Code::UpgradeFailed,
            message,
            attempts,
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
