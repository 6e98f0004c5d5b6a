//! A viewer of the live feed, as a client of server-sent events.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;

/// How long the next event may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where a viewer goes on who has seen it.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// What it tells.
    pub data: Value,
}

/// A viewer.
pub struct Viewer {
    response: Response,
    text: Vec<u8>,
    read: VecDeque<Event>,
    /// The last id that was told.
    pub last_id: String,
}

impl Viewer {
    /// Begins to view, with a request to the feed.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn begin(request: reqwest::RequestBuilder) -> Self {
        let response = request
            .timeout(Duration::from_secs(300))
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let kind = &response.headers()["content-type"];
        assert!(
            kind.to_str()
                .is_ok_and(|kind| kind.starts_with("text/event-stream"))
        );
        let mut viewer = Self {
            response,
            text: Vec::new(),
            read: VecDeque::new(),
            last_id: String::new(),
        };
        while viewer.last_id.is_empty() && viewer.read.is_empty() {
            assert!(viewer.read_on().await, "it tells where it begins");
        }
        viewer
    }

    /// The next event; `None`: the feed has ended.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            if !self.read_on().await {
                return None;
            }
        }
    }

    /// The next `count` events of these kinds; others are passed over.
    ///
    /// # Panics
    /// When the feed ends before.
    pub async fn take(&mut self, count: usize, kinds: &[&str]) -> Vec<Event> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let event = self.next().await.expect("the feed goes on");
            assert_ne!(event.kind, "reload", "{event:?}");
            if kinds.contains(&event.kind.as_str()) {
                taken.push(event);
            }
        }
        taken
    }

    async fn read_on(&mut self) -> bool {
        let chunk = tokio::time::timeout(PATIENCE, self.response.chunk());
        let Ok(Some(chunk)) = chunk.await.expect("something is sent in time") else {
            return false;
        };
        self.text.extend_from_slice(&chunk);
        while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            self.take_in(&String::from_utf8(block).expect("events are texts"));
        }
        true
    }

    fn take_in(&mut self, block: &str) {
        let (mut kind, mut data) = (String::new(), String::new());
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => self.last_id = id.to_owned(),
                Some(("event", name)) => kind = name.to_owned(),
                Some(("data", text)) => data = text.to_owned(),
                _ => {}
            }
        }
        if !data.is_empty() {
            self.read.push_back(Event {
                id: self.last_id.clone(),
                kind,
                data: serde_json::from_str(&data).expect("the data are JSON"),
            });
        }
    }
}
