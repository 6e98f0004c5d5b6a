//! One JetStream stream: publishing to it with every answer told apart, and reading it in order by direct gets.
//! Readers keep no state on the server: what is new is heard on a core subject to which the stream republishes the
//! heads of its messages, and looked for now and then in any case, as such notices can get lost.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::notices::Notices;
use crate::ports::Unavailable;

/// What the backbone is called in errors.
pub(super) const NAME: &str = "NATS JetStream";
/// The subjects of everything in a stream. The server counts what is left after each read, which takes it no time with
/// this filter, and milliseconds with another one where there are ten thousand subjects.
pub(super) const ALL: &str = ">";
/// How long a reader waits for a notice before it looks without one.
const RECHECK: Duration = Duration::from_secs(2);
/// How soon a reader looks again that was told of something and did not find it: a replica may be behind.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// How much one read brings at most.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// The server's code for a message that is not there.
const NO_MESSAGE: u64 = 10_037;
/// The server's code for an expected sequence that is not the last.
const WRONG_LAST_SEQUENCE: u64 = 10_071;

/// One stream.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) client: Client,
    pub(super) name: &'static str,
    pub(super) timeout: Duration,
    pub(super) notices: Notices,
}

/// A message at its place.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// Where a published message stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ack {
    pub(super) sequence: u64,
    pub(super) is_duplicate: bool,
}

/// Why a message was not published.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum PublishError {
    /// The subject's last message is not the expected one.
    #[error("another message was published meanwhile")]
    WrongLastSequence,
    /// The server does not take it now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Which sequences a stream holds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Range {
    #[serde(rename = "first_seq")]
    pub(super) first: u64,
    #[serde(rename = "last_seq")]
    pub(super) last: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    err_code: u64,
    description: String,
}

impl Stream {
    /// Publishes one message and returns its place once it is stored.
    pub(super) async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Ack, PublishError> {
        let request = Request::new().headers(headers).payload(payload);
        let answer = self.request(subject, request).await?;
        let answer: Answer = parse(&answer.payload)?;
        match answer.error {
            None => Ok(Ack {
                sequence: answer.seq,
                is_duplicate: answer.duplicate,
            }),
            Some(error) if error.err_code == WRONG_LAST_SEQUENCE => {
                Err(PublishError::WrongLastSequence)
            }
            Some(error) => Err(down(error.description).into()),
        }
    }

    /// The next messages after `after` whose subjects fit `filter`, at most `limit` of them.
    pub(super) async fn read(
        &self,
        filter: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, Unavailable> {
        let request = json!({
            "seq": after.saturating_add(1),
            "next_by_subj": filter,
            "batch": limit,
            "max_bytes": PAGE_BYTES,
        });
        self.check_connection()?;
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(down)?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.name);
        let published = self
            .client
            .publish_with_reply(subject, inbox, request.to_string().into());
        published.await.map_err(down)?;
        let mut messages: Vec<Stored> = Vec::new();
        let collect = async {
            while let Some(answer) = answers.next().await {
                let before = messages.last().map_or(0, |message| message.sequence);
                match answer.status.map(|status| status.as_u16()) {
                    None => {
                        check_joint(answer.headers.as_ref(), before)?;
                        messages.push(stored(answer)?);
                    }
                    // The end of the batch.
                    Some(204) => return check_joint(answer.headers.as_ref(), before),
                    // There is nothing.
                    Some(404) => return Ok(()),
                    Some(503) => return Err(down(format!("no server holds stream {}", self.name))),
                    Some(_) => {
                        return Err(down(answer.description.unwrap_or_default()));
                    }
                }
            }
            Err(down("the connection was closed"))
        };
        tokio::time::timeout(self.timeout, collect)
            .await
            .map_err(|_| self.timed_out())??;
        Ok(messages)
    }

    /// The message at `sequence`.
    pub(super) async fn get(&self, sequence: u64) -> Result<Option<Stored>, Unavailable> {
        self.direct_get(&json!({"seq": sequence})).await
    }

    /// The last message of `subject`.
    pub(super) async fn last(&self, subject: &str) -> Result<Option<Stored>, Unavailable> {
        self.direct_get(&json!({"last_by_subj": subject})).await
    }

    /// The sequence of the last message of `subject`, as the stream's leader has it: direct gets are answered by any server.
    pub(super) async fn leaders_last(&self, subject: &str) -> Result<Option<u64>, Unavailable> {
        let asked = json!({"last_by_subj": subject}).to_string();
        let request = Request::new().payload(asked.into());
        let address = format!("$JS.API.STREAM.MSG.GET.{}", self.name);
        let answer = self.request(address, request).await?;
        let answer: Value = parse(&answer.payload)?;
        match (&answer["message"]["seq"], &answer["error"]) {
            (Value::Number(sequence), _) => Ok(sequence.as_u64()),
            (_, error) if error["err_code"] == NO_MESSAGE => Ok(None),
            (_, error) => Err(down(format!("stream {}: {error}", self.name))),
        }
    }

    /// Which sequences the stream holds.
    pub(super) async fn range(&self) -> Result<Range, Unavailable> {
        let subject = format!("$JS.API.STREAM.INFO.{}", self.name);
        let answer = self.request(subject, Request::new()).await?;
        let mut answer: Value = parse(&answer.payload)?;
        serde_json::from_value(answer["state"].take())
            .map_err(|_| down(format!("stream {}: {}", self.name, answer["error"])))
    }

    /// The next messages after `after` whose subjects fit `filter`, at most `limit` of them, once there are some. `slot`:
    /// where their notices come.
    pub(super) async fn next(
        &self,
        filter: &str,
        slot: usize,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, Unavailable> {
        let mut notices = self.notices.listen(&self.client, slot).await?;
        let mut pause = RECHECK;
        loop {
            notices.mark_unchanged();
            let messages = self.read(filter, after, limit).await?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            pause = match tokio::time::timeout(pause, notices.changed()).await {
                Ok(Ok(())) => FIRST_PAUSE,
                Ok(Err(_)) => return Err(down("it is closed")),
                Err(_) => (pause * 2).min(RECHECK),
            };
        }
    }

    /// Sends a request, and returns its one answer.
    pub(super) async fn request(
        &self,
        subject: String,
        request: Request,
    ) -> Result<Message, Unavailable> {
        self.check_connection()?;
        let request = request.timeout(Some(self.timeout));
        self.client
            .send_request(subject, request)
            .await
            .map_err(|error| match error.kind() {
                RequestErrorKind::TimedOut => self.timed_out(),
                RequestErrorKind::NoResponders => {
                    down(format!("no server holds stream {}", self.name))
                }
                _ => down(error),
            })
    }

    /// What is sent while there is no connection would be kept and sent later, after its sender was told that it failed.
    pub(super) fn check_connection(&self) -> Result<(), Unavailable> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => Err(down("there is no connection to a server")),
        }
    }

    pub(super) fn timed_out(&self) -> Unavailable {
        Unavailable::TimedOut {
            what: NAME,
            after: self.timeout,
        }
    }

    async fn direct_get(&self, which: &Value) -> Result<Option<Stored>, Unavailable> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.name);
        let request = Request::new().payload(which.to_string().into());
        let answer = self.request(subject, request).await?;
        match answer.status.map(|status| status.as_u16()) {
            None => stored(answer).map(Some),
            Some(404) => Ok(None),
            Some(_) => Err(down(answer.description.unwrap_or_default())),
        }
    }
}

/// It cannot be used, because of `reason`.
pub(super) fn down(reason: impl std::fmt::Display) -> Unavailable {
    Unavailable::Down {
        what: NAME,
        reason: reason.to_string(),
    }
}

/// What went wrong with a message for which no last sequence was expected.
pub(super) fn unavailable(error: PublishError) -> Unavailable {
    match error {
        PublishError::Unavailable(error) => error,
        error @ PublishError::WrongLastSequence => down(error),
    }
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Unavailable> {
    serde_json::from_slice(bytes)
        .map_err(|error| down(format!("an answer cannot be read: {error}")))
}

/// Whether a part of an answer follows the one with the message at `before`; 0 for the first. Answers come from another
/// server of a cluster as plain messages, of which some may not arrive, as when it learns too late who listens.
fn check_joint(headers: Option<&HeaderMap>, before: u64) -> Result<(), Unavailable> {
    let told = headers.and_then(|headers| headers.get_last("Nats-Last-Sequence"));
    match told.and_then(|told| told.as_str().parse::<u64>().ok()) {
        Some(told) if told == before => Ok(()),
        _ => Err(down("a part of an answer was lost on its way")),
    }
}

fn stored(message: Message) -> Result<Stored, Unavailable> {
    let headers = message.headers.unwrap_or_default();
    let sequence = headers
        .get_last("Nats-Sequence")
        .and_then(|sequence| sequence.as_str().parse().ok())
        .ok_or_else(|| down("a message came without its sequence"))?;
    Ok(Stored {
        sequence,
        headers,
        payload: message.payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_answer_that_was_lost_is_noticed() {
        let after = |sequence: u64| {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Last-Sequence", sequence.to_string());
            headers
        };
        assert!(check_joint(Some(&after(0)), 0).is_ok());
        assert!(check_joint(Some(&after(7)), 7).is_ok());
        assert!(check_joint(Some(&after(7)), 0).is_err());
        assert!(check_joint(Some(&after(7)), 5).is_err());
        assert!(check_joint(None, 5).is_err());
    }
}
