//! Questions as requests to a queue group of workers. An answer may be larger than the largest message, so it comes in
//! parts.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subject};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::stream::{Stream, down};
use crate::ports::Unavailable;
use crate::ports::questions::{Answer, Answerer, Question, Questions, Serving};

const WORKER: &str = "a worker";
const SUBJECT: &str = "stormhook.questions";
const QUEUE_GROUP: &str = "workers";
/// How soon a worker says that it has a question. One that is frozen does not, and another is asked.
const TAKEN_WITHIN: Duration = Duration::from_millis(500);
/// How large a part is at most.
const PART_BYTES: usize = 256 * 1024;
/// The header with the number of parts that follow.
const PARTS_LEFT: &str = "Stormhook-Parts-Left";

pub(super) struct NatsQuestions {
    /// Any stream, for its connection.
    pub(super) stream: Stream,
    /// This process, which can be asked by name if it serves.
    pub(super) worker: String,
    pub(super) tasks: TaskTracker,
}

/// Ends the serving when dropped.
struct Guard {
    _stop: DropGuard,
}

#[async_trait]
impl Questions for NatsQuestions {
    async fn ask(&self, question: Question) -> Result<Answer, Unavailable> {
        let after = question.timeout();
        let subject = question
            .addressee()
            .map_or_else(|| SUBJECT.to_owned(), |worker| subject_of(worker));
        let bytes = Bytes::from(serde_json::to_vec(&question).map_err(down)?);
        let ask = async {
            loop {
                if let Some(answer) = self.ask_one(&subject, bytes.clone()).await? {
                    return Ok(answer);
                }
            }
        };
        tokio::time::timeout(after, ask)
            .await
            .map_err(|_| Unavailable::TimedOut {
                what: WORKER,
                after,
            })?
    }

    async fn serve(&self, answerer: Answerer) -> Result<Serving, Unavailable> {
        let client = self.stream.client.clone();
        let mut questions = client
            .queue_subscribe(SUBJECT, QUEUE_GROUP.to_owned())
            .await
            .map_err(down)?;
        let mut own = client
            .subscribe(subject_of(&self.worker))
            .await
            .map_err(down)?;
        let stop = CancellationToken::new();
        let guard = Guard {
            _stop: stop.clone().drop_guard(),
        };
        let tasks = self.tasks.clone();
        self.tasks.spawn(async move {
            loop {
                let question = tokio::select! {
                    question = questions.next() => question,
                    question = own.next() => question,
                    () = stop.cancelled() => None,
                };
                let Some(question) = question else { break };
                let answering = answer(client.clone(), Arc::clone(&answerer), question);
                let stop = stop.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = answering => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            if let Err(error) = questions.drain().await {
                tracing::warn!(%error, "the subscription to questions was not ended in order");
            }
            while let Some(question) = questions.next().await {
                hand_back(&client, question).await;
            }
        });
        Ok(Serving(Box::new(guard)))
    }
}

impl NatsQuestions {
    /// The answer of one worker; `None` if that one is leaving, or does not even take the question.
    async fn ask_one(&self, subject: &str, question: Bytes) -> Result<Option<Answer>, Unavailable> {
        self.stream.check_connection()?;
        let client = &self.stream.client;
        let inbox = client.new_inbox();
        let mut parts = client.subscribe(inbox.clone()).await.map_err(down)?;
        let asked = client.publish_with_reply(subject.to_owned(), inbox, question);
        asked.await.map_err(down)?;
        let mut answer = Vec::new();
        let mut next = tokio::time::timeout(TAKEN_WITHIN, parts.next()).await;
        while let Ok(Some(part)) = next {
            if part.status.is_some() {
                return Err(Unavailable::Down {
                    what: WORKER,
                    reason: "no worker is running".to_owned(),
                });
            }
            let Some(left) = parts_left(&part) else {
                return Ok(None);
            };
            answer.extend_from_slice(&part.payload);
            if left == 0 {
                return serde_json::from_slice(&answer).map(Some).map_err(down);
            }
            next = Ok(parts.next().await);
        }
        match next {
            Ok(_) => Err(down("the connection was closed")),
            Err(_) => Ok(None),
        }
    }
}

/// Where one worker is asked.
fn subject_of(worker: &str) -> String {
    format!("{SUBJECT}.{worker}")
}

async fn hand_back(client: &Client, question: Message) {
    if let Some(inbox) = question.reply
        && let Err(error) = client.publish(inbox, Bytes::new()).await
    {
        tracing::warn!(%error, "a question was not handed back");
    }
}

async fn answer(client: Client, answerer: Answerer, message: Message) {
    let Some(inbox) = message.reply else { return };
    // The first part is empty: it says that the question was taken.
    if !send_part(&client, &inbox, 1, Bytes::new()).await {
        return;
    }
    let answer = match serde_json::from_slice::<Question>(&message.payload) {
        Ok(question) => answerer(question).await,
        Err(error) => Answer::Unavailable(format!(
            "this worker does not understand the question ({error}); run the same version everywhere"
        )),
    };
    let bytes = match serde_json::to_vec(&answer) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            return;
        }
    };
    let mut left = bytes.len().div_ceil(PART_BYTES);
    for start in (0..bytes.len()).step_by(PART_BYTES) {
        left -= 1;
        let part = bytes.slice(start..bytes.len().min(start + PART_BYTES));
        if !send_part(&client, &inbox, left, part).await {
            return;
        }
    }
}

/// Sends a part of an answer, which `left` others follow. Returns whether it was sent.
async fn send_part(client: &Client, inbox: &Subject, left: usize, part: Bytes) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(PARTS_LEFT, left.to_string());
    let sent = client.publish_with_headers(inbox.clone(), headers, part);
    match sent.await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "an answer was not sent");
            false
        }
    }
}

/// How many parts follow; `None` if it is no part of an answer.
fn parts_left(part: &Message) -> Option<usize> {
    let left = part.headers.as_ref()?.get_last(PARTS_LEFT)?;
    left.as_str().parse().ok()
}
