//! How fast the record answers when it is large.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use stormhook_shared::audit::entry::LogEntry;
use stormhook_shared::audit::export::Place;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{Revision, Sequence, TriggerId};
use stormhook_shared::domain::kind::{Driver, Target};
use stormhook_shared::domain::ledger::{Entry, Record};
use stormhook_shared::domain::outcome::{
    CalledReceiver, Code, Outcome, Status, TriggerFacts, Verdict,
};
use stormhook_shared::domain::receiver::Receiver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::Source;
use stormhook_shared::embedded::{Embedded, EmbeddedOptions};
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::questions::{
    Answer, HistoryQuery, Question, StatusFilter, WhatIfQuery,
};
use stormhook_shared::ports::record::Position;
use stormhook_tests::random::Random;
use stormhook_tests::wait;
use stormhook_worker::Import;

use super::publishing::receiver;
use super::report::{self, percentile};
use super::solo::SoloWorker;

/// How many outcomes there are, where the environment does not say.
const OUTCOMES: u64 = 10_000_000;
/// How many receivers they are of. The first has a tenth of all.
const RECEIVERS: u64 = 1_000;
/// How long after each other triggers were accepted, in milliseconds.
const PERIOD: i64 = 100;
const START: i64 = 1_790_000_000_000;
const SAMPLES: usize = 200;
const PAGE: usize = 50;
const DEPTH: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(900);

/// Makes a large record and asks it everything that users ask.
pub async fn measure() {
    let count = std::env::var("BENCH_OUTCOMES").map_or(OUTCOMES, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(&folder.path().join("backbone"), EmbeddedOptions::default());
    let embedded = embedded.unwrap();
    let backbone = embedded.backbone();
    let receivers: Vec<Receiver> = (0..RECEIVERS)
        .map(|number| receiver(&format!("1s{number}"), 1_000_000))
        .collect();
    backbone
        .registry
        .create(receivers[0].clone())
        .await
        .unwrap();
    let applied = ledger_record(&backbone).await;
    let path = folder.path().join("outcome-log");
    let began = Instant::now();
    make(&path, &receivers, count, applied);
    report::line(
        &format!("a record of {count} outcomes, written at"),
        format!("{:.0}/s", count as f64 / began.elapsed().as_secs_f64()),
        ">= 20000/s",
    );
    report::line(
        "  bytes on disk for an outcome",
        size(&path) / count,
        "<= 1200",
    );
    let began = Instant::now();
    let worker = SoloWorker::start(backbone.clone(), &path).await;
    let first = history(&receivers[0]);
    wait::until_within(PATIENCE, "history", || async {
        match backbone
            .questions
            .ask(Question::Triggers(first.clone()))
            .await
        {
            Ok(Answer::Triggers(page)) if page.triggers.len() == PAGE => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let opened = began.elapsed().as_secs_f64();
    report::line("  open, and answering", format!("{opened:.2} s"), "< 5 s");
    // After its start a worker verifies what it has, which nothing else is to be measured against.
    wait::until_within(PATIENCE, "the first verification", || async {
        match backbone.questions.ask(Question::System).await {
            Ok(Answer::System(system)) if system.outcome_log.verified_at.is_some() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let began = Instant::now();
    verify(&backbone).await;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    report::line("  verified at", format!("{rate:.0}/s"), ">= 300000/s");
    pages(&backbone, &receivers, count).await;
    what_if(&backbone, &receivers[0]).await;
    worker.stop().await;
    drop(backbone);
    embedded.close().await;
}

/// A record of the ledger, from which all of the outcome log is said to come: a worker goes on from there.
async fn ledger_record(backbone: &Backbone) -> Revision {
    let group = GroupKey::named("bench");
    let entry = Entry::Abandoned {
        plan: Revision(0),
        reason: "it stands for those that a measurement leaves out".to_owned(),
    };
    let record = Record::apart(group, entry);
    backbone.ledger.append(record, Revision(0)).await.unwrap()
}

/// Writes the record. One trigger in ten is above the maximum, one in a hundred failed, one in a thousand is a repetition.
fn make(path: &Path, receivers: &[Receiver], count: u64, applied: Revision) {
    let groups: Vec<GroupKey> = receivers.iter().map(Receiver::group).collect();
    let mut import = Import::begin(path, Place::START).unwrap();
    for number in 1..=count {
        let which = usize::try_from(receiver_of(number)).unwrap();
        let entry = LogEntry::Settled {
            group: groups[which].clone(),
            plan: None,
            record: None,
            outcome: outcome(&receivers[which], number),
        };
        import.add(&serde_json::to_string(&entry).unwrap()).unwrap();
    }
    let end = Position { applied, beyond: 0 };
    import.finish(end).unwrap();
}

fn receiver_of(number: u64) -> u64 {
    if number.is_multiple_of(10) {
        0
    } else {
        1 + number % (RECEIVERS - 1)
    }
}

fn outcome(receiver: &Receiver, number: u64) -> Outcome {
    let accepted_at = Timestamp::from_millis(START + i64::try_from(number).unwrap() * PERIOD);
    let verdict = if number.is_multiple_of(100) {
        Verdict::new(
            Code::DeadlineExceeded,
            "the platform did not answer until the deadline of 300 s",
        )
    } else if number % 10 == 1 {
        Verdict::new(
            Code::AboveMax,
            "scale up by 1 would lead to 11, and the maximum is 10",
        )
        .scaling(10, 10)
    } else {
        Verdict::new(Code::Scaled, "scaled from 3 to 4").scaling(3, 4)
    };
    Outcome {
        trigger: TriggerFacts {
            id: id(receiver, number, accepted_at),
            sequence: Sequence(number),
            receiver: Some(CalledReceiver {
                id: receiver.id,
                name: receiver.name.clone(),
                driver: Driver::ScaleService,
                project: receiver.project.clone(),
            }),
            accepted_at,
            source: Source {
                address: Some([10, 0, 0, 7].into()),
                user_agent: Some("Alertmanager/0.28.1".to_owned()),
            },
            idempotency_key: key(number),
            replay_of: (number % 1_000 == 7).then(|| TriggerId::derived(receiver.id, "original")),
            parent_id: None,
            parent_sequence: None,
            body_sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                .to_owned(),
            body_bytes: 0,
        },
        receiver_revision: Some(1),
        verdict,
        attempts: 1,
        settled_at: Timestamp::from_millis(accepted_at.as_millis() + 20),
    }
}

/// One trigger in ten has an idempotency key.
fn key(number: u64) -> Option<String> {
    (number % 10 == 3).then(|| format!("key-{number}"))
}

/// What the ingress gives a trigger: an id that follows from its key, or one that sorts by time.
fn id(receiver: &Receiver, number: u64, accepted_at: Timestamp) -> TriggerId {
    match key(number) {
        Some(key) => TriggerId::derived(receiver.id, &key),
        None => {
            let (early, late) = (
                accepted_at.as_millis() >> 16,
                accepted_at.as_millis() & 0xffff,
            );
            let text = format!("{early:08x}-{late:04x}-7000-8000-{number:012x}");
            text.parse().unwrap()
        }
    }
}

/// The newest triggers of a project, without a filter.
fn history(receiver: &Receiver) -> HistoryQuery {
    HistoryQuery::of(receiver.project.clone(), PAGE)
}

/// Asks for first pages with each filter, and for pages far down.
async fn pages(backbone: &Backbone, receivers: &[Receiver], count: u64) {
    let mut random = Random::from_seed(7);
    let mut any = || random.below(count) + 1;
    type Filter<'a> = Box<dyn FnMut(&mut HistoryQuery) + 'a>;
    let filters: Vec<(&str, Filter<'_>)> = vec![
        ("none", Box::new(|_| ())),
        (
            "receiver",
            Box::new(|query| {
                query.receiver = Some(receivers[usize::try_from(receiver_of(any())).unwrap()].id);
            }),
        ),
        (
            "group",
            Box::new({
                let mut number = 0;
                move |query| {
                    number += 1;
                    let target = Target::Service(format!("1s{number}"));
                    query.group = Some(GroupKey::of(&query.project, &target));
                }
            }),
        ),
        (
            "status",
            Box::new(|query| query.status = Some(StatusFilter::Settled(Status::Failed))),
        ),
        (
            "pending",
            Box::new(|query| query.status = Some(StatusFilter::Pending)),
        ),
        ("code", Box::new(|query| query.code = Some(Code::AboveMax))),
        (
            "until",
            Box::new({
                let mut number = 0;
                move |query| {
                    number += 1;
                    let back = i64::try_from(count).unwrap() * PERIOD / 300 * number;
                    let end = START + i64::try_from(count).unwrap() * PERIOD;
                    query.until = Some(Timestamp::from_millis(end - back));
                }
            }),
        ),
        (
            "key",
            Box::new({
                let mut number = 0;
                move |query| {
                    number += 1;
                    query.key = Some(format!("key-{}", number * 10 + 3));
                }
            }),
        ),
        (
            "replay origin",
            Box::new(|query| {
                query.replay_of = Some(TriggerId::derived(receivers[8].id, "original"));
            }),
        ),
    ];
    for (name, mut filter) in filters {
        let times = sample(|| {
            let mut query = history(&receivers[0]);
            filter(&mut query);
            async move { page(backbone, query).await.is_some() }
        });
        line(&format!("first page, filter: {name}"), times.await);
    }
    for (name, status) in [
        ("none", None),
        ("status", Some(StatusFilter::Settled(Status::Failed))),
    ] {
        let mut deep = history(&receivers[0]);
        deep.status = status;
        for _ in 0..DEPTH {
            deep.beyond = page(backbone, deep.clone()).await;
        }
        let times = sample(|| {
            let query = deep.clone();
            async move { page(backbone, query).await.is_some() }
        });
        line(&format!("page {DEPTH}, filter: {name}"), times.await);
    }
}

/// Where a page ends; `None` for an empty one.
async fn page(backbone: &Backbone, query: HistoryQuery) -> Option<Sequence> {
    match backbone.questions.ask(Question::Triggers(query)).await {
        Ok(Answer::Triggers(page)) => page.triggers.last().map(|item| item.trigger.sequence),
        other => unreachable!("history is answered, and not {other:?}"),
    }
}

/// How long each of many calls took, in milliseconds. The first does not count: what it needs is read from disk.
async fn sample<F: Future<Output = bool>>(mut call: impl FnMut() -> F) -> Vec<f64> {
    let mut times = Vec::with_capacity(SAMPLES);
    call().await;
    for _ in 0..SAMPLES {
        let began = Instant::now();
        call().await;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    times
}

fn line(what: &str, mut times: Vec<f64>) {
    let p99 = percentile(&mut times, 99);
    report::line(&format!("  {what}, p99"), format!("{p99:.2} ms"), "< 10 ms");
}

/// What would have been if the receiver with the most triggers had had another maximum.
async fn what_if(backbone: &Backbone, present: &Receiver) {
    let changed = Receiver {
        id: present.id,
        ..receiver("1s0", 100)
    };
    let query = WhatIfQuery {
        project: present.project.clone(),
        receiver: Box::new(changed),
        since: None,
        until: None,
        after: Sequence(0),
        limit: PAGE,
    };
    let began = Instant::now();
    let answer = backbone.questions.ask(Question::WhatIf(query)).await;
    let Ok(Answer::WhatIf(comparison)) = answer else {
        unreachable!("what-if is answered, and not {answer:?}");
    };
    let took = began.elapsed().as_secs_f64();
    report::line(
        &format!("  what-if over {} triggers", comparison.triggers),
        format!("{took:.1} s"),
        "< 10 s for 1,000,000",
    );
}

async fn verify(backbone: &Backbone) {
    let mut job = None;
    loop {
        let question = Question::Verify { worker: None, job };
        match backbone.questions.ask(question).await {
            Ok(Answer::Verified(verified)) => {
                assert_eq!(verified.problem, None);
                if verified.is_done {
                    return;
                }
                job = Some(verified.job);
            }
            other => unreachable!("a verification is answered, and not {other:?}"),
        }
    }
}

/// How many bytes the files in a folder have.
fn size(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                size(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}
