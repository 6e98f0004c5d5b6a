//! The contract of every port, kept by the embedded backbone.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

use std::future::Future;

use stormhook_shared::embedded::{Embedded, EmbeddedOptions};
use stormhook_shared::ports::Backbone;
use stormhook_tests::contract;

async fn on_a_new_database<F: Future<Output = ()>>(test: impl FnOnce(Backbone) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let embedded =
        Embedded::open(&folder.path().join("b.redb"), EmbeddedOptions::default()).unwrap();
    test(embedded.backbone()).await;
    embedded.close().await;
}

macro_rules! contract {
    ($($port:ident :: $law:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $law() {
            on_a_new_database(|backbone| async move { contract::$port::$law(&backbone).await }).await;
        }
    )*};
}

contract!(
    trigger_log::concurrent_appends_get_places_of_their_own,
    trigger_log::a_repeated_key_is_one_trigger_within_the_window,
    trigger_log::a_group_and_the_newest_are_read_apart,
    trigger_log::waiting_ends_with_an_append,
    trigger_log::all_partitions_are_read_in_one_order,
    ledger::of_concurrent_appends_one_wins,
    ledger::records_are_read_in_order_and_the_last_of_a_group_is_found,
    registry::names_are_unique_in_a_project,
    registry::a_watch_sees_what_was_there_and_every_change,
    registry::only_the_next_revision_is_stored,
    leases::a_lease_is_taken_renewed_and_given_back,
    leases::whoever_announced_itself_is_there,
    leases::alone_every_lease_is_granted_for_good,
    cursors::a_cursor_is_read_as_it_was_stored,
    questions::only_who_serves_is_asked,
);

#[tokio::test]
async fn everything_is_there_again_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.redb");
    let embedded = Embedded::open(&path, EmbeddedOptions::default()).unwrap();
    let place = contract::trigger_log::append(&embedded.backbone(), "g", None).await;
    embedded.close().await;
    let embedded = Embedded::open(&path, EmbeddedOptions::default()).unwrap();
    let next = contract::trigger_log::append(&embedded.backbone(), "g", None).await;
    assert_eq!(next.0, place.0 + 1);
    embedded.close().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.redb");
    let embedded = Embedded::open(&path, EmbeddedOptions::default()).unwrap();
    let other = EmbeddedOptions {
        partitions: stormhook_shared::domain::group::Partitions(std::num::NonZeroU16::MIN),
        ..EmbeddedOptions::default()
    };
    let refusal = |options| Embedded::open(&path, options).err().unwrap().to_string();
    assert!(refusal(EmbeddedOptions::default()).contains("in use"));
    embedded.close().await;
    assert!(refusal(other).contains("32 partitions"));
    std::fs::write(&path, "garbage").unwrap();
    assert!(refusal(EmbeddedOptions::default()).contains("cannot be opened"));
}
