//! Lets messages that wait at the same time leave together, as one atomic batch (ADR-50 of NATS): the server then
//! flushes once for all of them. Each sender learns the fate of its own message.

use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::stream::{NAME, Stream, down, unavailable};
use crate::ports::Unavailable;

/// How many messages a batch has at most; the server takes a thousand.
const LARGEST: usize = 500;
/// How many bytes a batch has, with a message more than that at most.
const LARGEST_BYTES: usize = 4 * 1024 * 1024;
/// How many batches are under way at the same time.
const IN_FLIGHT: usize = 4;

/// Publishes to one stream.
pub(super) struct GroupCommit {
    stream: Stream,
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    subject: String,
    payload: Bytes,
    reply: oneshot::Sender<Result<u64, Unavailable>>,
}

impl GroupCommit {
    /// Publishes to `stream` until `stop`, and then what waits; `queue` messages wait at most. `is_atomic`: the stream
    /// takes atomic batches.
    pub(super) fn start(
        stream: Stream,
        queue: usize,
        is_atomic: bool,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(queue);
        tasks.spawn(run(
            stream.clone(),
            receiver,
            is_atomic,
            tasks.clone(),
            stop,
        ));
        Self {
            stream,
            queue: sender,
        }
    }

    /// Publishes one message and returns its place once it is stored.
    pub(super) async fn publish(
        &self,
        subject: String,
        payload: Bytes,
    ) -> Result<u64, Unavailable> {
        self.stream.check_connection()?;
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            subject,
            payload,
            reply,
        };
        self.queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Overloaded(NAME),
            mpsc::error::TrySendError::Closed(_) => down("it is closed"),
        })?;
        match tokio::time::timeout(self.stream.timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(down("it is closed")),
            Err(_) => Err(self.stream.timed_out()),
        }
    }
}

async fn run(
    stream: Stream,
    mut queue: mpsc::Receiver<Waiting>,
    is_atomic: bool,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut waiting = Vec::with_capacity(LARGEST);
    loop {
        let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else {
            return;
        };
        if waiting.is_empty() {
            let received = tokio::select! {
                received = queue.recv_many(&mut waiting, LARGEST) => received,
                () = stop.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            if received == 0 {
                return;
            }
        }
        let batch = take_batch(&mut waiting);
        let stream = stream.clone();
        tasks.spawn(async move {
            if is_atomic && batch.len() > 1 {
                together(&stream, batch).await;
            } else {
                join_all(batch.into_iter().map(|waiting| alone(&stream, waiting))).await;
            }
            drop(permit);
        });
    }
}

/// The messages that leave together; those whose senders have given up are left out.
fn take_batch(waiting: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let count = waiting
        .iter()
        .take_while(|one| {
            let fits = bytes < LARGEST_BYTES;
            bytes += one.payload.len();
            fits
        })
        .count();
    waiting
        .drain(..count)
        .filter(|one| !one.reply.is_closed())
        .collect()
}

async fn alone(stream: &Stream, waiting: Waiting) {
    let published = stream
        .publish(waiting.subject, HeaderMap::new(), waiting.payload)
        .await;
    let result = published.map(|ack| ack.sequence).map_err(unavailable);
    let _ = waiting.reply.send(result); // The sender may have given up.
}

async fn together(stream: &Stream, batch: Vec<Waiting>) {
    let count = batch.len();
    let (messages, replies): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|waiting| ((waiting.subject, waiting.payload), waiting.reply))
        .unzip();
    let result = publish_batch(stream, messages).await;
    for (number, reply) in replies.into_iter().enumerate() {
        // A batch stands in one piece, and the acknowledgement is of its last message.
        let place = |last: u64| last + 1 + number as u64 - count as u64;
        let _ = reply.send(result.clone().map(place)); // The sender may have given up.
    }
}

/// Publishes all of `messages` or none, and returns the last one's place.
async fn publish_batch(
    stream: &Stream,
    messages: Vec<(String, Bytes)>,
) -> Result<u64, Unavailable> {
    let id = Uuid::now_v7().simple().to_string();
    let last = messages.len();
    for (number, (subject, payload)) in (1..).zip(messages) {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", id.as_str());
        headers.insert("Nats-Batch-Sequence", number.to_string());
        if number < last {
            stream.check_connection()?;
            let published = stream
                .client
                .publish_with_headers(subject, headers, payload);
            published.await.map_err(down)?;
        } else {
            headers.insert("Nats-Batch-Commit", "1");
            let published = stream.publish(subject, headers, payload).await;
            return published.map(|ack| ack.sequence).map_err(unavailable);
        }
    }
    Err(down("an empty batch"))
}
