//! The agent's queue on disk: what was collected and is not yet acknowledged by the controller.
//!
//! Records are opaque bytes with a sequence number. They stand in append-only segment files; a segment is deleted as a
//! whole once every record in it is acknowledged. A small `head` file keeps what the segments alone could not tell after
//! damage: the next number, the acknowledged one, and how many events had to be dropped.
//!
//! Promises:
//! - what `append` returned `Ok` for is on disk (`fdatasync`) and is delivered, or its number is reported in a [`Item::Gap`];
//! - a number is never used twice within an [`common_model::Incarnation`];
//! - opening never fails because of what a file contains; damaged bytes are skipped and the records behind them kept;
//! - nothing but `ack` and the quota removes a record, and the quota takes states before events;
//! - on a full disk it goes on in space kept for that, for as long as what is there is acknowledged.

mod error;
mod head;
mod open;
mod record;
mod reserve;
mod room;
mod segment;
mod spool;
#[cfg(test)]
mod tests;

pub use error::SpoolError;
pub use open::{MIN_QUOTA_BYTES, Recovery};
pub use room::Dropped;
pub use spool::{Appended, Item, MAX_RECORD_BYTES, New, Spool};
