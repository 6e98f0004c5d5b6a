//! The other workers, asked for the part of the record that the ledger does not have any more.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stormhook_shared::ports::Unavailable;
use stormhook_shared::ports::leases::{Leases, WorkerId};
use stormhook_shared::ports::questions::{Answer, Question, Questions};
use stormhook_shared::ports::record::{EntriesPage, EntriesQuery, LogHead};

/// How soon a worker says how far its log goes.
const HEAD_WITHIN: Duration = Duration::from_secs(3);
/// How long nobody must have the older part before a log does without it: when a whole fleet is started again, those
/// that have it may come later.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many entries are asked for at once, at most; a page of large ones is shorter.
const PAGE: usize = 10_000;

/// The other workers.
pub(crate) struct Peers {
    leases: Arc<dyn Leases>,
    questions: Arc<dyn Questions>,
    /// Those whose entries did not fit, and why.
    refused: BTreeMap<WorkerId, String>,
    /// Whose entries the log ends with, while it is not complete.
    pub(super) source: Option<WorkerId>,
    /// How long nobody must have the older part before a log does without it.
    pub(super) patience: Duration,
}

/// What the others have.
pub(super) struct Survey {
    /// Those with entries: first who goes back furthest, then who is furthest on.
    pub(super) having: Vec<LogHead>,
    /// Those that do not say what they have, with why.
    pub(super) silent: BTreeMap<WorkerId, String>,
}

/// Why there is no page.
pub(super) enum NoPage {
    /// Its worker does not answer.
    Silent(String),
    /// Its log has no such place.
    NotThere(String),
}

impl Peers {
    /// Those that `leases` tell of, asked by `questions`.
    pub(crate) fn new(leases: Arc<dyn Leases>, questions: Arc<dyn Questions>) -> Self {
        Self {
            leases,
            questions,
            refused: BTreeMap::new(),
            source: None,
            patience: PATIENCE,
        }
    }

    /// Asks `worker` no more, as its entries do not fit.
    pub(super) fn refuse(&mut self, worker: WorkerId, reason: &str) {
        tracing::error!(
            worker,
            reason,
            "the record of a worker does not fit, so it is not asked again"
        );
        self.refused.insert(worker, reason.to_owned());
    }

    /// Those that are not asked any more, with why, as the end of a sentence.
    pub(super) fn refused(&self) -> String {
        let told = self.refused.iter();
        told.map(|(worker, reason)| format!("; what worker {worker} has does not fit: {reason}"))
            .collect()
    }

    /// Asks all others how far their logs go.
    pub(super) async fn survey(&self) -> Result<Survey, Unavailable> {
        let census = self.leases.census().await?;
        let others = census.workers.into_iter();
        let others =
            others.filter(|worker| *worker != census.me && !self.refused.contains_key(worker));
        let asked = others.map(async |worker| {
            let head = self.head(&worker).await;
            (worker, head)
        });
        let mut survey = Survey {
            having: Vec::new(),
            silent: BTreeMap::new(),
        };
        for (worker, head) in futures::future::join_all(asked).await {
            match head {
                Ok(head) if head.head.number > 0 => survey.having.push(head),
                Ok(_) => {}
                Err(reason) => {
                    survey.silent.insert(worker, reason);
                }
            }
        }
        survey
            .having
            .sort_by_key(|head| (head.base.number, Reverse(head.head.number)));
        Ok(survey)
    }

    /// The entries of `worker` after the one with the number `after`, or from its first on.
    pub(super) async fn page(
        &self,
        worker: &WorkerId,
        after: Option<u64>,
    ) -> Result<EntriesPage, NoPage> {
        let query = EntriesQuery {
            worker: Some(worker.clone()),
            after,
            through: None,
            since: None,
            until: None,
            limit: PAGE,
        };
        match self.questions.ask(Question::Entries(query)).await {
            Ok(Answer::Entries(page)) => Ok(page),
            Ok(Answer::NoSuchEntry(message)) => Err(NoPage::NotThere(message)),
            Ok(other) => Err(NoPage::Silent(unexpected(other))),
            Err(error) => Err(NoPage::Silent(error.to_string())),
        }
    }

    async fn head(&self, worker: &WorkerId) -> Result<LogHead, String> {
        let question = Question::Head {
            worker: Some(worker.clone()),
            at: None,
        };
        let asked = self.questions.ask(question);
        match tokio::time::timeout(HEAD_WITHIN, asked).await {
            Ok(Ok(Answer::Head(head))) if head.worker == *worker => Ok(head),
            Ok(Ok(other)) => Err(unexpected(other)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it did not answer within {HEAD_WITHIN:?}")),
        }
    }
}

fn unexpected(answer: Answer) -> String {
    match answer {
        Answer::Unavailable(reason) => reason,
        _ => "it answered something else".to_owned(),
    }
}
