//! The live feed (server-sent events, WHATWG HTML 9.2) of triggers and outcomes without gaps: a feed that breaks off, or that a
//! slow reader fell out of, is begun again behind the last event that was read.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::Response;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::{Client, Refusal};

/// How long the feed may be silent: it sends a line each 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a server that does not go on is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// The feed, from where it was begun.
pub(super) struct Feed<'a> {
    client: &'a Client,
    response: Response,
    parser: Parser,
}

impl<'a> Feed<'a> {
    /// Begins with what happens from now on.
    pub(super) async fn begin(client: &'a Client) -> Result<Self> {
        let response = client.events(None).await?;
        let mut feed = Self {
            client,
            response,
            parser: Parser::default(),
        };
        while feed.parser.last_id.is_none() {
            let Some(bytes) = feed.response.chunk().await.context("read the live feed")? else {
                bail!("the live feed ended before it began; try again");
            };
            feed.parser.read(&bytes);
        }
        Ok(feed)
    }

    /// The triggers that the next events are of: as they are accepted, and as they are settled.
    pub(super) async fn next(&mut self) -> Result<Vec<Value>> {
        loop {
            let read = std::mem::take(&mut self.parser.triggers);
            if !read.is_empty() {
                return Ok(read);
            }
            if let Err(reason) = self.read_on().await {
                self.begin_again(reason).await?;
            }
        }
    }

    /// Reads what has come. The error says why nothing more will.
    async fn read_on(&mut self) -> Result<()> {
        if let Some(reason) = self.parser.reload.take() {
            bail!("the live feed broke off: {reason}");
        }
        let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
        let chunk = chunk.map_err(|_| anyhow!("the live feed was silent for {SILENCE:?}"))?;
        match chunk.context("read the live feed")? {
            Some(bytes) => self.parser.read(&bytes),
            None => bail!("the live feed was closed"),
        }
        Ok(())
    }

    /// Goes on behind the last event, once the server lets it.
    async fn begin_again(&mut self, mut reason: anyhow::Error) -> Result<()> {
        let begun = Instant::now();
        let at = self.parser.last_id.clone();
        loop {
            let response = self.client.events(at.as_deref()).await;
            self.parser.forget_half();
            match response {
                Ok(response) => {
                    self.response = response;
                    match self.read_on().await {
                        // The first thing to come says where it goes on, or that it cannot.
                        Ok(()) if self.parser.reload.is_none() => return Ok(()),
                        Ok(()) => reason = self.read_on().await.err().unwrap_or(reason),
                        Err(error) => reason = error,
                    }
                }
                Err(error) => match error.downcast_ref::<Refusal>() {
                    Some(refusal) if !refusal.is_passing() => return Err(error),
                    _ => reason = error,
                },
            }
            if begun.elapsed() >= PATIENCE {
                return Err(reason.context("what happens cannot be followed any more without gaps"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Reads events.
#[derive(Default)]
struct Parser {
    /// What has come of the next event.
    rest: Vec<u8>,
    last_id: Option<String>,
    triggers: Vec<Value>,
    /// Why the feed ends, if it says so.
    reload: Option<String>,
}

impl Parser {
    fn read(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut read = 0;
        while let Some(length) = self.rest[read..].windows(2).position(|end| end == b"\n\n") {
            let event = String::from_utf8_lossy(&self.rest[read..read + length]).into_owned();
            self.event(&event);
            read += length + 2;
        }
        self.rest.drain(..read);
    }

    /// What comes next begins with a whole event.
    fn forget_half(&mut self) {
        self.rest.clear();
    }

    fn event(&mut self, text: &str) {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let data: Value = field("data")
            .and_then(|data| serde_json::from_str(data).ok())
            .unwrap_or_default();
        match field("event") {
            Some("trigger" | "outcome") => self.triggers.push(data),
            Some("reload") => {
                let reason = data["reason"].as_str().unwrap_or("it gives no reason");
                self.reload = Some(reason.to_owned());
            }
            _ => {}
        }
        if let Some(id) = field("id") {
            self.last_id = Some(id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = "retry: 1000\nid: 1-2-3\nevent: begin\ndata: {}\n\n: nothing new\n\n\
                    id: 1-4-3\nevent: trigger\ndata: {\"sequence\":4}\n\nid: 1-5-3\n\n\
                    event: reload\ndata: {\"reason\":\"slow\"}\n\nid: 1-6-3\nevent: trig";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            for part in text.as_bytes().chunks(size) {
                parser.read(part);
            }
            assert_eq!(parser.triggers, [serde_json::json!({"sequence": 4})]);
            assert_eq!(parser.last_id.as_deref(), Some("1-5-3"));
            assert_eq!(parser.reload.as_deref(), Some("slow"));
        }
    }
}
