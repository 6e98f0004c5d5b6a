//! Cattle's events: whoever subscribes over a websocket is told which resources changed. Changes are gathered for a
//! moment and told once; there is no replay.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{Closed, Message, MessageStream, Session};
use serde_json::json;

use crate::cattle::{admit, base};
use crate::error::CattleError;
use crate::resource::{Kind, shown};
use crate::seed;
use crate::world::{World, now};

/// How often a subscriber is told that the connection lives.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How many changes are kept for subscribers that are slow.
const KEPT: usize = 10_000;

/// A resource: its kind, and the number in its id.
type Key = (Kind, u64);

/// The newest changes, in order.
#[derive(Default)]
pub(crate) struct ChangeLog {
    last: u64,
    kept: VecDeque<Key>,
}

impl ChangeLog {
    /// Notes that a resource changed.
    pub(crate) fn note(&mut self, key: Key) {
        self.last += 1;
        self.kept.push_back(key);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// What changed after `after`, each once.
    fn since(&self, after: u64) -> BTreeSet<Key> {
        let count = usize::try_from(self.last - after).unwrap_or(KEPT);
        self.kept.iter().rev().take(count).copied().collect()
    }
}

/// `GET /v2-beta/projects/{project}/subscribe`
pub(crate) async fn subscribe(
    world: web::Data<World>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    admit(&world, &request)?;
    let project = request.match_info().get("project").unwrap_or(seed::PROJECT);
    let after = {
        let inner = world.lock();
        if inner.knobs.outage {
            return Err(CattleError::down(inner.knobs.retry_after_seconds).into());
        }
        if project != seed::PROJECT || !inner.knobs.events {
            return Err(CattleError::not_found().into());
        }
        inner.changes.last
    };
    let (response, session, messages) = actix_ws::handle(&request, payload)?;
    let subscriber = Subscriber {
        base: format!("{}/projects/{project}", base(&world, &request)),
        after,
        session,
        world,
    };
    actix_web::rt::spawn(subscriber.serve(messages));
    Ok(response)
}

struct Subscriber {
    world: web::Data<World>,
    session: Session,
    /// What links begin with.
    base: String,
    /// The last change that was told.
    after: u64,
}

impl Subscriber {
    async fn serve(mut self, mut messages: MessageStream) {
        self.world.metrics.subscribers.inc();
        let mut quiet = Duration::ZERO;
        loop {
            let pause = Duration::from_millis(self.world.lock().knobs.event_ms);
            let told = tokio::select! {
                message = messages.recv() => match message {
                    Some(Ok(Message::Ping(bytes))) => self.session.pong(&bytes).await,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => Ok(()),
                },
                () = tokio::time::sleep(pause) => {
                    quiet += pause;
                    let Some(texts) = self.gather() else { break };
                    self.tell(texts, &mut quiet).await
                }
            };
            if told.is_err() {
                break;
            }
        }
        self.world.metrics.subscribers.dec();
        let _ = self.session.close(None).await;
    }

    /// What is to be told; `None` when nobody is told anything any more.
    fn gather(&mut self) -> Option<Vec<String>> {
        let mut inner = self.world.lock();
        if inner.knobs.outage || !inner.knobs.events {
            return None;
        }
        // What came to its end by itself is noted when it is looked at.
        for kind in Kind::ALL {
            inner.all(kind, now()).for_each(drop);
        }
        let changed = inner.changes.since(self.after);
        self.after = inner.changes.last;
        let texts = changed.into_iter().filter_map(|(kind, number)| {
            let resource = inner.resources.get(&(kind, number))?;
            // Of what is removed, and not in that state any more, Cattle tells nobody: a purged host is just gone.
            let is_told = resource["removed"].is_null() || resource["state"] == "removed";
            let resource = is_told.then(|| shown(kind, resource, &self.base))?;
            let event = json!({
                "id": format!("{}-{}", kind.prefix(), inner.changes.last), "type": "publish", "name": "resource.change",
                "resourceType": resource["type"], "resourceId": resource["id"], "time": now(),
                "data": {"resource": resource},
            });
            Some(event.to_string())
        });
        Some(texts.collect())
    }

    async fn tell(&mut self, texts: Vec<String>, quiet: &mut Duration) -> Result<(), Closed> {
        for text in texts {
            *quiet = Duration::ZERO;
            self.session.text(text).await?;
        }
        if *quiet >= PING_EVERY {
            *quiet = Duration::ZERO;
            let ping = json!({"type": "publish", "name": "ping"});
            self.session.text(ping.to_string()).await?;
        }
        Ok(())
    }
}
