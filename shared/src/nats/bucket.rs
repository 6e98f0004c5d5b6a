//! A key-value bucket: a stream that keeps the last message of each subject, in the form that NATS tools know.

use std::time::Duration;

use async_nats::{HeaderMap, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::stream::{PublishError, Stored, Stream, down};
use crate::domain::time::Timestamp;
use crate::ports::Unavailable;

/// The header that marks a deleted key.
const OPERATION: &str = "KV-Operation";

/// One bucket.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) stream: Stream,
    /// What the subjects begin with: `$KV.<bucket>.`
    pub(super) prefix: &'static str,
}

/// What stands under a key.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// 0 where nothing ever stood.
    pub(super) revision: u64,
    /// `None` where the key is free.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) stored_at: Timestamp,
}

#[derive(Deserialize)]
struct Answer {
    message: Option<Raw>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Raw {
    seq: u64,
    #[serde(default)]
    data: String,
    #[serde(default)]
    hdrs: String,
    time: Timestamp,
}

#[derive(Deserialize)]
struct ApiError {
    code: u16,
    description: String,
}

impl Bucket {
    /// What stands under `key`, as the stream's leader has it: other replicas may be behind.
    pub(super) async fn get(&self, key: &str) -> Result<Value, Unavailable> {
        let subject = format!("$JS.API.STREAM.MSG.GET.{}", self.stream.name);
        let which = json!({"last_by_subj": self.subject(key)}).to_string();
        let request = Request::new().payload(which.into());
        let answer = self.stream.request(subject, request).await?;
        let answer: Answer = serde_json::from_slice(&answer.payload).map_err(down)?;
        match (answer.message, answer.error) {
            (Some(raw), _) => raw.value(),
            (None, Some(error)) if error.code != 404 => Err(down(error.description)),
            (None, _) => Ok(Value {
                revision: 0,
                bytes: None,
                stored_at: Timestamp::from_millis(0),
            }),
        }
    }

    /// Stores `bytes` under `key`, provided that its revision is `expected`.
    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, PublishError> {
        let mut headers = HeaderMap::new();
        if let Some(ttl) = ttl {
            headers.insert("Nats-TTL", format!("{}s", ttl.as_secs().max(1)));
        }
        self.publish(key, headers, bytes.into(), expected).await
    }

    /// Frees `key`, provided that its revision is `expected`.
    pub(super) async fn delete(&self, key: &str, expected: u64) -> Result<u64, PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        self.publish(key, headers, Bytes::new(), Some(expected))
            .await
    }

    /// The subject of `key`.
    pub(super) fn subject(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn publish(
        &self,
        key: &str,
        mut headers: HeaderMap,
        bytes: Bytes,
        expected: Option<u64>,
    ) -> Result<u64, PublishError> {
        if let Some(expected) = expected {
            headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        }
        let ack = self.stream.publish(self.subject(key), headers, bytes);
        ack.await.map(|ack| ack.sequence)
    }
}

impl Raw {
    fn value(self) -> Result<Value, Unavailable> {
        let headers = STANDARD.decode(&self.hdrs).map_err(down)?;
        let is_deleted = String::from_utf8_lossy(&headers)
            .lines()
            .any(|line| line.starts_with(OPERATION));
        let bytes = STANDARD.decode(&self.data).map_err(down)?;
        Ok(Value {
            revision: self.seq,
            bytes: (!is_deleted).then_some(bytes),
            stored_at: self.time,
        })
    }
}

/// Whether a message of a bucket says that its key was freed.
pub(super) fn is_deleted(message: &Stored) -> bool {
    message.headers.get(OPERATION).is_some()
}
