//! Answers what ingresses ask: whether a receiver can act, what there is to choose from, and the history.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use stormhook_shared::decide::Seen;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, Sequence, TriggerId};
use stormhook_shared::domain::kind::Kind;
use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::ledger::LedgerError;
use stormhook_shared::ports::platform::{Need, TargetKind};
use stormhook_shared::ports::questions::{
    Answer, Answerer, AwaitOutcome, CountsQuery, HistoryQuery, Member, Question,
    ReceiverCountsQuery, WhatIfQuery,
};
use tokio::sync::Semaphore;

use crate::audit::Audit;
use crate::context::Context;
use crate::outcome_log::{self, OutcomeLog, Store, Unreadable};
use crate::{system, trigger_detail, unsettled, what_if};

/// How long a question of history waits for a log that is being read or rebuilt.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a page of history is looked for: nobody waits for it any longer.
const PAGE_WITHIN: Duration = Duration::from_secs(9);
/// How many are looked for at once. Where very many triggers wait, each costs the servers of the backbone much.
const MOST_PAGES: usize = 4;
/// How long it waits for a log that is a little behind.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Answers with what a worker has.
#[derive(Clone)]
pub(crate) struct Answers {
    context: Arc<Context>,
    audit: Arc<Audit>,
    pages: Arc<Semaphore>,
}

/// Why there is no answer now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error(transparent)]
    Log(#[from] Unreadable),
    #[error(transparent)]
    Backbone(#[from] Unavailable),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(
        "not enough that fits was found within {PAGE_WITHIN:?} among the triggers that wait; try again when fewer wait, or ask for one status"
    )]
    TooLong,
}

impl Answers {
    /// Answers with what `context` and `audit` have.
    pub(crate) fn new(context: Arc<Context>, audit: Arc<Audit>) -> Self {
        Self {
            context,
            audit,
            pages: Arc::new(Semaphore::new(MOST_PAGES)),
        }
    }

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
            Question::Members { project, group } => return self.members(&project, &group).await,
            Question::Triggers(query) => tokio::time::timeout(PAGE_WITHIN, self.page(query))
                .await
                .unwrap_or(Err(Unanswered::TooLong)),
            Question::Counts(query) => self.counts(query).await,
            Question::ReceiverCounts(query) => self.receiver_counts(query).await,
            Question::WhatIf(query) => self.what_if(query).await,
            Question::Appended { group, id } => self.appended(&group, id).await,
            Question::System => self.system().await,
            Question::Trigger {
                project,
                id,
                settled,
            } => self.trigger(&project, id, settled).await,
            other => {
                let answer = self.audit.answer(other).await;
                return answer
                    .unwrap_or_else(|| Answer::Unavailable("nobody answers that".to_owned()));
            }
        };
        answered.unwrap_or_else(|error| Answer::Unavailable(error.to_string()))
    }

    async fn members(&self, project: &ProjectId, group: &GroupKey) -> Answer {
        let Some(platform) = self.context.platforms.get(project) else {
            return Answer::NoSuchProject;
        };
        let member = |id: String, name: String| Member { id, name };
        match platform.observe(group, Need::Everything).await {
            Ok(Seen::Hosts(seen)) => Answer::Members(
                seen.hosts
                    .into_iter()
                    .map(|host| member(host.id, host.name))
                    .collect(),
            ),
            Ok(Seen::Services(services)) => Answer::Members(
                services
                    .into_iter()
                    .map(|service| member(service.id, service.name))
                    .collect(),
            ),
            Ok(_) => Answer::Members(Vec::new()),
            Err(error) => Answer::Unavailable(error.to_string()),
        }
    }

    async fn system(&self) -> Result<Answer, Unanswered> {
        Ok(Answer::System(Box::new(system::look(&self.context).await?)))
    }

    async fn check(&self, project: &ProjectId, kind: &Kind) -> Answer {
        let Some(platform) = self.context.platforms.get(project) else {
            return Answer::NoSuchProject;
        };
        match platform.check(kind).await {
            Ok(Ok(kept)) => Answer::Usable(kept),
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

    async fn trigger(
        &self,
        project: &ProjectId,
        id: TriggerId,
        wait: Option<AwaitOutcome>,
    ) -> Result<Answer, Unanswered> {
        self.context.log.level(PATIENCE).await?;
        trigger_detail::find(&self.context, project, id, wait).await
    }

    async fn what_if(&self, query: WhatIfQuery) -> Result<Answer, Unanswered> {
        self.context.log.level(PATIENCE).await?;
        what_if::compare(&self.context, query).await
    }

    async fn appended(&self, group: &GroupKey, id: TriggerId) -> Result<Answer, Unanswered> {
        // What waits is looked at first: the cursor passes only what is settled.
        let waiting = unsettled::find_of_group(&self.context.backbone, group, id).await?;
        self.context.log.level(PATIENCE).await?;
        let settled = self.context.log.read(move |store| store.settled_by_id(id));
        let item = match (settled.await?, waiting) {
            (Some(entry), _) => outcome_log::settled_item(entry),
            (None, Some(logged)) => Some(outcome_log::item(&logged)),
            (None, None) => None,
        };
        Ok(Answer::Appended(item.map(Box::new)))
    }

    async fn page(&self, query: HistoryQuery) -> Result<Answer, Unanswered> {
        let _turn = self.pages.acquire().await;
        self.context.log.level(PATIENCE).await?;
        let log = Arc::clone(&self.context.log);
        let is_settled = move |sequences: Vec<Sequence>| {
            let log = Arc::clone(&log);
            async move { settled_of(&log, sequences).await }.boxed()
        };
        // What comes after this look at what waits is left to a later page, even if it is settled first.
        // The trigger log may have dropped all that is settled.
        let newest = self.context.backbone.triggers.newest().await?;
        let newest = newest.max(self.context.log.read(Store::newest_settled).await?);
        // What waits is read first: a trigger that is settled in between is then seen twice, not missed.
        let waiting =
            outcome_log::maybe_waiting(&self.context.backbone, &query, newest, &is_settled).await?;
        // What does not wait any more stands in the ledger by now, but the log may be behind that.
        let through = self.context.backbone.ledger.reach().await?.through;
        self.context.log.reached(through, CATCH_UP).await;
        let (limit, order) = (query.limit, query.order);
        let settled = self
            .context
            .log
            .read(move |store| outcome_log::settled(store, &query, newest))
            .await?;
        Ok(Answer::Triggers(outcome_log::merge(
            waiting, settled, order, limit,
        )))
    }

    async fn counts(&self, query: CountsQuery) -> Result<Answer, Unanswered> {
        self.context.log.level(PATIENCE).await?;
        let counts = self
            .context
            .log
            .read(move |store| outcome_log::counts(store, &query));
        Ok(Answer::Counts(counts.await?))
    }

    async fn receiver_counts(&self, query: ReceiverCountsQuery) -> Result<Answer, Unanswered> {
        self.context.log.level(PATIENCE).await?;
        // Whoever follows the feed adds what comes after what it began with: nothing may be missing before.
        let through = self.context.backbone.ledger.reach().await?.through;
        self.context.log.reached(through, CATCH_UP).await;
        let counts = self
            .context
            .log
            .read(move |store| outcome_log::receiver_counts(store, &query));
        Ok(Answer::ReceiverCounts(counts.await?))
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
