//! What Gatehouse records, and the tables the record becomes.
//!
//! Floor 0: every other crate may name these types; this one names none of ours.
//! No I/O and no clock: times and randomness are arguments.

mod headers;
mod id;
mod note;
mod object;
mod record;
mod rows;
mod sink;
mod table;
mod time;

pub use headers::{HeaderList, HeaderListBuilder, Headers};
pub use id::InteractionId;
pub use note::{
    AdminAction, Alert, ContentRead, CostAdjustment, Erasure, LedgerCheckpoint, Note, SecurityEvent,
};
pub use record::{
    Answered, BackendState, BodyChunk, CallerAddress, Charge, ChargeStep, Charges, Closed,
    DecodeError, Dispatched, ErrorDetail, Frame, Kind, MessageChunk, Object, Objects, Opcode,
    Opened, Outcome, Record, Refused, SessionEnd, Side, Target,
};
pub use rows::{
    BackendHealth, BodyText, CITING_COLUMNS, Interaction, Json, Message, Money, URL_COLUMNS,
    without_query,
};
pub use sink::{Batch, BlobWriter, Cursor, Sink, SinkError};
pub use table::{Column, ColumnType, Table, TableRow, Value, table, tables};
pub use time::Timestamp;
