//! The contract of every port, kept by the backbone on NATS JetStream; and what only that one promises.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

use std::future::Future;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use stormhook_shared::domain::group::{GroupKey, Partition, Partitions};
use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::nats::{Nats, NatsOptions};
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::registry::Change;
use stormhook_shared::ports::trigger_log::Entry;
use stormhook_tests::contract;
use stormhook_tests::nats::{NatsServer, jetstream};
use stormhook_tests::wait;

async fn on_a_new_server<F: Future<Output = ()>>(test: impl FnOnce(Backbone) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let nats = connect(&server).await;
    test(nats.backbone()).await;
    nats.close().await;
}

/// The same as two processes that share their work, with leases that run out soon.
async fn as_two_processes<F: Future<Output = ()>>(test: impl FnOnce(Backbone, Backbone) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let options = NatsOptions {
        lease_ttl: Duration::from_secs(2),
        ..NatsOptions::at(&server.url())
    };
    let one = Nats::connect(&options, &Arc::default()).await.unwrap();
    let other = Nats::connect(&options, &Arc::default()).await.unwrap();
    test(one.backbone(), other.backbone()).await;
    one.close().await;
    other.close().await;
}

async fn connect(server: &NatsServer) -> Nats {
    Nats::connect(&NatsOptions::at(&server.url()), &Arc::default())
        .await
        .unwrap()
}

async fn refusal(options: &NatsOptions) -> String {
    Nats::connect(options, &Arc::default())
        .await
        .err()
        .unwrap()
        .to_string()
}

macro_rules! contract {
    ($($port:ident :: $law:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $law() {
            on_a_new_server(|backbone| async move { contract::$port::$law(&backbone).await }).await;
        }
    )*};
}

macro_rules! contract_of_two {
    ($($port:ident :: $law:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $law() {
            as_two_processes(|one, other| async move { contract::$port::$law(&one, &other).await })
                .await;
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
    cursors::a_cursor_is_read_as_it_was_stored,
    questions::only_who_serves_is_asked,
);

contract_of_two!(
    leases::one_of_two_holds_a_lease_until_it_gives_it_back,
    leases::of_two_that_ask_at_once_one_is_granted_a_lease,
    leases::a_lease_runs_out_unless_it_is_renewed,
    leases::whoever_leaves_or_falls_silent_is_there_no_more,
);

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_on_after_the_server_was_killed_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let nats = connect(&server).await;
    let backbone = nats.backbone();
    let mut changes = backbone.registry.watch().await.unwrap();
    assert!(matches!(
        changes.next().await,
        Some(Change::Complete { .. })
    ));
    let before = contract::trigger_log::append(&backbone, "g", None).await;
    server.kill().await;
    let refused = |backbone: Backbone| async move {
        let trigger = contract::trigger_log::trigger(
            "g",
            None,
            stormhook_shared::domain::time::Timestamp::now(),
        );
        backbone.triggers.append(trigger).await
    };
    assert!(refused(backbone.clone()).await.is_err());
    let server = server.restart().await;
    let after = wait::until("an append", || async {
        let appended = refused(backbone.clone()).await;
        appended.map_err(|error| error.to_string())
    })
    .await;
    assert!(after.sequence > before);
    let partition = backbone
        .triggers
        .partitions()
        .of(GroupKey::named("g").hash());
    let there = backbone
        .triggers
        .read(partition, Sequence(0), 10)
        .await
        .unwrap();
    assert_eq!(there[0].sequence(), before);
    // The watch goes on by itself.
    contract::registry::names_are_unique_in_a_project(&backbone).await;
    assert!(matches!(changes.next().await, Some(Change::Stored { .. })));
    nats.close().await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_that_cannot_be_used_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let guarded = format!(
        "{}authorization {{ user: stormhook, password: pw }}\n",
        jetstream(folder.path())
    );
    let server = NatsServer::start(folder.path(), &guarded).await;
    let wrong = NatsOptions::at(&format!("nats://stormhook:wrong@{}", server.address()));
    let refused = refusal(&wrong).await;
    assert!(refused.contains("refuses the credentials"), "{refused}");
    assert!(
        refused.contains(&server.address()) && !refused.contains("wrong@"),
        "{refused}"
    );

    let right = NatsOptions::at(&format!("nats://stormhook:pw@{}", server.address()));
    Nats::connect(&right, &Arc::default())
        .await
        .unwrap()
        .close()
        .await;
    let other_partitions = NatsOptions {
        partitions: Some(Partitions(NonZeroU16::MIN)),
        ..right.clone()
    };
    let refused = refusal(&other_partitions).await;
    assert!(refused.contains("32 partitions"), "{refused}");
    let other_age = NatsOptions {
        ledger_age: Some(Duration::from_secs(60)),
        ..right.clone()
    };
    let refused = refusal(&other_age).await;
    assert!(
        refused.contains("STORMHOOK_LEDGER has a retention"),
        "{refused}"
    );

    let address = server.address();
    drop(server);
    let gone = NatsOptions::at(&format!("nats://{address}"));
    let refused = refusal(&gone).await;
    assert!(
        refused.contains(&format!("no NATS server answers at {address}")),
        "{refused}"
    );

    let folder = tempfile::tempdir().unwrap();
    let plain = NatsServer::start(folder.path(), "").await;
    let refused = refusal(&NatsOptions::at(&plain.url())).await;
    assert!(refused.contains("JetStream is not enabled"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_trigger_is_told_as_such_and_what_is_full_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), &jetstream(folder.path())).await;
    let nats = connect(&server).await;
    let backbone = nats.backbone();
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let junk = jetstream.publish("stormhook.triggers.3.00ff", "junk".into());
    junk.await.unwrap().await.unwrap();
    let read = backbone
        .triggers
        .read(Partition(3), Sequence(0), 10)
        .await
        .unwrap();
    assert!(matches!(&read[..], [Entry::Undecodable { .. }]));

    let mut stream = jetstream.get_stream("STORMHOOK_TRIGGERS").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.max_messages = 1;
    config.discard = async_nats::jetstream::stream::DiscardPolicy::New;
    jetstream.update_stream(config).await.unwrap();
    let trigger =
        contract::trigger_log::trigger("g", None, stormhook_shared::domain::time::Timestamp::now());
    let refused = backbone.triggers.append(trigger).await.unwrap_err();
    assert!(
        refused.to_string().contains("maximum messages exceeded"),
        "{refused}"
    );
    nats.close().await;
}
