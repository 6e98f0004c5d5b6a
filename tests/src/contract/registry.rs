//! The contract of the registry.

use futures::StreamExt;
use serde_json::json;
use stormhook_shared::domain::ids::ReceiverId;
use stormhook_shared::domain::receiver::{Activity, KeyVersions, Receiver};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::registry::{Change, RegistryError};
use stormhook_shared::receiver_json;

fn receiver(id: u8, project: &str, name: &str) -> Receiver {
    let definition = receiver_json::parse(json!({
        "name": name, "driver": "scaleService",
        "scaleServiceConfig": {"serviceId": "1s5", "action": "up", "amount": 1, "min": 1, "max": 4},
    }))
    .unwrap();
    Receiver {
        id: ReceiverId::from_bytes([id; 12]),
        project: project.parse().unwrap(),
        name: definition.name,
        kind: definition.kind,
        options: definition.options,
        activity: Activity::Active,
        keys: KeyVersions::FIRST,
        revision: 1,
        created_at: Timestamp::from_millis(0),
    }
}

/// Of receivers that want one name at once, one gets it; it is free again when that is deleted or renamed.
pub async fn names_are_unique_in_a_project(backbone: &Backbone) {
    let mut creates = tokio::task::JoinSet::new();
    for id in 1..=20 {
        let registry = backbone.registry.clone();
        creates.spawn(async move { registry.create(receiver(id, "1a5", "n")).await.map(|_| id) });
    }
    let mut created = Vec::new();
    for result in creates.join_all().await {
        match result {
            Ok(id) => created.push(id),
            Err(error) => assert!(matches!(error, RegistryError::NameTaken { .. }), "{error}"),
        }
    }
    let [id] = created[..] else {
        panic!("{created:?}")
    };
    let registry = &backbone.registry;
    registry.create(receiver(101, "1a6", "n")).await.unwrap();
    let renamed = Receiver {
        revision: 2,
        ..receiver(id, "1a5", "m")
    };
    registry.update(renamed).await.unwrap();
    registry.create(receiver(102, "1a5", "n")).await.unwrap();
    registry
        .delete(ReceiverId::from_bytes([id; 12]))
        .await
        .unwrap();
    registry.create(receiver(103, "1a5", "m")).await.unwrap();
}

/// A change is stored only on top of the revision that it was made from.
pub async fn only_the_next_revision_is_stored(backbone: &Backbone) {
    let registry = &backbone.registry;
    let at = |revision| Receiver {
        revision,
        ..receiver(1, "1a5", "n")
    };
    assert!(matches!(
        registry.update(at(2)).await,
        Err(RegistryError::NotFound(_))
    ));
    registry.create(at(1)).await.unwrap();
    registry.update(at(2)).await.unwrap();
    assert!(matches!(
        registry.update(at(2)).await,
        Err(RegistryError::Conflict { found: 2, .. })
    ));
    assert!(matches!(
        registry.update(at(4)).await,
        Err(RegistryError::Conflict { found: 2, .. })
    ));
    registry.delete(at(1).id).await.unwrap();
    assert!(matches!(
        registry.delete(at(1).id).await,
        Err(RegistryError::NotFound(_))
    ));
}

/// A watch tells what is there, that this was all, and then every change once and in order.
pub async fn a_watch_sees_what_was_there_and_every_change(backbone: &Backbone) {
    let registry = &backbone.registry;
    registry.create(receiver(1, "1a5", "there")).await.unwrap();
    let mut watch = registry.watch().await.unwrap();
    let Some(Change::Stored {
        receiver: there, ..
    }) = watch.next().await
    else {
        panic!("what is there")
    };
    assert_eq!(there.name, "there");
    let Some(Change::Complete { revision: complete }) = watch.next().await else {
        panic!("that was all")
    };
    let mut expected = Vec::new();
    for id in 2..50 {
        expected.push(
            registry
                .create(receiver(id, "1a5", &format!("n{id}")))
                .await
                .unwrap(),
        );
    }
    let deleted = registry
        .delete(ReceiverId::from_bytes([1; 12]))
        .await
        .unwrap();
    for revision in expected {
        assert!(revision > complete);
        let Some(Change::Stored { revision: told, .. }) = watch.next().await else {
            panic!("a change")
        };
        assert_eq!(told, revision);
    }
    let Some(Change::Deleted { revision, .. }) = watch.next().await else {
        panic!("a removal")
    };
    assert_eq!(revision, deleted);
}
