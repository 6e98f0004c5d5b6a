//! A group and what it acts upon, as the next trigger of a batch finds them.

use std::collections::BTreeSet;

use super::checks::{self, Stop, Wish};
use super::fold::Waiting;
use super::scale_host::HostGroup;
use super::{MatchedService, Seen, ServiceSeen, scale_service, service_upgrade};
use crate::domain::ids::{ReceiverId, TriggerId};
use crate::domain::kind::{ForwardPost, Kind, ServiceUpgrade};
use crate::domain::ledger::{Action, Child, Draft, GroupState};
use crate::domain::outcome::{Code, Verdict};
use crate::domain::push::{Notice, Push, is_same_repository};
use crate::domain::receiver::Receiver;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;

/// How many services a sentence names.
const MOST_NAMED: usize = 10;

/// A group and what it acts upon, as the next trigger finds them.
pub(super) struct View {
    state: GroupState,
    target: Target,
    has_acted: bool,
    /// The action that nothing can be folded into.
    last_action: Option<Action>,
    /// Receivers whose pushes have settled.
    settled: BTreeSet<ReceiverId>,
    wait_until: Option<Timestamp>,
}

enum Target {
    Unknown,
    Service {
        before: ServiceSeen,
        now: ServiceSeen,
    },
    Hosts(HostGroup),
    Services(Vec<MatchedService>),
    Endpoint,
    Hopeless(Verdict),
}

/// The batch ends before the next trigger.
pub(super) struct End;

impl View {
    pub(super) fn new(state: &GroupState, seen: Option<&Seen>) -> Self {
        let target = match seen.cloned() {
            None => Target::Unknown,
            Some(Seen::Service(service)) => Target::Service {
                before: service.clone(),
                now: service,
            },
            Some(Seen::Hosts(hosts)) => Target::Hosts(HostGroup::new(hosts)),
            Some(Seen::Services(services)) => Target::Services(services),
            Some(Seen::Endpoint) => Target::Endpoint,
            Some(Seen::Gone { reason }) => {
                Target::Hopeless(Verdict::new(Code::ServiceRemoved, reason))
            }
            Some(Seen::Unsupported { reason }) => {
                Target::Hopeless(Verdict::new(Code::Unsupported, reason))
            }
            Some(Seen::Unreadable(verdict)) => Target::Hopeless(verdict),
        };
        Self {
            state: state.clone(),
            target,
            has_acted: false,
            last_action: None,
            settled: BTreeSet::new(),
            wait_until: None,
        }
    }

    /// What has to be done for all triggers so far.
    pub(super) fn action(&self) -> Option<Action> {
        if self.last_action.is_some() {
            return self.last_action.clone();
        }
        match &self.target {
            Target::Service { before, now } if before.scale != now.scale => {
                Some(Action::ScaleService {
                    service_id: before.id.clone(),
                    name: before.name.clone(),
                    from: before.scale,
                    to: now.scale,
                    version: before.version.clone(),
                })
            }
            Target::Hosts(group) => group.action(),
            _ => None,
        }
    }

    /// Until when the next trigger has to wait, if it has to.
    pub(super) fn wait_until(&self) -> Option<Timestamp> {
        self.wait_until
    }

    /// The verdict on `waiting`, behind which come those `later`; `None` where the batch ends before it.
    pub(super) fn decide(
        &mut self,
        waiting: &Waiting,
        later: &[Waiting],
        now: Timestamp,
    ) -> Option<Draft> {
        if self.last_action.is_some() {
            return None;
        }
        let receiver = waiting.receiver();
        let trigger = waiting.trigger();
        let verdict = if trigger.parent_id.is_some() {
            match checks::is_active(trigger, receiver, now) {
                Err(verdict) => return Some(waiting.draft(verdict, false)),
                Ok(receiver) => self.decide_child(waiting, receiver, later, now),
            }
        } else {
            match checks::pass(&self.state, trigger, receiver, now) {
                Err(Stop::Regardless(verdict)) => return Some(waiting.draft(verdict, false)),
                Err(Stop::AfterAction(verdict)) => {
                    return Some(waiting.draft(verdict, self.has_acted));
                }
                Ok((receiver, wish)) => self.decide_kind(waiting, receiver, wish, later, now),
            }
        };
        verdict
            .ok()
            .map(|verdict| waiting.draft(verdict, self.has_acted))
    }

    fn decide_kind(
        &mut self,
        waiting: &Waiting,
        receiver: &Receiver,
        wish: Wish,
        later: &[Waiting],
        now: Timestamp,
    ) -> Result<Verdict, End> {
        let on_limit = receiver.options.on_limit;
        let (verdict, scale) = match (&receiver.kind, &mut self.target) {
            (Kind::ServiceUpgrade(config), _) => {
                return self.decide_push(waiting, receiver, config, later, now);
            }
            (_, Target::Unknown) => return Err(End),
            (_, Target::Hopeless(verdict)) => return Ok(verdict.clone()),
            (Kind::ScaleService(config), Target::Service { now: service, .. }) => {
                let verdict = scale_service::decide(config, on_limit, wish, service);
                (verdict, Some(service.scale))
            }
            (Kind::ScaleHost(config), Target::Hosts(group)) => {
                let verdict = group.decide(config, on_limit, wish)?;
                (verdict, Some(group.count()))
            }
            (Kind::ForwardPost(config), Target::Endpoint) => {
                self.last_action = Some(forward(config, waiting));
                let target = format!("{}:{}{}", config.service_name, config.port, config.path);
                let verdict = Verdict::new(Code::Forwarded, format!("passed on to {target}"));
                (verdict, None)
            }
            _ => return Ok(misplaced()),
        };
        if matches!(
            verdict.code,
            Code::Scaled | Code::HostsAdded | Code::HostsRemoved | Code::Forwarded
        ) {
            self.has_acted = true;
            self.state.note_action(receiver.id, now, scale);
        }
        Ok(verdict)
    }

    /// A push that was told to a receiver: later ones of the same receiver make it needless, and it waits until no
    /// more have come for a while.
    fn decide_push(
        &mut self,
        waiting: &Waiting,
        receiver: &Receiver,
        config: &ServiceUpgrade,
        later: &[Waiting],
        now: Timestamp,
    ) -> Result<Verdict, End> {
        let push = match service_upgrade::wanted(config, waiting.trigger().notice.as_ref()) {
            Ok(push) => push,
            Err(verdict) => return Ok(verdict),
        };
        // The newest that would be acted upon, of those that have something to do with `is_meant`.
        let newest = |is_meant: &dyn Fn(&Push) -> bool| {
            later.iter().rev().find(|other| {
                let notice = other.trigger().notice.as_ref();
                other.receiver_id() == receiver.id
                    && service_upgrade::wanted(config, notice).is_ok_and(is_meant)
                    && checks::regardless(other.trigger(), other.receiver(), now).is_ok()
            })
        };
        let last = newest(&|_| true);
        if !self.settled.contains(&receiver.id) {
            let first = waiting.trigger().accepted_at;
            let last = last.map_or(first, |last| last.trigger().accepted_at);
            let start = service_upgrade::starts_at(config, first, last);
            if now < start {
                self.wait_until = Some(start);
                return Err(End);
            }
            self.settled.insert(receiver.id);
        }
        let superseded = || {
            let message = "another push came before this one's upgrade had started";
            Ok(Verdict::new(Code::Superseded, message))
        };
        if newest(&|newer| is_same_repository(&newer.image, &push.image)).is_some() {
            return superseded();
        }
        let services = match &self.target {
            Target::Unknown => return Err(End),
            Target::Hopeless(verdict) => return Ok(verdict.clone()),
            Target::Services(services) => services,
            _ => return Ok(misplaced()),
        };
        let concerned: Vec<_> = services
            .iter()
            .filter(|service| service.takes(&push.image))
            .cloned()
            .collect();
        // Where services take any image, the newest push is for all of them; elsewhere, each repository's is for its own.
        let takes_any = |service: &MatchedService| service.repositories.is_none();
        if last.is_some() && !concerned.is_empty() && concerned.iter().all(takes_any) {
            return superseded();
        }
        let services = match service_upgrade::none_concerned(config, push, services, &concerned) {
            Some(verdict) => return Ok(verdict),
            None => &concerned,
        };
        let parent = waiting.trigger().id;
        let child = |service: &MatchedService| Child {
            service_id: service.id.clone(),
            name: service.name.clone(),
            trigger: TriggerId::child(receiver.id, parent, &service.id),
        };
        let message = format!("upgraded {} to {push}", named(services));
        self.last_action = Some(Action::UpgradeServices {
            push: push.clone(),
            services: services.iter().map(child).collect(),
        });
        self.has_acted = true;
        Ok(Verdict::new(Code::Upgraded, message))
    }

    /// A service's part of an upgrade.
    fn decide_child(
        &mut self,
        waiting: &Waiting,
        receiver: &Receiver,
        later: &[Waiting],
        now: Timestamp,
    ) -> Result<Verdict, End> {
        let trigger = waiting.trigger();
        let (Kind::ServiceUpgrade(config), Some(parent)) =
            (&receiver.kind, trigger.parent_sequence)
        else {
            return Ok(misplaced());
        };
        if self.state.parents.get(&receiver.id) >= Some(&parent) {
            let message = "the service took its part of this upgrade before";
            return Ok(Verdict::new(Code::Duplicate, message));
        }
        let Some(push) = told(trigger) else {
            return Ok(misplaced());
        };
        let newer = || {
            later
                .iter()
                .filter(|other| {
                    other.receiver_id() == receiver.id
                        && other.trigger().parent_sequence > Some(parent)
                })
                .filter_map(|other| told(other.trigger()))
        };
        let superseded = || {
            let message = "another push came before the service's upgrade had started";
            Ok(Verdict::new(Code::Superseded, message))
        };
        if newer().any(|newer| is_same_repository(&newer.image, &push.image)) {
            return superseded();
        }
        let service = match &self.target {
            Target::Unknown => return Err(End),
            Target::Hopeless(verdict) => return Ok(verdict.clone()),
            // What was decided before is done first.
            Target::Service { .. } if self.has_acted => return Err(End),
            Target::Service { now, .. } => now,
            _ => return Ok(misplaced()),
        };
        match service_upgrade::upgrade(config, push, service) {
            Err(verdict) => Ok(verdict),
            Ok(_) if newer().any(|newer| service_upgrade::covers(config, newer, push, service)) => {
                superseded()
            }
            Ok(action) => {
                let message = format!("upgraded {} to {push}", service.name);
                self.last_action = Some(action);
                self.has_acted = true;
                self.state.note_action(receiver.id, now, None);
                Ok(Verdict::new(Code::Upgraded, message))
            }
        }
    }
}

/// The push that a part of an upgrade is about.
fn told(trigger: &Trigger) -> Option<&Push> {
    match &trigger.notice {
        Some(Notice::Pushed(pushes)) => pushes.first(),
        _ => None,
    }
}

fn forward(config: &ForwardPost, waiting: &Waiting) -> Action {
    let trigger = waiting.trigger();
    let path = match &trigger.query {
        Some(query) => format!("{}?{query}", config.path),
        None => config.path.clone(),
    };
    Action::Forward {
        trigger: trigger.id,
        service_name: config.service_name.clone(),
        port: config.port.get(),
        path,
    }
}

fn named(services: &[MatchedService]) -> String {
    let names: Vec<_> = services
        .iter()
        .take(MOST_NAMED)
        .map(|service| service.name.as_str())
        .collect();
    match services.len().checked_sub(MOST_NAMED) {
        Some(more) if more > 0 => format!("{} and {more} more", names.join(", ")),
        _ => names.join(", "),
    }
}

/// A trigger in a group that its receiver does not act on: only a defect can lead there.
fn misplaced() -> Verdict {
    let message = "the trigger does not belong to this group";
    Verdict::new(Code::Unsupported, message)
}
