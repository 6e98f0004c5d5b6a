//! What is left of a run once everything came to rest, and whether it fits together: the callers' records, the trigger
//! log, the ledger, and the platform's record of calls.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use serde_json::Value;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{Revision, Sequence};
use stormhook_shared::domain::ledger::{Action, Entry, Plan, Record};
use stormhook_shared::domain::outcome::{Outcome, Status};
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::trigger_log;

/// How much is read at once.
const PAGE: usize = 1_000;

/// What a run left.
pub struct Evidence {
    /// The ids of the triggers that callers got a 2xx for.
    pub accepted: Vec<String>,
    /// The changing calls that the platform recorded.
    pub calls: Vec<Value>,
    /// The scale of each service at the end, by its id.
    pub scales: BTreeMap<String, u64>,
    /// How often a worker was frozen: only then can a write come late.
    pub freezes: usize,
    triggers: BTreeMap<GroupKey, BTreeMap<Sequence, String>>,
    records: BTreeMap<GroupKey, Vec<(Revision, Record)>>,
}

impl Evidence {
    /// What the streams of `backbone` hold, with nothing else yet.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn gather(backbone: &Backbone) -> Self {
        let mut evidence = Self {
            accepted: Vec::new(),
            calls: Vec::new(),
            scales: BTreeMap::new(),
            freezes: 0,
            triggers: BTreeMap::new(),
            records: BTreeMap::new(),
        };
        for partition in backbone.triggers.partitions().iter() {
            let mut after = Sequence(0);
            loop {
                let page = backbone.triggers.read(partition, after, PAGE).await;
                let page = page.unwrap();
                let Some(last) = page.last() else { break };
                after = last.sequence();
                for entry in page {
                    let trigger_log::Entry::Trigger(logged) = entry else {
                        panic!("an undecodable entry: {entry:?}");
                    };
                    let group = evidence.triggers.entry(logged.trigger.group).or_default();
                    group.insert(logged.sequence, logged.trigger.id.to_string());
                }
            }
        }
        let mut after = Revision(0);
        loop {
            let page = backbone.ledger.read(after, PAGE).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.revision;
            for place in page {
                let record = place.record.unwrap();
                let group = evidence.records.entry(record.group.clone()).or_default();
                group.push((place.revision, record));
            }
        }
        evidence
    }

    /// Whether everything fits together.
    ///
    /// # Errors
    /// What does not fit, with the timeline of the group in which it was found.
    pub fn check(&self) -> Result<(), String> {
        let logged: HashSet<&str> = self
            .triggers
            .values()
            .flat_map(BTreeMap::values)
            .map(String::as_str)
            .collect();
        for id in &self.accepted {
            if !logged.contains(id.as_str()) {
                return Err(format!("trigger {id} was accepted and is not in the log"));
            }
        }
        for (group, triggers) in &self.triggers {
            self.check_group(group, triggers)
                .map_err(|error| format!("{group}: {error}\n{}", self.timeline(group)))?;
        }
        Ok(())
    }

    fn check_group(
        &self,
        group: &GroupKey,
        triggers: &BTreeMap<Sequence, String>,
    ) -> Result<(), String> {
        let service = group.as_str().rsplit('/').next().unwrap_or_default();
        let mut story = Story::new();
        for (revision, record) in self.records.get(group).into_iter().flatten() {
            story
                .go_on(*revision, &record.entry)
                .map_err(|error| format!("at revision {revision}: {error}"))?;
        }
        story.end(self.scales.get(service).copied())?;
        let settled: Vec<_> = story.settled.iter().collect();
        let expected: Vec<_> = triggers.keys().collect();
        if settled != expected {
            return Err(format!(
                "triggers {expected:?} were logged, and {settled:?} settled in this order"
            ));
        }
        if story.drifts > 0 && self.freezes == 0 {
            return Err("somebody else changed the scale, and nobody was frozen".to_owned());
        }
        self.check_writes(service)
    }

    /// No two writes overlap, but for the same goal.
    fn check_writes(&self, service: &str) -> Result<(), String> {
        let mut last: Option<(&str, &Value)> = None;
        for call in self.calls_of(service) {
            let start = call["startedAt"].as_str().unwrap_or_default();
            let end = call["endedAt"].as_str().unwrap_or_default();
            let goal = &call["body"]["scale"];
            if let Some((ended, before)) = last
                && ended > start
                && before != goal
            {
                return Err(format!(
                    "a write of {goal} began before that of {before} had ended"
                ));
            }
            last = Some((end, goal));
        }
        Ok(())
    }

    fn calls_of(&self, service: &str) -> impl Iterator<Item = &Value> {
        let end = format!("/services/{service}");
        self.calls.iter().filter(move |call| {
            call["path"]
                .as_str()
                .is_some_and(|path| path.ends_with(&end))
        })
    }

    /// Everything that is known of a group, in order.
    fn timeline(&self, group: &GroupKey) -> String {
        let mut text = String::new();
        for (revision, record) in self.records.get(group).into_iter().flatten() {
            let _ = writeln!(text, "  ledger {revision}: {:?}", record.entry); // Into a string: it cannot fail.
        }
        let service = group.as_str().rsplit('/').next().unwrap_or_default();
        for call in self.calls_of(service) {
            let _ = writeln!(text, "  call {call}");
        }
        text
    }
}

/// A group's way through its ledger, in which each service starts at scale 1.
struct Story {
    scale: u32,
    goals: HashSet<u32>,
    open: HashMap<Revision, Plan>,
    settled: Vec<Sequence>,
    drifts: usize,
}

impl Story {
    fn new() -> Self {
        Self {
            scale: 1,
            goals: [1].into(),
            open: HashMap::new(),
            settled: Vec::new(),
            drifts: 0,
        }
    }

    fn go_on(&mut self, revision: Revision, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Planned(plan) => {
                if !self.open.is_empty() {
                    return Err("a plan was made while another was open".to_owned());
                }
                let Action::ScaleService { from, to, .. } = plan.action else {
                    return Err("another action than expected".to_owned());
                };
                self.find(from)?;
                self.goals.insert(to);
                self.open.insert(revision, plan.clone());
                Ok(())
            }
            Entry::Performed { plan, performance } => {
                let plan = self.open.remove(plan).ok_or("no such plan was open")?;
                let outcomes: Vec<_> = plan.outcomes(performance).collect();
                self.settle(&outcomes)
            }
            Entry::Abandoned { plan, .. } => {
                let plan = self.open.remove(plan).ok_or("no such plan was open")?;
                drop(plan);
                Ok(())
            }
            Entry::Settled { outcomes, at, .. } => {
                let outcomes: Vec<_> = outcomes.iter().map(|draft| draft.settle(0, *at)).collect();
                self.settle(&outcomes)
            }
            Entry::Managed(_) | Entry::NotDone { .. } | Entry::Signed(_) | Entry::Began { .. } => {
                Err("this does not belong into a group with triggers".to_owned())
            }
        }
    }

    /// The verdicts lead from one scale to the next.
    fn settle(&mut self, outcomes: &[Outcome]) -> Result<(), String> {
        for outcome in outcomes {
            let verdict = &outcome.verdict;
            if verdict.code.status() == Status::Failed {
                return Err(format!("failed: {}", verdict.message));
            }
            if let Some(from) = verdict.from {
                self.find(from)?;
            }
            if let (Status::Succeeded, Some(to)) = (verdict.code.status(), verdict.to) {
                self.scale = to;
            }
            self.settled.push(outcome.trigger.sequence);
        }
        Ok(())
    }

    /// The platform was seen at `scale`. It is where the last verdict led, or a write of ours came late.
    fn find(&mut self, scale: u32) -> Result<(), String> {
        if scale == self.scale {
            return Ok(());
        }
        if !self.goals.contains(&scale) {
            return Err(format!(
                "the scale is {scale} instead of {}, which was never a goal",
                self.scale
            ));
        }
        self.drifts += 1;
        self.scale = scale;
        Ok(())
    }

    fn end(&mut self, scale: Option<u64>) -> Result<(), String> {
        if !self.open.is_empty() {
            return Err("a plan is still open".to_owned());
        }
        match scale.and_then(|scale| u32::try_from(scale).ok()) {
            Some(scale) => self.find(scale),
            None => Err("the service is gone".to_owned()),
        }
    }
}
