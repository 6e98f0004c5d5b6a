//! What happens to one worker whenever it waits for something.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stormhook_shared::ports::Unavailable;
use tokio::time::{Instant, sleep, sleep_until};

use super::world::{Inner, World};

/// Of how many waits one kills the worker.
const DEATHS: u64 = 400;
/// Of how many waits one freezes it.
const FREEZES: u64 = 300;
/// Of how many requests one is lost, and of how many one whose reply is.
const LOSSES: u64 = 25;
/// How long a freeze lasts at most: longer than a lease.
const LONGEST_FREEZE: u64 = 9_000;
/// How long a request is on its way at most, each way; now and then ten times as long.
const LONGEST_WAY: u64 = 15;

/// What happens to one worker. A dead one never returns from a wait: it has no effect any more.
pub(super) struct Nerve {
    world: Arc<World>,
    /// Its name among the workers.
    pub(super) name: String,
    fate: Mutex<Fate>,
}

struct Fate {
    is_dead: bool,
    frozen_until: Instant,
}

impl Nerve {
    pub(super) fn new(world: Arc<World>, name: String) -> Self {
        Self {
            world,
            name,
            fate: Mutex::new(Fate {
                is_dead: false,
                frozen_until: Instant::now(),
            }),
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.fate().is_dead
    }

    /// A request that has `effect` on the world.
    pub(super) async fn request<T>(
        &self,
        effect: impl FnOnce(&mut Inner) -> T,
    ) -> Result<T, Unavailable> {
        self.wait().await;
        if self.happens(LOSSES) {
            return Err(lost());
        }
        let reply = self.world.with(effect);
        self.wait().await;
        if self.happens(LOSSES) {
            return Err(lost());
        }
        Ok(reply)
    }

    /// Whatever happens while the worker waits for something to go its way.
    pub(super) async fn wait(&self) {
        if self.happens(DEATHS) {
            self.fate().is_dead = true;
        }
        if self.happens(FREEZES) {
            let freeze = Duration::from_millis(self.world.below(LONGEST_FREEZE));
            self.fate().frozen_until = Instant::now() + freeze;
        }
        self.go_on().await;
        let way = self.world.below(LONGEST_WAY);
        let way = if self.happens(30) { way * 10 } else { way };
        sleep(Duration::from_millis(way)).await;
        self.go_on().await;
    }

    /// Returns once the worker can go on, if it ever can.
    async fn go_on(&self) {
        loop {
            let (is_dead, until) = {
                let fate = self.fate();
                (fate.is_dead, fate.frozen_until)
            };
            if is_dead {
                std::future::pending::<()>().await;
            }
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Whether something happens that does so once in `times`, as long as there is trouble.
    pub(super) fn happens(&self, times: u64) -> bool {
        self.world.is_troubled() && self.world.below(times) == 0
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost() -> Unavailable {
    Unavailable::TimedOut {
        what: "the world",
        after: Duration::ZERO,
    }
}
