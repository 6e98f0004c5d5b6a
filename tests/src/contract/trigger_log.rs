//! The contract of the trigger log.

use std::collections::{BTreeMap, BTreeSet};

use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{ReceiverId, Revision, Sequence, TriggerId};
use stormhook_shared::domain::kind::Driver;
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::domain::trigger::{Source, Trigger};
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::trigger_log::{DUPLICATE_WINDOW, Entry};

/// A trigger of `group`, accepted `at`.
pub fn trigger(group: &str, key: Option<&str>, at: Timestamp) -> Trigger {
    let receiver = ReceiverId::from_bytes([7; 12]);
    Trigger {
        id: key.map_or_else(TriggerId::random, |key| TriggerId::derived(receiver, key)),
        receiver_id: receiver,
        receiver_name: "r".to_owned(),
        driver: Driver::ScaleService,
        project: "1a5".parse().unwrap(),
        group: GroupKey::named(group),
        accepted_at: at,
        source: Source {
            address: None,
            user_agent: None,
        },
        idempotency_key: key.map(str::to_owned),
        replay_of: None,
        ignores_cooldown: false,
        parent_id: None,
        parent_sequence: None,
        notice: None,
        query: None,
        registry_revision: Revision(0),
        headers: BTreeMap::new(),
        content_type: None,
        body: b"body".to_vec(),
    }
}

/// Appends a trigger of `group` and returns its place.
pub async fn append(backbone: &Backbone, group: &str, key: Option<&str>) -> Sequence {
    let trigger = trigger(group, key, Timestamp::now());
    backbone.triggers.append(trigger).await.unwrap().sequence
}

/// Each of many appends at once gets its own place, and all are read in order.
pub async fn concurrent_appends_get_places_of_their_own(backbone: &Backbone) {
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..500 {
        let backbone = backbone.clone();
        appends.spawn(async move { append(&backbone, &format!("g{}", number % 50), None).await });
    }
    let places: BTreeSet<_> = appends.join_all().await.into_iter().collect();
    assert_eq!(places.len(), 500);
    let mut read = BTreeSet::new();
    for partition in backbone.triggers.partitions().iter() {
        let mut after = Sequence(0);
        loop {
            let page = backbone.triggers.read(partition, after, 7).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.is_sorted_by_key(Entry::sequence));
            assert!(page.iter().all(|entry| entry.sequence() > after));
            after = last.sequence();
            for entry in &page {
                let Entry::Trigger(logged) = entry else {
                    panic!("{entry:?}")
                };
                assert_eq!(
                    backbone
                        .triggers
                        .partitions()
                        .of(logged.trigger.group.hash()),
                    partition
                );
                assert_eq!(logged.trigger.body, b"body");
            }
            read.extend(page.iter().map(Entry::sequence));
        }
    }
    assert_eq!(read, places);
}

/// A key that is used again gets the first place, until the window is over.
pub async fn a_repeated_key_is_one_trigger_within_the_window(backbone: &Backbone) {
    let log = &backbone.triggers;
    let now = Timestamp::now();
    let first = log.append(trigger("g", Some("k"), now)).await.unwrap();
    let again = log.append(trigger("g", Some("k"), now)).await.unwrap();
    assert_eq!((first.is_duplicate, again.is_duplicate), (false, true));
    assert_eq!(first.sequence, again.sequence);
    let other = log.append(trigger("g", Some("l"), now)).await.unwrap();
    assert!(!other.is_duplicate);
    let later = log
        .append(trigger("g", Some("k"), now.plus(DUPLICATE_WINDOW)))
        .await
        .unwrap();
    assert!(!later.is_duplicate);
    let again = log
        .append(trigger("g", Some("k"), now.plus(DUPLICATE_WINDOW)))
        .await
        .unwrap();
    assert!(again.is_duplicate);
    assert_eq!(again.sequence, later.sequence);
    for place in [first, later] {
        let logged = log.get(place.sequence).await.unwrap().unwrap();
        assert_eq!(logged.trigger.idempotency_key.as_deref(), Some("k"));
        assert_eq!(logged.sequence, place.sequence);
    }
    assert_eq!(log.get(Sequence(u64::MAX)).await.unwrap(), None);
}

/// A group's triggers and a partition's newest ones are read in their orders and bounds.
pub async fn a_group_and_the_newest_are_read_apart(backbone: &Backbone) {
    let log = &backbone.triggers;
    let group = GroupKey::named("g");
    let partition = log.partitions().of(group.hash());
    let beside = (0..)
        .map(|number| format!("h{number}"))
        .find(|name| log.partitions().of(GroupKey::named(name).hash()) == partition)
        .unwrap();
    let mut own = Vec::new();
    let mut all = Vec::new();
    for _ in 0..10 {
        own.push(append(backbone, "g", None).await);
        all.push(*own.last().unwrap());
        all.push(append(backbone, &beside, None).await);
    }
    let read = log.read_group(&group, own[1], 5).await.unwrap();
    assert_eq!(
        read.iter().map(Entry::sequence).collect::<Vec<_>>(),
        own[2..7]
    );
    let newest = log.read_newest(all[2], all[9], 100).await.unwrap();
    let expected: Vec<_> = all[3..9].iter().rev().copied().collect();
    assert_eq!(
        newest.iter().map(Entry::sequence).collect::<Vec<_>>(),
        expected
    );
    let limited = log
        .read_newest(Sequence(0), Sequence(u64::MAX), 1)
        .await
        .unwrap();
    assert_eq!(limited[0].sequence(), *all.last().unwrap());
}

/// Waiting for more ends when there is more, at once if it is there already.
pub async fn waiting_ends_with_an_append(backbone: &Backbone) {
    let partition = backbone
        .triggers
        .partitions()
        .of(GroupKey::named("g").hash());
    let waiting = {
        let log = backbone.triggers.clone();
        tokio::spawn(async move { log.wait_beyond(partition, Sequence(0)).await })
    };
    let place = append(backbone, "g", None).await;
    waiting.await.unwrap().unwrap();
    backbone
        .triggers
        .wait_beyond(partition, Sequence(place.0 - 1))
        .await
        .unwrap();
}

/// What is appended to any partition is read in one order, and waited for.
pub async fn all_partitions_are_read_in_one_order(backbone: &Backbone) {
    let log = &backbone.triggers;
    let start = log.newest().await.unwrap();
    let mut places = Vec::new();
    for number in 0..60 {
        places.push(append(backbone, &format!("all{number}"), None).await);
    }
    assert_eq!(log.newest().await.unwrap(), places[59]);
    let mut read = Vec::new();
    let mut after = start;
    while let Some(last) = {
        let page = log.read_all(after, 7).await.unwrap();
        read.extend(page.iter().map(Entry::sequence));
        page.last().map(Entry::sequence)
    } {
        after = last;
    }
    assert_eq!(read, places);
    log.wait_beyond_all(start).await.unwrap();
    let (waited, next) = tokio::join!(log.wait_beyond_all(after), append(backbone, "all", None));
    waited.unwrap();
    assert_eq!(log.newest().await.unwrap(), next);
}
