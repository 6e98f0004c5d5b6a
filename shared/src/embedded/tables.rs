//! The tables of the database.

use redb::TableDefinition;

/// (partition, sequence) to the group's hash in eight bytes and the encoded trigger.
pub(super) const TRIGGERS: TableDefinition<(u16, u64), &[u8]> = TableDefinition::new("triggers");
/// A trigger's id to the (partition, sequence) of the newest trigger with it.
pub(super) const TRIGGER_IDS: TableDefinition<u128, (u16, u64)> =
    TableDefinition::new("trigger_ids");
/// A revision to a record of the ledger, as JSON.
pub(super) const LEDGER: TableDefinition<u64, &[u8]> = TableDefinition::new("ledger");
/// A group's name to the revision of its last record.
pub(super) const LEDGER_LAST: TableDefinition<&str, u64> = TableDefinition::new("ledger_last");
/// A receiver's id to the receiver, as JSON.
pub(super) const RECEIVERS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("receivers");
/// (project, name) to the id of the receiver that has the name.
pub(super) const RECEIVER_NAMES: TableDefinition<(&str, &str), &[u8]> =
    TableDefinition::new("receiver_names");
/// A partition to its cursor, as JSON.
pub(super) const CURSORS: TableDefinition<u16, &[u8]> = TableDefinition::new("cursors");
/// Numbers by name: see below.
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

/// The format of the database.
pub(super) const FORMAT: &str = "format";
/// How many partitions it has.
pub(super) const PARTITIONS: &str = "partitions";
/// The last sequence in the trigger log.
pub(super) const LAST_SEQUENCE: &str = "last_sequence";
/// The last revision in the ledger.
pub(super) const LAST_REVISION: &str = "last_revision";
/// The last change in the registry.
pub(super) const LAST_CHANGE: &str = "last_change";
