//! The words of the product as types: what a receiver, a trigger, a group, a verdict is. A value of one
//! of these types is valid by construction; parsing stands at the border, in each type's `FromStr` or
//! in [`crate::receiver_json`]. No I/O here.

pub mod call;
pub mod group;
pub mod ids;
pub mod kind;
pub mod ledger;
pub mod management;
pub mod outcome;
pub mod push;
pub mod receiver;
pub mod scaling;
pub mod selector;
pub mod time;
pub mod trigger;
