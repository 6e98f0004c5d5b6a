//! Answers what ingresses ask: whether a receiver can act, what there is to choose from, and the history.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use stormhook_shared::domain::ids::{ProjectId, Sequence, TriggerId};
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::domain::ledger::Action;
use stormhook_shared::domain::trigger::Logged;
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::platform::TargetKind;
use stormhook_shared::ports::questions::{
    Answer, Answerer, AwaitOutcome, Body, HistoryItem, HistoryQuery, PlanSummary, Question,
    TriggerDetail,
};

use crate::context::Context;
use crate::lookup;
use crate::outcome_log::{self, LogEntry, OutcomeLog, Unreadable};

/// How long a question of history waits for a log that is being read or rebuilt.
const PATIENCE: Duration = Duration::from_secs(8);

/// Answers with what a worker has.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) context: Arc<Context>,
}

/// Why there is no answer now.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Log(#[from] Unreadable),
    #[error(transparent)]
    Backbone(#[from] Unavailable),
}

impl Answers {
    /// The function that the questions port serves with.
    pub(crate) fn answerer(self) -> Answerer {
        Arc::new(move |question| {
            let answers = self.clone();
            async move { answers.answer(question).await }.boxed()
        })
    }

    async fn answer(&self, question: Question) -> Answer {
        let answered = match question {
            Question::Check { project, kind } => return self.check(&project, &kind).await,
            Question::Targets { project, of } => return self.targets(&project, of).await,
            Question::Triggers(query) => self.page(query).await,
            Question::Trigger {
                project,
                id,
                settled,
            } => self.trigger(&project, id, settled).await,
        };
        answered.unwrap_or_else(|error| Answer::Unavailable(error.to_string()))
    }

    async fn check(&self, project: &ProjectId, kind: &Kind) -> Answer {
        let Some(platform) = self.context.platforms.get(project) else {
            return Answer::NoSuchProject;
        };
        match platform.check(kind).await {
            Ok(Ok(())) => Answer::Usable,
            Ok(Err(unusable)) => Answer::Unusable(unusable),
            Err(error) => Answer::Unavailable(error.to_string()),
        }
    }

    async fn targets(&self, project: &ProjectId, of: TargetKind) -> Answer {
        let Some(platform) = self.context.platforms.get(project) else {
            return Answer::NoSuchProject;
        };
        match platform.targets(of).await {
            Ok(targets) => Answer::Targets(targets),
            Err(error) => Answer::Unavailable(error.to_string()),
        }
    }

    async fn page(&self, query: HistoryQuery) -> Result<Answer, Unanswered> {
        self.context.log.level(PATIENCE).await?;
        let log = Arc::clone(&self.context.log);
        let is_settled = move |sequences: Vec<Sequence>| {
            let log = Arc::clone(&log);
            async move { settled_of(&log, sequences).await }.boxed()
        };
        // What waits is read first: a trigger that is settled in between is then seen twice, not missed.
        let waiting =
            outcome_log::maybe_waiting(&self.context.backbone, &query, &is_settled).await?;
        let limit = query.limit;
        let settled = self
            .context
            .log
            .read(move |store| outcome_log::settled(store, &query))
            .await?;
        Ok(Answer::Triggers(outcome_log::merge(
            waiting, settled, limit,
        )))
    }

    async fn trigger(
        &self,
        project: &ProjectId,
        id: TriggerId,
        wait: Option<AwaitOutcome>,
    ) -> Result<Answer, Unanswered> {
        self.context.log.level(PATIENCE).await?;
        if let Some(wait) = wait {
            self.context.log.settled(wait.sequence, wait.timeout).await;
        }
        let logged = self.logged(id, wait).await?;
        let newest = logged.as_ref().map(|logged| logged.sequence);
        let recorded = self
            .context
            .log
            .read(move |store| {
                let entry = match newest {
                    Some(sequence) => store.settled(sequence)?,
                    None => store.settled_by_id(id)?,
                };
                let plan = match &entry {
                    Some(LogEntry::Settled {
                        plan: Some(plan), ..
                    }) => store.plan(*plan)?,
                    _ => None,
                };
                Ok((entry, plan))
            })
            .await?;
        let item = match (recorded.0, &logged) {
            (Some(LogEntry::Settled { group, outcome, .. }), _) => HistoryItem {
                group,
                trigger: outcome.trigger.clone(),
                outcome: Some(outcome),
            },
            (_, Some(logged)) => outcome_log::item(logged),
            (_, None) => return Ok(Answer::NoSuchTrigger),
        };
        if item
            .trigger
            .receiver
            .as_ref()
            .is_none_or(|receiver| receiver.project != *project)
        {
            return Ok(Answer::NoSuchTrigger);
        }
        let plan = recorded.1.and_then(plan_of);
        let children = self.children(plan.as_ref(), id).await?;
        Ok(Answer::Trigger(Box::new(TriggerDetail {
            item,
            body: logged.map(|logged| Body {
                content_type: logged.trigger.content_type,
                bytes: logged.trigger.body,
                notice: logged.trigger.notice,
                query: logged.trigger.query,
            }),
            plan,
            children,
        })))
    }

    /// The newest trigger with this id, as far as the trigger log reaches back.
    async fn logged(
        &self,
        id: TriggerId,
        wait: Option<AwaitOutcome>,
    ) -> Result<Option<Logged>, Unanswered> {
        let triggers = &self.context.backbone.triggers;
        if let Some(wait) = wait {
            return Ok(triggers.get(wait.sequence).await?);
        }
        let settled = self.context.log.read(move |store| store.settled_by_id(id));
        let Some(LogEntry::Settled { group, outcome, .. }) = settled.await? else {
            return Ok(lookup::waiting(&self.context, id).await?);
        };
        // A key that is used again long after names a second trigger with the same id.
        let again = lookup::waiting_of_group(&self.context, &group, id).await?;
        match again.filter(|logged| logged.sequence > outcome.trigger.sequence) {
            Some(logged) => Ok(Some(logged)),
            None => Ok(triggers.get(outcome.trigger.sequence).await?),
        }
    }

    /// The triggers that `plan` handed out, if it did so for the trigger `parent`.
    async fn children(
        &self,
        plan: Option<&PlanSummary>,
        parent: TriggerId,
    ) -> Result<Vec<HistoryItem>, Unanswered> {
        let Some(Action::UpgradeServices { services, .. }) = plan.map(|plan| &plan.action) else {
            return Ok(Vec::new());
        };
        let mut children = Vec::with_capacity(services.len());
        for child in services {
            let id = child.trigger;
            let settled = self.context.log.read(move |store| store.settled_by_id(id));
            let item = match settled.await? {
                Some(LogEntry::Settled { group, outcome, .. }) => Some(HistoryItem {
                    group,
                    trigger: outcome.trigger.clone(),
                    outcome: Some(outcome),
                }),
                _ => {
                    let logged = lookup::waiting(&self.context, id).await?;
                    logged.as_ref().map(outcome_log::item)
                }
            };
            // A plan settles the pushes that it superseded along with the one that it is for.
            children.extend(item.filter(|item| item.trigger.parent_id == Some(parent)));
        }
        Ok(children)
    }
}

async fn settled_of(log: &Arc<OutcomeLog>, sequences: Vec<Sequence>) -> Vec<Sequence> {
    let read = log.read(move |store| {
        let mut settled = Vec::new();
        for sequence in sequences {
            if store.settled(sequence)?.is_some() {
                settled.push(sequence);
            }
        }
        settled.sort();
        Ok(settled)
    });
    read.await.unwrap_or_default()
}

fn plan_of(entry: LogEntry) -> Option<PlanSummary> {
    match entry {
        LogEntry::Planned { plan, .. } => Some(plan),
        _ => None,
    }
}
