//! What only this adapter promises: what it does when its disk fails. What every backbone promises is in the
//! contract suites.

mod failing_disk;

use std::collections::BTreeMap;

use crate::domain::group::GroupKey;
use crate::domain::ids::{ReceiverId, Revision, TriggerId};
use crate::domain::kind::Driver;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Source, Trigger};

/// A trigger of `group`.
fn trigger(group: &str) -> Trigger {
    Trigger {
        id: TriggerId::random(),
        receiver_id: ReceiverId::from_bytes([7; 12]),
        receiver_name: "r".to_owned(),
        driver: Driver::ScaleService,
        project: "1a5".parse().unwrap(),
        group: GroupKey::named(group),
        accepted_at: Timestamp::now(),
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
        body: b"body".to_vec(),
    }
}
