//! Lets messages that wait at the same time leave together, as one atomic batch (ADR-50 of NATS), where that is faster:
//! the server then flushes once for all of them. Each sender learns the fate of its own message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::pace::{Pace, Way};
use super::stream::{NAME, Stream, down, unavailable};
use crate::ports::Unavailable;

/// How many messages a batch has at most; the server takes a thousand.
const LARGEST: usize = 500;
/// How many bytes a batch has, with a message more than that at most.
const LARGEST_BYTES: usize = 4 * 1024 * 1024;
/// How long a batch waits at most for those that are on their way to it.
const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// Publishes to one stream.
pub(super) struct GroupCommit {
    stream: Stream,
    queue: mpsc::Sender<Waiting>,
    /// How many messages are under way at most.
    most: usize,
    /// The stream takes atomic batches.
    is_atomic: bool,
    pace: Arc<Mutex<Pace>>,
}

struct Waiting {
    subject: String,
    payload: Bytes,
    reply: oneshot::Sender<Result<u64, Unavailable>>,
}

impl GroupCommit {
    /// Publishes to `stream` until `stop`, and then what waits; `most` messages are under way at a time. `is_atomic`: the
    /// stream takes atomic batches.
    pub(super) fn start(
        stream: Stream,
        most: usize,
        is_atomic: bool,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(most);
        let pace = Arc::new(Mutex::new(Pace::default()));
        tasks.spawn(run(stream.clone(), receiver, Arc::clone(&pace), stop));
        Self {
            stream,
            queue: sender,
            most,
            is_atomic,
            pace,
        }
    }

    /// Publishes one message and returns its place once it is stored.
    pub(super) async fn publish(
        &self,
        subject: String,
        payload: Bytes,
    ) -> Result<u64, Unavailable> {
        self.stream.check_connection()?;
        let under_way = UnderWay::begin(&self.pace);
        if under_way.count > self.most {
            return Err(Unavailable::Overloaded(NAME));
        }
        let left = Instant::now();
        let result = match under_way.way {
            Way::Together if self.is_atomic => self.queue(subject, payload).await,
            Way::Alone | Way::Together => alone(&self.stream, subject, payload).await,
        };
        if result.is_ok() {
            locked(&self.pace).took(under_way.way, left.elapsed(), under_way.count);
        }
        result
    }

    /// Gives a message to the next batch, and returns its place once it is stored.
    async fn queue(&self, subject: String, payload: Bytes) -> Result<u64, Unavailable> {
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

/// A message is under way as long as this lives.
struct UnderWay<'a> {
    pace: &'a Mutex<Pace>,
    /// How many are, with this one.
    count: usize,
    way: Way,
}

impl<'a> UnderWay<'a> {
    fn begin(pace: &'a Mutex<Pace>) -> Self {
        let (count, way) = locked(pace).begin();
        Self { pace, count, way }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        locked(self.pace).end();
    }
}

fn locked(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends what is queued, one batch after the other: the server takes no second one meanwhile, and so they are larger.
async fn run(
    stream: Stream,
    mut queue: mpsc::Receiver<Waiting>,
    pace: Arc<Mutex<Pace>>,
    stop: CancellationToken,
) {
    let mut waiting = Vec::with_capacity(LARGEST);
    loop {
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
        let expected = locked(&pace).expected().min(LARGEST);
        let end = Instant::now() + LONGEST_WAIT;
        while waiting.len() < expected {
            let room = LARGEST - waiting.len();
            match timeout_at(end, queue.recv_many(&mut waiting, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let batch = take_batch(&mut waiting);
        send(&stream, batch).await;
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

/// Sends a batch, and tells each sender.
async fn send(stream: &Stream, batch: Vec<Waiting>) {
    let count = batch.len();
    let (mut messages, mut replies) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for one in batch {
        messages.push((one.subject, one.payload));
        replies.push(one.reply);
    }
    if count < Pace::SMALLEST_BATCH {
        let sent = messages
            .into_iter()
            .map(|(subject, payload)| alone(stream, subject, payload));
        for (result, reply) in join_all(sent).await.into_iter().zip(replies) {
            let _ = reply.send(result); // The sender may have given up.
        }
        return;
    }
    let result = publish_batch(stream, messages).await;
    for (number, reply) in replies.into_iter().enumerate() {
        // A batch stands in one piece, and the acknowledgement is of its last message.
        let place = |last: u64| last + 1 + number as u64 - count as u64;
        let _ = reply.send(result.clone().map(place)); // The sender may have given up.
    }
}

async fn alone(stream: &Stream, subject: String, payload: Bytes) -> Result<u64, Unavailable> {
    let published = stream.publish(subject, HeaderMap::new(), payload).await;
    published.map(|ack| ack.sequence).map_err(unavailable)
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
