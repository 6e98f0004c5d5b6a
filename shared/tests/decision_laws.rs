//! The laws of the decision core, for any mix of receivers of a group and any triggers: a batch is decided as
//! its triggers would be one by one, bounds hold, every trigger gets one verdict, and the ledger alone tells
//! the state.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use stormhook_shared::decide::{Growth, HostSeen, HostsSeen, Seen, ServiceSeen, Waiting, fold};
use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ProjectId, ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::kind::{
    DeleteOption, Driver, Kind, ScaleHost, ScaleService, Scaling,
};
use stormhook_shared::domain::ledger::{
    Action, Entry, Group, GroupState, OpenPlan, Performance, Plan, Record,
};
use stormhook_shared::domain::outcome::{Code, Outcome, Status, Verdict};
use stormhook_shared::domain::receiver::{
    Activity, Condition, Dedupe, KeyVersions, OnLimit, OnRepeat, OnResolved, Options, Receiver,
    Test,
};
use stormhook_shared::domain::scaling::{Amount, Bounds, Direction};
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::{Logged, Source, Trigger};
use stormhook_shared::what_if::{Recorded, Rerun, Start};

const NOW: i64 = 1_800_000_000_000;

fn project() -> ProjectId {
    "1a5".parse().unwrap()
}

/// A receiver of a service or of a group of hosts; which one, [`story`] says for all of them.
fn receiver() -> impl Strategy<Value = Receiver> {
    let scaling = (any::<bool>(), 1_u32..6, 1_u32..12, 1_u32..12);
    let options = (
        0_u64..3,
        0_u64..3,
        any::<bool>(),
        0_u8..3,
        any::<bool>(),
        any::<bool>(),
    );
    (scaling, options, prop::bool::weighted(0.85)).prop_map(
        |(
            (is_up, amount, min, more),
            (own, all, clamps, resolved, ignores, filters),
            is_active,
        )| {
            Receiver {
                id: ReceiverId::from_bytes([0; 12]),
                project: project(),
                name: "scale-web".to_owned(),
                kind: Kind::ScaleHost(ScaleHost {
                    host_selector: Selector::parse("role=web").unwrap(),
                    scaling: Scaling {
                        action: if is_up {
                            Direction::Up
                        } else {
                            Direction::Down
                        },
                        amount: Amount::try_from(amount).unwrap(),
                        bounds: Bounds::new(
                            Amount::try_from(min).unwrap(),
                            Amount::try_from(min + more).unwrap(),
                        )
                        .unwrap(),
                    },
                    delete_option: if amount % 2 == 0 {
                        DeleteOption::MostRecent
                    } else {
                        DeleteOption::LeastRecent
                    },
                    remove: own == 1,
                    include_managers: all == 1,
                }),
                options: Options {
                    cooldown: Duration::from_secs(own / 2),
                    group_cooldown: Duration::from_secs(all / 2),
                    on_limit: if clamps {
                        OnLimit::Clamp
                    } else {
                        OnLimit::Reject
                    },
                    on_resolved: [OnResolved::Skip, OnResolved::Trigger, OnResolved::Reverse]
                        [usize::from(resolved)],
                    on_repeat: if ignores {
                        OnRepeat::Ignore
                    } else {
                        OnRepeat::Trigger
                    },
                    dedupe: Dedupe::None,
                    filter: if filters {
                        vec![Condition {
                            pointer: "/status".to_owned(),
                            test: Test::Glob("fir*".to_owned()),
                        }]
                    } else {
                        Vec::new()
                    },
                    ..Options::default_for(Driver::ScaleHost)
                },
                activity: if is_active {
                    Activity::Active
                } else {
                    Activity::Disabled { until: None }
                },
                keys: KeyVersions::FIRST,
                revision: 1,
                created_at: Timestamp::from_millis(0),
            }
        },
    )
}

/// Which receiver is called (one more than there are: a deleted one), and with which body.
fn calls() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0_u8..5, 0_u8..5), 1..60)
}

fn body(kind: u8) -> Vec<u8> {
    let notification = |status: &str, reason: &str| {
        json!({"version": "4", "status": status, "alerts": [], "notification_reason": reason})
            .to_string()
            .into_bytes()
    };
    match kind {
        0 => Vec::new(),
        1 => notification("firing", "first"),
        2 => notification("resolved", "resolved"),
        3 => notification("firing", "repeat"),
        _ => b"up!".to_vec(),
    }
}

struct Story {
    receivers: Vec<Arc<Receiver>>,
    waiting: Vec<Waiting>,
}

fn story(driver: Driver, receivers: Vec<Receiver>, calls: &[(u8, u8)]) -> Story {
    let receivers: Vec<_> = receivers
        .into_iter()
        .zip(1_u8..)
        .map(|(receiver, number)| {
            Arc::new(Receiver {
                id: ReceiverId::from_bytes([number; 12]),
                kind: match &receiver.kind {
                    Kind::ScaleHost(config) if driver == Driver::ScaleService => {
                        Kind::ScaleService(ScaleService {
                            service_id: "1s5".to_owned(),
                            override_autoscaler: false,
                            scaling: config.scaling,
                        })
                    }
                    kind => kind.clone(),
                },
                ..receiver
            })
        })
        .collect();
    let group = receivers[0].group();
    let waiting = calls
        .iter()
        .zip(1_u64..)
        .map(|((called, kind), sequence)| {
            let receiver = receivers.get(usize::from(*called)).cloned();
            let logged = Logged {
                sequence: Sequence(sequence),
                trigger: Trigger {
                    id: TriggerId::of_undecodable(Sequence(sequence)),
                    receiver_id: ReceiverId::from_bytes([called + 1; 12]),
                    receiver_name: "scale-web".to_owned(),
                    driver,
                    project: project(),
                    group: group.clone(),
                    accepted_at: Timestamp::from_millis(NOW),
                    source: Source {
                        address: None,
                        user_agent: None,
                    },
                    idempotency_key: None,
                    replay_of: None,
                    ignores_cooldown: false,
                    parent_id: None,
                    parent_sequence: None,
                    notice: None,
                    query: None,
                    registry_revision: Revision(0),
                    headers: BTreeMap::new(),
                    content_type: None,
                    body: body(*kind),
                },
            };
            Waiting::new(logged, receiver)
        })
        .collect();
    Story { receivers, waiting }
}

/// What a group acts upon.
#[derive(Debug, Clone, PartialEq)]
enum Platform {
    Service(u32),
    Hosts {
        hosts: Vec<HostSeen>,
        created: i64,
    },
    /// The spares in the order in which they were drained.
    Pool {
        hosts: Vec<HostSeen>,
        spares: Vec<HostSeen>,
    },
}

impl Platform {
    fn new(driver: Driver, size: u32) -> Self {
        if driver == Driver::ScaleService {
            return Self::Service(size);
        }
        let mut platform = Self::Hosts {
            hosts: Vec::new(),
            created: 0,
        };
        for number in 1..=size {
            platform.create(format!("web{number:02}"), number % 5 != 0, number % 4 != 0);
        }
        platform
    }

    /// The same hosts as a fixed pool, of which some are out of service.
    fn pooled(self, size: u32) -> Self {
        let Self::Hosts { mut hosts, .. } = self else {
            return self;
        };
        for (host, number) in hosts.iter_mut().zip(1_usize..) {
            host.is_manager = number % 7 == 0;
        }
        let spares = hosts.split_off(hosts.len().min(size as usize / 2));
        Self::Pool { hosts, spares }
    }

    fn create(&mut self, name: String, is_working: bool, is_cloneable: bool) {
        let Self::Hosts { hosts, created } = self else {
            panic!("hosts are created in groups of hosts");
        };
        *created += 1;
        hosts.push(HostSeen {
            id: format!("1h{created}"),
            name,
            created_at: Timestamp::from_millis(*created),
            is_working,
            is_cloneable,
            is_manager: false,
        });
    }

    fn seen(&self) -> Seen {
        match self {
            Self::Service(scale) => Seen::Service(ServiceSeen {
                id: "1s5".to_owned(),
                name: "web".to_owned(),
                scale: *scale,
                version: None,
                unscalable: None,
                autoscaled: None,
                containers: Vec::new(),
            }),
            Self::Hosts { hosts, .. } => Seen::Hosts(HostsSeen {
                hosts: hosts.clone(),
                growth: Growth::Clones {
                    names_in_use: hosts.iter().map(|host| host.name.clone()).collect(),
                },
            }),
            Self::Pool { hosts, spares } => Seen::Hosts(HostsSeen {
                hosts: hosts.clone(),
                growth: Growth::Pool {
                    spares: spares.clone(),
                },
            }),
        }
    }

    fn size(&self) -> u32 {
        match self {
            Self::Service(scale) => *scale,
            Self::Hosts { hosts, .. } | Self::Pool { hosts, .. } => {
                u32::try_from(hosts.len()).unwrap()
            }
        }
    }

    fn perform(&mut self, action: &Action) {
        let (Action::ScaleService { from, to, .. } | Action::ScaleHosts { from, to, .. }) = action
        else {
            panic!("{action} does not belong here");
        };
        assert_eq!(*from, self.size());
        match (action, &mut *self) {
            (Action::ScaleHosts { create, remove, .. }, Self::Hosts { hosts, .. }) => {
                for new in create {
                    assert!(
                        hosts.iter().all(|host| host.name != new.name),
                        "{}",
                        new.name
                    );
                    assert!(
                        hosts
                            .iter()
                            .any(|host| host.id == new.base && host.is_cloneable)
                    );
                }
                let before = hosts.len();
                hosts.retain(|host| remove.iter().all(|gone| gone.id != host.id));
                assert_eq!(before - hosts.len(), remove.len(), "each goes once");
                for new in create {
                    self.create(new.name.clone(), true, true);
                }
            }
            (
                Action::ScaleHosts {
                    activate,
                    drain,
                    remove,
                    ..
                },
                Self::Pool { hosts, spares },
            ) => {
                assert!(activate.is_empty() || (drain.is_empty() && remove.is_empty()));
                for wanted in activate {
                    let place = spares.iter().position(|host| host.id == wanted.id);
                    hosts.push(spares.remove(place.expect("only spares are activated")));
                }
                for wanted in drain.iter().chain(remove) {
                    let place = hosts.iter().position(|host| host.id == wanted.id);
                    let host = hosts.remove(place.expect("only those in service are drained"));
                    if drain.contains(wanted) {
                        spares.push(host);
                    }
                }
            }
            (_, Self::Service(scale)) => *scale = *to,
            _ => panic!("{action} does not belong here"),
        }
        assert_eq!(*to, self.size());
    }
}

/// A group, its platform and its ledger.
struct World {
    group: Group,
    platform: Platform,
    ledger: Vec<Entry>,
    outcomes: Vec<Outcome>,
    actions: usize,
}

impl World {
    fn new(platform: Platform) -> Self {
        Self {
            group: Group::default(),
            platform,
            ledger: Vec::new(),
            outcomes: Vec::new(),
            actions: 0,
        }
    }

    /// Decides `batch`; its actions, if there are any, fail with `failure` or are done.
    fn settle(&mut self, mut batch: &[Waiting], failure: Option<Code>) {
        while !batch.is_empty() {
            let now = Timestamp::from_millis(NOW);
            let decided = fold(&self.group.state, Some(&self.platform.seen()), batch, now);
            assert!(!decided.drafts.is_empty(), "each step settles something");
            batch = &batch[decided.drafts.len()..];
            let Some(action) = decided.action else {
                let outcomes = decided.drafts;
                self.outcomes
                    .extend(outcomes.iter().map(|draft| draft.settle(0, now)));
                self.append(Entry::Settled {
                    outcomes,
                    at: now,
                    calls: Calls::default(),
                });
                continue;
            };
            let plan = Plan {
                action,
                drafts: decided.drafts,
                decided_at: now,
                deadline: now,
                drift: decided.drift,
                calls: Calls::default(),
            };
            self.append(Entry::Planned(plan));
            let OpenPlan { revision, plan } = self.group.open_plan.clone().unwrap();
            let performance = match failure {
                Some(code) => Performance::failed(code, "no".to_owned(), 1, now),
                None => {
                    self.platform.perform(&plan.action);
                    Performance::done(1, now)
                }
            };
            self.actions += 1;
            self.outcomes.extend(plan.outcomes(&performance));
            self.append(Entry::Performed {
                plan: revision,
                performance,
            });
        }
    }

    fn append(&mut self, entry: Entry) {
        self.ledger.push(entry.clone());
        let revision = Revision(self.ledger.len() as u64);
        self.group = self.group.after(revision, entry);
    }

    fn verdicts(&self) -> Vec<String> {
        self.outcomes
            .iter()
            .map(|outcome| format!("{} {:?}", outcome.trigger.sequence, outcome.verdict))
            .collect()
    }
}

fn in_batches(story: &Story, start: &Platform, cuts: &[usize]) -> World {
    let mut world = World::new(start.clone());
    let mut rest = &story.waiting[..];
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let size = cuts.next().map_or(1, |cut| (*cut).clamp(1, rest.len()));
        let (batch, later) = rest.split_at(size);
        world.settle(batch, None);
        rest = later;
    }
    world
}

/// Where a story's history begins.
fn what_if_start(story: &Story, scale: u32) -> Start {
    let changed = &story.receivers[0];
    Start {
        state: GroupState {
            scale: Some(scale),
            ..GroupState::default()
        },
        target: changed.kind.target(),
        name: "web".to_owned(),
        receivers: story
            .receivers
            .iter()
            .map(|receiver| (receiver.id, Arc::clone(receiver)))
            .collect(),
        changed: changed.id,
    }
}

fn recorded(waiting: &Waiting, outcome: &Outcome) -> Recorded {
    Recorded {
        facts: outcome.trigger.clone(),
        trigger: waiting.trigger().clone(),
        verdict: outcome.verdict.clone(),
        decided_at: outcome.settled_at,
        settled_at: outcome.settled_at,
    }
}

fn driver() -> impl Strategy<Value = Driver> {
    prop_oneof![Just(Driver::ScaleService), Just(Driver::ScaleHost)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_batch_is_decided_as_its_triggers_one_by_one(
        driver in driver(),
        is_pool in any::<bool>(),
        receivers in prop::collection::vec(receiver(), 1..4),
        calls in calls(),
        start in 0_u32..25,
        cuts in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let story = story(driver, receivers, &calls);
        let start = match Platform::new(driver, start) {
            platform if is_pool => platform.pooled(start),
            platform => platform,
        };
        let one_by_one = in_batches(&story, &start, &[1]);
        let batched = in_batches(&story, &start, &cuts);
        prop_assert_eq!(one_by_one.verdicts(), batched.verdicts());
        prop_assert_eq!(names(&one_by_one.platform), names(&batched.platform));
        prop_assert_eq!(one_by_one.platform.size(), batched.platform.size());
        prop_assert_eq!(&one_by_one.group.state, &batched.group.state);
        prop_assert!(batched.actions <= one_by_one.actions);
    }

    #[test]
    fn every_trigger_gets_one_verdict_and_no_action_leaves_its_receivers_bounds(
        driver in driver(),
        receivers in prop::collection::vec(receiver(), 1..4),
        calls in calls(),
        start in 0_u32..25,
        cuts in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let story = story(driver, receivers, &calls);
        let world = in_batches(&story, &Platform::new(driver, start), &cuts);
        let sequences: Vec<_> = world.outcomes.iter().map(|outcome| outcome.trigger.sequence.0).collect();
        prop_assert_eq!(sequences, (1..=calls.len() as u64).collect::<Vec<_>>());
        for outcome in &world.outcomes {
            if outcome.verdict.code.status() != Status::Succeeded {
                continue;
            }
            let called = outcome.trigger.receiver.as_ref().unwrap().id;
            let receiver = story.receivers.iter().find(|receiver| receiver.id == called).unwrap();
            let (Kind::ScaleService(ScaleService { scaling, .. })
            | Kind::ScaleHost(ScaleHost { scaling, .. })) = &receiver.kind
            else {
                panic!("only scaling kinds are here");
            };
            let (from, to) = (outcome.verdict.from.unwrap(), outcome.verdict.to.unwrap());
            if to > from {
                prop_assert!(to <= scaling.bounds.max());
            } else {
                prop_assert!(to >= scaling.bounds.min());
            }
            prop_assert!(from.abs_diff(to) <= scaling.amount.get());
        }
    }

    #[test]
    fn under_the_same_receivers_history_would_have_been_the_same(
        driver in driver(),
        receivers in prop::collection::vec(receiver(), 1..4),
        calls in calls(),
        start in 0_u32..25,
        failures in prop::collection::vec(any::<bool>(), 1..5),
        cut in 1_usize..40,
    ) {
        let story = story(driver, receivers, &calls);
        let mut world = World::new(Platform::new(driver, start));
        for (batch, fails) in story.waiting.chunks(cut).zip(failures.iter().cycle()) {
            world.settle(batch, fails.then_some(Code::PlatformRefused));
        }
        let mut rerun = Rerun::new(what_if_start(&story, start));
        for (waiting, outcome) in story.waiting.iter().zip(&world.outcomes) {
            let decided = rerun.decide(recorded(waiting, outcome));
            let ends = |verdict: &Verdict| (verdict.code, verdict.from, verdict.to);
            // A batch that fails takes those along that were in their cooldown whatever became of it.
            let is_taken_along = outcome.verdict.code == Code::PlatformRefused
                && decided.what_if.code == Code::CoolingDown;
            if !is_taken_along {
                prop_assert_eq!(ends(&decided.what_if), ends(&outcome.verdict), "{:?}", outcome);
            }
            prop_assert_eq!(decided.scale, decided.recorded_scale);
        }
    }

    #[test]
    fn the_ledger_alone_tells_the_state(
        driver in driver(),
        receivers in prop::collection::vec(receiver(), 1..4),
        calls in calls(),
        start in 0_u32..25,
        cuts in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let story = story(driver, receivers, &calls);
        let world = in_batches(&story, &Platform::new(driver, start), &cuts);
        let mut replayed = Group::default();
        for (entry, revision) in world.ledger.iter().zip(1..) {
            let state = replayed.state_after(entry);
            replayed = replayed.after(Revision(revision), entry.clone());
            let last = Record { group: GroupKey::named("g"), entry: entry.clone(), state };
            let stored = serde_json::to_vec(&last).unwrap();
            let read: Record = serde_json::from_slice(&stored).unwrap();
            prop_assert_eq!(&Group::from_last(Revision(revision), read), &replayed);
        }
        prop_assert_eq!(&replayed, &world.group);
        prop_assert_eq!(replayed.state.settled, Sequence(calls.len() as u64));
    }

    #[test]
    fn a_failed_action_changes_nothing_and_fails_only_what_supposed_it(
        receivers in prop::collection::vec(receiver(), 1..4),
        calls in calls(),
        start in 0_u32..25,
    ) {
        let story = story(Driver::ScaleService, receivers, &calls);
        let start = Platform::Service(start);
        let mut failed = World::new(start.clone());
        failed.settle(&story.waiting, Some(Code::PlatformRefused));
        let mut done = World::new(start.clone());
        done.settle(&story.waiting, None);
        prop_assert_eq!(failed.outcomes.len(), calls.len());
        if failed.actions == 0 {
            return Ok(());
        }
        prop_assert_eq!(&failed.platform, &start);
        let state = GroupState { settled: failed.group.state.settled, ..GroupState::default() };
        prop_assert_eq!(&failed.group.state, &state, "nothing was performed");
        for (failed, done) in failed.outcomes.iter().zip(&done.outcomes) {
            prop_assert_ne!(failed.verdict.code.status(), Status::Succeeded);
            if failed.verdict.code != Code::PlatformRefused {
                prop_assert_eq!(failed, done);
            }
        }
    }

    #[test]
    fn without_the_platform_a_beginning_of_the_batch_is_decided_the_same(
        driver in driver(),
        receivers in prop::collection::vec(receiver(), 1..4),
        calls in calls(),
        start in 0_u32..25,
    ) {
        let story = story(driver, receivers, &calls);
        let now = Timestamp::from_millis(NOW);
        let state = GroupState::default();
        let unaided = fold(&state, None, &story.waiting, now);
        let aided = fold(&state, Some(&Platform::new(driver, start).seen()), &story.waiting, now);
        prop_assert_eq!(unaided.action, None);
        prop_assert_eq!(&unaided.drafts[..], &aided.drafts[..unaided.drafts.len()]);
    }
}

fn names(platform: &Platform) -> Vec<&str> {
    match platform {
        Platform::Service(_) => Vec::new(),
        Platform::Hosts { hosts, .. } | Platform::Pool { hosts, .. } => {
            let mut names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
            names.sort_unstable();
            names
        }
    }
}
