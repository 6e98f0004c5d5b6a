//! The contract of the ledger.

use stormhook_shared::domain::call::Calls;
use stormhook_shared::domain::group::GroupKey;
use stormhook_shared::domain::ids::{Revision, Sequence};
use stormhook_shared::domain::ledger::{Entry, GroupState, Record};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::ledger::{LedgerError, Place, Reach};

fn record(group: &str, settled: u64) -> Record {
    Record {
        group: GroupKey::named(group),
        entry: Entry::Settled {
            outcomes: Vec::new(),
            at: Timestamp::from_millis(0),
            calls: Calls::default(),
        },
        state: GroupState {
            settled: Sequence(settled),
            ..GroupState::default()
        },
    }
}

/// Of many that expect the same revision, one appends; the others are told what they did not know.
pub async fn of_concurrent_appends_one_wins(backbone: &Backbone) {
    let mut last = Revision(0);
    for round in 0..5 {
        let mut appends = tokio::task::JoinSet::new();
        for number in 0..20 {
            let ledger = backbone.ledger.clone();
            appends.spawn(async move { ledger.append(record("g", number), last).await });
        }
        // Another group is not in their way.
        backbone
            .ledger
            .append(record(&format!("other{round}"), 1), Revision(0))
            .await
            .unwrap();
        let mut won = Vec::new();
        for result in appends.join_all().await {
            match result {
                Ok(revision) => won.push(revision),
                Err(LedgerError::Conflict {
                    expected, found, ..
                }) => assert!(expected == last && found > last),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won.len(), 1);
        last = won[0];
    }
}

/// Records come in the order of their revisions, and a group's last one is found.
pub async fn records_are_read_in_order_and_the_last_of_a_group_is_found(backbone: &Backbone) {
    let ledger = &backbone.ledger;
    assert_eq!(ledger.last(&GroupKey::named("a")).await.unwrap(), None);
    let waiting = {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.wait_beyond(Revision(0)).await })
    };
    let first = ledger.append(record("a", 1), Revision(0)).await.unwrap();
    waiting.await.unwrap().unwrap();
    let second = ledger.append(record("b", 2), Revision(0)).await.unwrap();
    let third = ledger.append(record("a", 3), first).await.unwrap();
    let all = ledger.read(Revision(0), 10).await.unwrap();
    let place = |revision, record| Place {
        revision,
        record: Ok(record),
    };
    assert_eq!(
        all,
        [
            place(first, record("a", 1)),
            place(second, record("b", 2)),
            place(third, record("a", 3))
        ]
    );
    assert_eq!(
        ledger.read(first, 1).await.unwrap(),
        [place(second, record("b", 2))]
    );
    assert_eq!(
        ledger.reach().await.unwrap(),
        Reach {
            after: Revision(0),
            through: third
        }
    );
    assert_eq!(
        ledger.last(&GroupKey::named("a")).await.unwrap(),
        Some((third, record("a", 3)))
    );
    for (group, revision, is_last) in [
        ("a", third, true),
        ("a", Revision(1), false),
        ("c", third, false),
    ] {
        let found = ledger.is_last(&GroupKey::named(group), revision).await;
        assert_eq!(found.unwrap(), is_last, "{group} {revision}");
    }
}
