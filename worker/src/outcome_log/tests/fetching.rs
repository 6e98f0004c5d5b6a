//! A worker that starts with nothing, or loses its log, while the ledger has lost its beginning.

use std::time::Duration;

use super::world::{Fate, World};

/// Pages have about a megabyte, so that these are several.
const RECORDS: usize = 40;
const BYTES: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_older_part_comes_from_another_worker() {
    let world = World::new();
    let one = world.start("one", Fate::Answers);
    world.record(RECORDS, BYTES).await;
    one.complete(world.through().await).await;
    one.sign().await;
    world.record(3, 10).await;
    let through = world.through().await;
    one.complete(through).await;
    world.forget(RECORDS as u64 + 2);
    let two = world.start("two", Fate::Answers);
    assert_eq!(two.complete(through).await, one.complete(through).await);
    // Both go on.
    world.record(3, 10).await;
    let through = world.through().await;
    assert_eq!(two.complete(through).await, one.complete(through).await);
    assert!(two.is_ready());
    assert_eq!(world.set_aside("two"), 0);
    world.end(vec![one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_meanwhile_is_replaced_by_another_even_after_a_restart() {
    let mut world = World::new();
    // Nobody does without the rest in this story.
    world.patience = Duration::MAX;
    let one = world.start("one", Fate::DiesAfter(2));
    world.record(RECORDS, BYTES).await;
    let through = world.through().await;
    let whole = one.complete(through).await;
    let other = world.start("other", Fate::Answers);
    other.complete(through).await;
    world.stop(other).await;
    world.forget(30);
    let mut two = world.start("two", Fate::Answers);
    // Two pages are there, and nobody has the rest.
    two.tells("outcome log", "no other worker has the older part")
        .await;
    let part = two.last().await.number;
    assert!((1..whole.number).contains(&part), "{part}");
    world.stop(two).await;
    world.stop(one).await;
    let other = world.start("other", Fate::Answers);
    two = world.start("two", Fate::Answers);
    assert_eq!(two.complete(through).await, whole);
    assert_eq!(world.set_aside("two"), 0);
    world.end(vec![other, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_do_not_link_are_refused_and_taken_from_another_worker() {
    let world = World::new();
    // Asked first, as its name comes first.
    let liar = world.start("liar", Fate::Lies);
    let one = world.start("one", Fate::Answers);
    world.record(RECORDS, BYTES).await;
    let through = world.through().await;
    let whole = liar.complete(through).await;
    one.complete(through).await;
    world.forget(30);
    let two = world.start("two", Fate::Answers);
    assert_eq!(two.complete(through).await, whole);
    assert_eq!(world.set_aside("two"), 1);
    world.end(vec![liar, one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_the_ledger_contradicts_are_refused() {
    let world = World::new();
    // One page alone, whose last entry no other follows: only the ledger can tell.
    let liar = world.start("liar", Fate::LiesAtTheEnd);
    let one = world.start("one", Fate::Answers);
    world.record(5, 10).await;
    let through = world.through().await;
    let whole = liar.complete(through).await;
    one.complete(through).await;
    world.forget(2);
    let two = world.start("two", Fate::Answers);
    assert_eq!(two.complete(through).await, whole);
    assert_eq!(world.set_aside("two"), 1);
    world.end(vec![liar, one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anybody_logs_begin_where_the_ledger_does_and_say_so_and_are_equal() {
    let world = World::new();
    world.record(10, 10).await;
    world.forget(6);
    let one = world.start("one", Fate::Answers);
    one.tells("outcome log", "no other worker has the older part")
        .await;
    let through = world.through().await;
    one.complete(through).await;
    let first = one.entry(1).await;
    assert!(
        first.starts_with("{\"type\":\"began\",\"after\":6,"),
        "{first}"
    );
    assert!(one.is_ready());
    // Another one, which cannot ask the first, begins like that, too.
    world.stop(one).await;
    let two = world.start("two", Fate::Answers);
    let through = world.through().await;
    let begun = two.complete(through).await;
    world.stop(two).await;
    let one = world.start("one", Fate::Answers);
    assert_eq!(one.complete(through).await, begun);
    // What is gone later is fetched as ever.
    world.record(4, 10).await;
    let through = world.through().await;
    one.complete(through).await;
    world.forget(9);
    let three = world.start("three", Fate::Answers);
    assert_eq!(three.complete(through).await, one.complete(through).await);
    world.end(vec![one, three]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_away_for_too_long_catches_up_with_another() {
    let world = World::new();
    let one = world.start("one", Fate::Answers);
    let two = world.start("two", Fate::Answers);
    world.record(5, 10).await;
    two.complete(world.through().await).await;
    world.stop(two).await;
    world.record(10, 10).await;
    let through = world.through().await;
    one.complete(through).await;
    world.forget(12);
    let two = world.start("two", Fate::Answers);
    assert_eq!(two.complete(through).await, one.complete(through).await);
    assert_eq!(world.set_aside("two"), 0);
    world.end(vec![one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_all_end_before_the_ledger_begins_keep_what_they_have_and_say_what_is_gone() {
    let world = World::new();
    let (one, two) = (
        world.start("one", Fate::Answers),
        world.start("two", Fate::Answers),
    );
    world.record(5, 10).await;
    let through = world.through().await;
    one.complete(through).await;
    two.complete(through).await;
    world.stop(two).await;
    world.record(3, 10).await;
    let furthest = one.complete(world.through().await).await;
    world.stop(one).await;
    // Both were away for longer than the ledger reaches back.
    world.record(7, 10).await;
    world.forget(12);
    let (one, two) = (
        world.start("one", Fate::Answers),
        world.start("two", Fate::Answers),
    );
    world.record(2, 10).await;
    let through = world.through().await;
    assert_eq!(two.complete(through).await, one.complete(through).await);
    for log in [&one, &two] {
        let gap = log.entry(furthest.number + 1).await;
        assert!(
            gap.starts_with("{\"type\":\"began\",\"after\":12,"),
            "{gap}"
        );
        assert!(log.is_ready());
    }
    assert_eq!((world.set_aside("one"), world.set_aside("two")), (0, 0));
    // A worker with nothing has the gap from them.
    let three = world.start("three", Fate::Answers);
    assert_eq!(three.complete(through).await, one.complete(through).await);
    world.end(vec![one, two, three]).await;
}
