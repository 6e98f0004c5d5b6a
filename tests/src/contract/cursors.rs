//! The contract of the cursors.

use std::collections::BTreeMap;

use stormhook_shared::domain::group::{GroupKey, Partition};
use stormhook_shared::domain::ids::Sequence;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::cursors::Cursor;

/// A cursor is at the beginning until one is stored, and then as it was stored.
pub async fn a_cursor_is_read_as_it_was_stored(backbone: &Backbone) {
    let cursors = &backbone.cursors;
    assert_eq!(cursors.load(Partition(3)).await.unwrap(), Cursor::default());
    let cursor = Cursor {
        position: Sequence(17),
        lagging: BTreeMap::from([(GroupKey::named("g"), Sequence(5))]),
    };
    cursors.store(Partition(3), cursor.clone()).await.unwrap();
    assert_eq!(cursors.load(Partition(3)).await.unwrap(), cursor);
    assert_eq!(cursors.load(Partition(4)).await.unwrap(), Cursor::default());
    assert_eq!(cursor.all_settled(), Sequence(5));
}
