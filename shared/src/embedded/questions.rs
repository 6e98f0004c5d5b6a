//! Questions in one process: a direct call of the worker.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use crate::ports::Unavailable;
use crate::ports::questions::{Answer, Answerer, Question, Questions, Serving};

const WORKER: &str = "the worker";

#[derive(Default)]
pub(super) struct EmbeddedQuestions {
    answerer: Arc<RwLock<Option<Answerer>>>,
}

/// Takes the answerer away when dropped.
struct Guard(Arc<RwLock<Option<Answerer>>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

#[async_trait]
impl Questions for EmbeddedQuestions {
    async fn ask(&self, question: Question) -> Result<Answer, Unavailable> {
        let answerer = self
            .answerer
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let answerer = answerer.ok_or_else(|| Unavailable::Down {
            what: WORKER,
            reason: "no worker is running".to_owned(),
        })?;
        let after = question.timeout();
        tokio::time::timeout(after, answerer(question))
            .await
            .map_err(|_| Unavailable::TimedOut {
                what: WORKER,
                after,
            })
    }

    async fn serve(&self, answerer: Answerer) -> Result<Serving, Unavailable> {
        *self
            .answerer
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(answerer);
        Ok(Serving(Box::new(Guard(Arc::clone(&self.answerer)))))
    }
}
