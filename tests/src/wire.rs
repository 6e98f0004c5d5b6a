//! The wire between a process and its platform, on which one message can be kept from its receiver: the moments at which a
//! kill can be fatal are made to come, instead of being hoped for.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait;

/// A moment of an action, by what is on the wire. Changing calls count from 1. What comes after it does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This changing call was sent and did not arrive; those before it were answered.
    Call(usize),
    /// This changing call was done and its answer did not arrive; those before it were answered.
    Answer(usize),
    /// So many changing calls were answered, and after them so many looks; the next look is not.
    Look {
        /// Changing calls.
        calls: usize,
        /// Looks.
        looks: usize,
    },
}

impl Moment {
    /// Every moment of an action of so many changing calls: before it is planned, just after that, while each call is on
    /// its way there and back, and when nothing but the outcome is missing.
    pub fn all(calls: usize) -> Vec<Self> {
        let look = |calls, looks| Self::Look { calls, looks };
        let each = (1..=calls).flat_map(|number| [Self::Call(number), Self::Answer(number)]);
        [look(0, 0), look(0, 1)]
            .into_iter()
            .chain(each)
            .chain([look(calls, 0)])
            .collect()
    }

    /// Whether what is to be done was planned before it.
    pub(crate) fn has_plan(self) -> bool {
        self != Self::Look { calls: 0, looks: 0 }
    }

    /// How many changing calls were answered before it.
    fn answered(self) -> usize {
        match self {
            Self::Call(number) | Self::Answer(number) => number - 1,
            Self::Look { calls, .. } => calls,
        }
    }
}

/// The wire between a process and its platform, which passes everything on until it is stopped at a moment.
pub struct Wire {
    traffic: watch::Sender<Traffic>,
    _tasks: JoinSet<()>,
    /// The process's end, like `http://127.0.0.1:40123`.
    pub address: String,
}

/// How much of an HTTP message is passed on at once.
const CHUNK: usize = 64 * 1024;

/// What has passed since the wire was stopped or opened.
#[derive(Debug, Default)]
struct Traffic {
    /// Goes up when the wire is opened: connections from before are lost.
    round: usize,
    moment: Option<Moment>,
    calls: usize,
    answered: usize,
    looks: usize,
    /// What the moment is about has come, and did not pass.
    has_come: bool,
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Change,
    Look,
    /// Whatever else is sent: a look whether the platform is there, a subscription, the rest of a request.
    Other,
}

impl Wire {
    /// Starts one to `platform` (an address and port).
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) async fn start(platform: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let traffic = watch::Sender::new(Traffic::default());
        let (platform, passing) = (platform.to_owned(), traffic.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((process, _)) = listener.accept().await {
                connections.spawn(pass_on(process, platform.clone(), passing.clone()));
            }
        });
        Self {
            traffic,
            _tasks: tasks,
            address: format!("http://{address}"),
        }
    }

    /// Stops it at `moment` of what begins from now on.
    pub fn stop_at(&self, moment: Moment) {
        self.traffic.send_modify(|traffic| {
            *traffic = Traffic {
                round: traffic.round,
                moment: Some(moment),
                ..Traffic::default()
            };
        });
    }

    /// Waits until the moment has come.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn stopped(&self) {
        wait::until("the moment on the wire", || async {
            let traffic = self.traffic.borrow();
            if traffic.is_stopped() {
                Ok(())
            } else {
                Err(format!("{:?}", *traffic))
            }
        })
        .await;
    }

    /// Opens it again. What was stopped is lost, and so is everybody's connection.
    pub fn open(&self) {
        self.traffic.send_modify(|traffic| {
            *traffic = Traffic {
                round: traffic.round + 1,
                ..Traffic::default()
            };
        });
    }
}

impl Traffic {
    fn is_stopped(&self) -> bool {
        let answered = self.moment.map(Moment::answered);
        self.has_come && answered == Some(self.answered)
    }

    /// Whether a request passes on a connection of `round`, and which changing call it is.
    fn request(&mut self, round: usize, purpose: Purpose) -> (bool, Option<usize>) {
        if round != self.round {
            return (false, None);
        }
        match purpose {
            Purpose::Change => {
                self.calls += 1;
                (self.call(self.calls), Some(self.calls))
            }
            Purpose::Look => (self.look(), None),
            Purpose::Other => (true, None),
        }
    }

    fn call(&mut self, number: usize) -> bool {
        let Some(moment) = self.moment else {
            return true;
        };
        self.has_come |= moment == Moment::Call(number);
        match moment {
            Moment::Call(stopped) => number < stopped,
            Moment::Answer(last) | Moment::Look { calls: last, .. } => number <= last,
        }
    }

    fn look(&mut self) -> bool {
        match self.moment {
            Some(Moment::Look { calls, looks }) if self.answered >= calls => {
                self.looks += 1;
                let passes = self.looks <= looks;
                self.has_come |= !passes;
                passes
            }
            _ => true,
        }
    }

    /// Whether the answer to a changing call passes on a connection of `round`.
    fn answer(&mut self, round: usize, number: usize) -> bool {
        if round != self.round {
            return false;
        }
        let is_stopped = self.moment == Some(Moment::Answer(number));
        self.has_come |= is_stopped;
        self.answered += usize::from(!is_stopped);
        !is_stopped
    }
}

impl Purpose {
    /// By the first line of what is sent. Nobody sends a request before the one before it is answered.
    fn of(sent: &[u8]) -> Self {
        let line = sent.split(|byte| *byte == b'\n').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        let (method, rest) = line.split_once(' ').unwrap_or_default();
        let is_aside = rest.contains("/subscribe?") || rest.contains("limit=1 ");
        match method {
            "POST" | "PUT" | "DELETE" => Self::Change,
            "GET" if !is_aside => Self::Look,
            _ => Self::Other,
        }
    }
}

/// Carries one connection.
async fn pass_on(mut process: TcpStream, platform: String, traffic: watch::Sender<Traffic>) {
    let round = traffic.borrow().round;
    let Ok(mut platform) = TcpStream::connect(platform).await else {
        return;
    };
    let (mut sent, mut answered) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut call = None;
    loop {
        tokio::select! {
            came = process.read(&mut sent) => {
                let Ok(count @ 1..) = came else { return };
                let purpose = Purpose::of(&sent[..count]);
                let (passes, number) = note(&traffic, |traffic| traffic.request(round, purpose));
                if !passes {
                    lost(&traffic, round).await;
                    return;
                }
                call = number.or(call);
                if platform.write_all(&sent[..count]).await.is_err() {
                    return;
                }
            }
            came = platform.read(&mut answered) => {
                let Ok(count @ 1..) = came else { return };
                if let Some(number) = call.take()
                    && !note(&traffic, |traffic| traffic.answer(round, number))
                {
                    lost(&traffic, round).await;
                    return;
                }
                if process.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Notes something of the traffic, and returns what that comes to.
fn note<T>(traffic: &watch::Sender<Traffic>, change: impl FnOnce(&mut Traffic) -> T) -> T {
    let mut result = None;
    traffic.send_modify(|traffic| result = Some(change(traffic)));
    result.expect("it is noted at once")
}

/// Returns when what is stopped on connections of `round` is lost.
async fn lost(traffic: &watch::Sender<Traffic>, round: usize) {
    let mut changes = traffic.subscribe();
    while traffic.borrow().round == round {
        // Cannot fail while this end is there.
        if changes.changed().await.is_err() {
            return;
        }
    }
}
