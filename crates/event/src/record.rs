//! The records of an interaction and their encoding.
//!
//! An interaction is `Opened`, request `BodyChunk`s, one `Dispatched` per attempt, `Answered`,
//! response `BodyChunk`s and exactly one `Closed`; `Objects` stand in between where a backend made
//! some, `Charges` where limits count. A WebSocket session has `MessageChunk`s of both sides in place
//! of bodies. What is refused before it was opened is a single `Refused`. A frame's payload is JSON,
//! but for `BodyChunk`, which is the raw bytes as they passed, and `MessageChunk`, which has a short
//! head of its own. Fields may be added; a changed meaning takes a new `Kind`.

mod write;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::object::name;
use crate::{HeaderList, InteractionId, Note, Timestamp};
use write::object;

/// Room for an ordinary record.
const RECORD_BYTES: usize = 2 << 10;

/// What a frame holds; the byte stands in the ledger for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// [`Opened`].
    Opened = 1,
    /// [`BodyChunk`] of [`Side::Request`].
    RequestChunk = 2,
    /// [`Dispatched`].
    Dispatched = 3,
    /// [`Answered`].
    Answered = 4,
    /// [`BodyChunk`] of [`Side::Response`].
    ResponseChunk = 5,
    /// [`Closed`].
    Closed = 6,
    /// [`Refused`].
    Refused = 7,
    /// [`Objects`].
    Objects = 8,
    /// [`BackendState`].
    BackendState = 9,
    /// [`MessageChunk`] of [`Side::Request`].
    ClientMessage = 10,
    /// [`MessageChunk`] of [`Side::Response`].
    ServerMessage = 11,
    /// [`Charges`].
    Charges = 12,
    /// [`AdminAction`](crate::AdminAction).
    AdminAction = 13,
    /// [`ContentRead`](crate::ContentRead).
    ContentRead = 14,
    /// [`SecurityEvent`](crate::SecurityEvent).
    SecurityEvent = 15,
    /// [`Alert`](crate::Alert).
    Alert = 16,
    /// [`CostAdjustment`](crate::CostAdjustment).
    CostAdjustment = 17,
    /// [`LedgerCheckpoint`](crate::LedgerCheckpoint).
    LedgerCheckpoint = 18,
    /// [`Erasure`](crate::Erasure), of the interaction that it takes the content of.
    Erasure = 19,
}

impl Kind {
    /// The kind that this byte names, if any.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Opened,
            2 => Self::RequestChunk,
            3 => Self::Dispatched,
            4 => Self::Answered,
            5 => Self::ResponseChunk,
            6 => Self::Closed,
            7 => Self::Refused,
            8 => Self::Objects,
            9 => Self::BackendState,
            10 => Self::ClientMessage,
            11 => Self::ServerMessage,
            12 => Self::Charges,
            13 => Self::AdminAction,
            14 => Self::ContentRead,
            15 => Self::SecurityEvent,
            16 => Self::Alert,
            17 => Self::CostAdjustment,
            18 => Self::LedgerCheckpoint,
            19 => Self::Erasure,
            _ => return None,
        })
    }

    /// Its payload is what callers and models said to each other: what can be erased.
    pub const fn is_content(self) -> bool {
        matches!(
            self,
            Self::RequestChunk | Self::ResponseChunk | Self::ClientMessage | Self::ServerMessage
        )
    }
}

/// One entry for the ledger: whose it is, what it is, and its encoded payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The interaction it belongs to.
    pub interaction: InteractionId,
    /// What the payload is.
    pub kind: Kind,
    /// The encoded record.
    pub payload: Bytes,
}

/// Everything that can stand in a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A request was accepted and is about to be sent on.
    Opened(Box<Opened>),
    /// A piece of a body.
    BodyChunk(BodyChunk),
    /// A piece of a WebSocket message.
    MessageChunk(MessageChunk),
    /// The request is being sent to a backend.
    Dispatched(Box<Dispatched>),
    /// The backend's answer began.
    Answered(Box<Answered>),
    /// The interaction ended.
    Closed(Box<Closed>),
    /// A request was refused before it was opened.
    Refused(Box<Refused>),
    /// A backend made objects, or they are gone.
    Objects(Box<Objects>),
    /// A backend stands otherwise than before, or as before; it belongs to no interaction.
    BackendState(Box<BackendState>),
    /// Limits count an interaction.
    Charges(Box<Charges>),
    /// What belongs to no interaction and is a row already.
    Note(Box<Note>),
}

/// Where the caller is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CallerAddress {
    /// The caller's address: the peer's, or the one a trusted proxy vouches for. IPv6 in full.
    pub caller_ip: String,
    /// Address of the immediate peer.
    pub peer_ip: String,
    /// Port of the immediate peer.
    pub peer_port: u16,
    /// `X-Forwarded-For` or `Forwarded` as received, trusted or not.
    pub forwarded_for: String,
    /// Subject of the client certificate that the peer showed; empty if none.
    pub certificate_subject: String,
}

/// What the request asks for, as `identify` sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Canonical dated Azure id, such as `ChatCompletions_Create`; empty if the path is unknown.
    pub operation_id: String,
    /// The id of the surface that was called.
    pub surface_operation_id: String,
    /// `azure-dated`, `azure-v1`, `azure-ai-inference`, `openai` or `arm`.
    pub surface: String,
    /// Operation kind, such as `chat`.
    pub kind: String,
    /// Operation sub-kind, such as `responses`.
    pub subkind: String,
    /// Deployment called; empty if none.
    pub deployment: String,
    /// `model` of the request body or query; empty if none.
    pub model: String,
    /// `api-version` of the query; empty if none.
    pub api_version: String,
    /// The request asks for a stream.
    pub is_stream: bool,
}

/// A request was accepted: the start of an interaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Opened {
    /// When its first byte was read.
    pub received_at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Absolute URL as the client sent it, keys redacted.
    pub url: String,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: String,
    /// `1.2`, `1.3`, or empty on plain text.
    pub tls_version: String,
    /// Who called, from where.
    pub caller: CallerAddress,
    /// What was asked for.
    pub target: Target,
    /// Request headers, secrets redacted.
    pub headers: HeaderList,
    /// Bytes of the request head as read.
    pub head_bytes: u64,
    /// Product that granted access; empty if none.
    pub product_id: String,
    /// Subscription whose key was used; empty if none.
    pub subscription_id: String,
    /// Owner of the subscription, or the caller's identity.
    pub user_id: String,
    /// Client application that the caller's token was issued to; empty without a token.
    pub application_id: String,
    /// Tenant of the caller's token; empty without one.
    pub tenant_id: String,
    /// Groups of the caller that a token proves, the first 100 of them.
    pub groups: Vec<String>,
    /// Region this gateway is in.
    pub region: String,
    /// Version of the rules that admitted it.
    pub rules_version: u64,
}

/// Which body a chunk belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// From the client.
    Request,
    /// From the backend (and so to the client).
    Response,
}

/// A piece of a body, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyChunk {
    /// Which body.
    pub side: Side,
    /// The bytes as they passed.
    pub data: Bytes,
}

/// What a WebSocket message is (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of one side.
    Close = 8,
    /// Ping.
    Ping = 9,
    /// Pong.
    Pong = 10,
}

impl Opcode {
    /// The opcode of these four bits; none for a continuation or a reserved one.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A piece of a WebSocket message, in order: what the message says, unmasked and decompressed.
///
/// Payload: one byte with the opcode in its low four bits, 0x10 on the first piece of a message and
/// 0x20 on its last; the time as microseconds since 1970 (64 bits, little-endian); the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageChunk {
    /// Who sent it: the client ([`Side::Request`]) or the backend.
    pub side: Side,
    /// When it passed.
    pub at: Timestamp,
    /// What the message is.
    pub opcode: Opcode,
    /// The message begins with this piece.
    pub is_start: bool,
    /// The message ends with it.
    pub is_end: bool,
    /// The data.
    pub data: Bytes,
}

/// Bytes of a [`MessageChunk`] before its data.
const MESSAGE_HEAD_BYTES: usize = 9;
const MESSAGE_START: u8 = 0x10;
const MESSAGE_END: u8 = 0x20;

impl MessageChunk {
    fn encode(&self) -> Bytes {
        let mut payload = Vec::with_capacity(MESSAGE_HEAD_BYTES + self.data.len());
        let start = if self.is_start { MESSAGE_START } else { 0 };
        let end = if self.is_end { MESSAGE_END } else { 0 };
        payload.push(self.opcode as u8 | start | end);
        payload.extend_from_slice(&self.at.unix_micros().to_le_bytes());
        payload.extend_from_slice(&self.data);
        payload.into()
    }

    fn decode(side: Side, payload: &Bytes) -> Option<Self> {
        let (head, _) = payload.split_first_chunk::<MESSAGE_HEAD_BYTES>()?;
        let [first, micros @ ..] = *head;
        Some(Self {
            side,
            at: Timestamp::from_unix_micros(i64::from_le_bytes(micros)),
            opcode: Opcode::from_bits(first & 0x0F)?,
            is_start: first & MESSAGE_START != 0,
            is_end: first & MESSAGE_END != 0,
            data: payload.slice(MESSAGE_HEAD_BYTES..),
        })
    }
}

/// The request goes to a backend; one per attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Dispatched {
    /// When.
    pub sent_at: Timestamp,
    /// Attempt, from 1.
    pub attempt: u32,
    /// Backend chosen.
    pub backend_id: String,
    /// Method sent.
    pub method: String,
    /// URL sent.
    pub url: String,
    /// Headers sent, secrets redacted; with `dropped_headers` only those that the client had not sent so.
    pub headers: HeaderList,
    /// Names of the client's headers ([`Opened::headers`]) that were not sent on as they came, separated by
    /// commas; none where `headers` has all that were sent.
    pub dropped_headers: Option<String>,
    /// Members of the body that the gateway changed, such as `stream_options.include_usage`.
    pub body_changes: Vec<String>,
}

/// The backend's answer began; its body follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Answered {
    /// When the head was read.
    pub answered_at: Timestamp,
    /// Protocol spoken with the backend: `HTTP/1.1` or `HTTP/2`.
    pub protocol: String,
    /// Backend's status.
    pub status: u16,
    /// Backend's headers.
    pub headers: HeaderList,
    /// The attempt it answers; 0 for the last.
    pub attempt: u32,
}

/// How an interaction ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole answer went to the client.
    #[default]
    Complete,
    /// The gateway refused it.
    Refused,
    /// The client hung up before the end.
    ClientGone,
    /// The backend failed before or during its answer.
    BackendFailed,
    /// The gateway failed during the answer.
    GatewayFailed,
    /// A crash of the gateway left it open.
    Interrupted,
}

impl Outcome {
    /// The name as it stands in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::ClientGone => "client_gone",
            Self::BackendFailed => "backend_failed",
            Self::GatewayFailed => "gateway_failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One error on the way, named as API Management names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    /// Step that raised it, such as `authenticate` or `forward-request`.
    pub source: String,
    /// Error code, such as `SubscriptionKeyNotFound`.
    pub reason: String,
    /// What it said.
    pub message: String,
    /// `global`, `product`, `api` or `operation`.
    pub scope: String,
    /// `inbound`, `backend`, `outbound` or `on-error`.
    pub section: String,
    /// Milliseconds from the start to the error.
    pub elapsed_ms: i64,
}

/// The end of an interaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Closed {
    /// When the last byte but the held back one had been handed to the client.
    pub closed_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    /// Response headers sent to the client; with `dropped_headers` only those that the backend had not sent
    /// so.
    pub headers: HeaderList,
    /// Names of the backend's headers ([`Answered::headers`]) that were not sent on as they came, separated by
    /// commas; none where `headers` has all that were sent.
    pub dropped_headers: Option<String>,
    /// Bytes read from the client, head included.
    pub request_bytes: u64,
    /// Bytes written to the client, head included.
    pub response_bytes: u64,
    /// Milliseconds spent reading from and writing to the client.
    pub client_ms: i64,
    /// Milliseconds spent in backend I/O.
    pub backend_ms: i64,
    /// Milliseconds from the first byte in to the first byte of the answer out; none if there was none.
    pub first_byte_ms: Option<i64>,
    /// Microseconds spent in the gateway itself, the wait for the disk included.
    pub overhead_micros: i64,
    /// Longest gap between two pieces of the answer, in milliseconds.
    pub chunk_gap_ms_max: i64,
    /// Pieces of the answer.
    pub chunks: u64,
    /// Every error on the way, in order.
    pub errors: Vec<ErrorDetail>,
    /// Body of the gateway's own answer, where it was not the backend's.
    pub own_body: String,
    /// How a WebSocket session ended; none of any other interaction.
    pub session: Option<SessionEnd>,
}

/// How a WebSocket session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionEnd {
    /// Close code the client got, or sent; 1006 if the connection ended without one (RFC 6455,
    /// section 7.4).
    pub close_code: u16,
    /// Reason that came with it.
    pub close_reason: String,
    /// Who ended it: `client`, `backend` or `gateway`.
    pub closed_by: String,
    /// Messages that the client sent, pings and the like not counted.
    pub client_messages: u64,
    /// Messages that the backend sent.
    pub server_messages: u64,
}

/// A request that was refused before it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refused {
    /// What was asked.
    pub opened: Opened,
    /// What was answered.
    pub closed: Closed,
}

/// Objects that a backend made during an interaction, or that are gone with it. Kept before the
/// caller sees their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Objects {
    /// When.
    pub noted_at: Timestamp,
    /// Backend that has them.
    pub backend_id: String,
    /// Subscription they belong to.
    pub owner: String,
    /// Those made.
    pub made: Vec<Object>,
    /// Those gone.
    pub gone: Vec<Object>,
}

/// One object of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Object {
    /// What it is, such as `file` or `thread`.
    pub kind: String,
    /// Its id, as the backend minted it.
    pub id: String,
    /// Id of the object it lies in; empty if it stands alone.
    pub parent: String,
}

/// How a backend stands, or one of its circuits: told when it changes, and from time to time. Its
/// frame has an id of its own and belongs to no interaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendState {
    /// When.
    pub noted_at: Timestamp,
    /// Id of the backend.
    pub backend_id: String,
    /// Its base URL.
    pub backend_url: String,
    /// What stands so: `probe`, `drain`, `connections` or `deployment`.
    pub scope: String,
    /// The deployment, where the scope is one; empty for calls that name none.
    pub deployment: String,
    /// The state, such as `open`.
    pub state: String,
    /// The state before; the same where nothing changed.
    pub former_state: String,
    /// Why, as a word.
    pub reason: String,
    /// Why, as a text.
    pub message: String,
    /// Status of the answer that told it.
    pub status: Option<u16>,
    /// Failures in a row.
    pub failures: u32,
    /// Calls in flight at the backend.
    pub in_flight: u32,
    /// Until when it gets no calls.
    pub until: Option<Timestamp>,
    /// It only tells how things stand.
    pub is_periodic: bool,
    /// Changes since the one noted before that are not noted one by one.
    pub unnoted: u64,
    /// Region this gateway is in.
    pub region: String,
}

/// What an interaction counts against limits. It is written with the records that it belongs to, so
/// that counters can be made anew from the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charges {
    /// When.
    pub charged_at: Timestamp,
    /// Which step of the interaction's account this is.
    pub step: ChargeStep,
    /// What was used was not told but estimated.
    pub is_estimated: bool,
    /// By counter.
    pub charges: Vec<Charge>,
}

/// A step of an interaction's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeStep {
    /// So much is set aside before the request is sent. Without a later step it counts as used.
    #[default]
    Reserved,
    /// So much was used besides, and there may be more.
    Added,
    /// So much was used in place of what was set aside.
    Settled,
}

/// An amount on one counter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charge {
    /// Name of the counter, such as `tokens/60s|subscription=team`.
    pub counter: String,
    /// Calls, tokens or nanodollars.
    pub amount: u64,
}

/// A payload that is not what its kind says.
#[derive(Debug)]
pub struct DecodeError {
    kind: Kind,
    source: Option<serde_json::Error>,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "payload is not a {:?} record", self.kind)
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl Record {
    /// The kind under which it stands in a frame.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Opened(_) => Kind::Opened,
            Self::BodyChunk(BodyChunk { side: Side::Request, .. }) => Kind::RequestChunk,
            Self::BodyChunk(BodyChunk { side: Side::Response, .. }) => Kind::ResponseChunk,
            Self::MessageChunk(MessageChunk { side: Side::Request, .. }) => Kind::ClientMessage,
            Self::MessageChunk(MessageChunk { side: Side::Response, .. }) => Kind::ServerMessage,
            Self::Dispatched(_) => Kind::Dispatched,
            Self::Answered(_) => Kind::Answered,
            Self::Closed(_) => Kind::Closed,
            Self::Refused(_) => Kind::Refused,
            Self::Objects(_) => Kind::Objects,
            Self::BackendState(_) => Kind::BackendState,
            Self::Charges(_) => Kind::Charges,
            Self::Note(note) => note.kind(),
        }
    }

    /// Encodes it into a frame of `interaction`.
    pub fn encode(self, interaction: InteractionId) -> Frame {
        let kind = self.kind();
        let payload = match self {
            Self::Opened(record) => object(record.headers.bytes(), |to| record.write(to)),
            Self::BodyChunk(chunk) => chunk.data,
            Self::MessageChunk(chunk) => chunk.encode(),
            Self::Dispatched(record) => object(record.headers.bytes(), |to| record.write(to)),
            Self::Answered(record) => object(record.headers.bytes(), |to| record.write(to)),
            Self::Closed(record) => {
                object(record.headers.bytes() + record.own_body.len(), |to| record.write(to))
            }
            Self::Refused(record) => object(RECORD_BYTES, |to| {
                to.object(name!("opened"), |to| record.opened.write(to));
                to.object(name!("closed"), |to| record.closed.write(to));
            }),
            Self::Objects(record) => json(&record).into(),
            Self::BackendState(record) => json(&record).into(),
            Self::Charges(record) => json(&record).into(),
            Self::Note(note) => match *note {
                Note::AdminAction(note) => json(&note).into(),
                Note::ContentRead(note) => json(&note).into(),
                Note::SecurityEvent(note) => json(&note).into(),
                Note::Alert(note) => json(&note).into(),
                Note::CostAdjustment(note) => json(&note).into(),
                Note::LedgerCheckpoint(note) => json(&note).into(),
                Note::Erasure(note) => json(&note).into(),
            },
        };
        Frame { interaction, kind, payload }
    }

    /// Decodes a frame's payload.
    pub fn decode(kind: Kind, payload: &Bytes) -> Result<Self, DecodeError> {
        let wrong = |source| DecodeError { kind, source: Some(source) };
        let message = |side| {
            let chunk = MessageChunk::decode(side, payload).map(Self::MessageChunk);
            chunk.ok_or(DecodeError { kind, source: None })
        };
        Ok(match kind {
            Kind::Opened => Self::Opened(serde_json::from_slice(payload).map_err(wrong)?),
            Kind::RequestChunk => chunk(Side::Request, payload),
            Kind::ResponseChunk => chunk(Side::Response, payload),
            Kind::Dispatched => Self::Dispatched(serde_json::from_slice(payload).map_err(wrong)?),
            Kind::Answered => Self::Answered(serde_json::from_slice(payload).map_err(wrong)?),
            Kind::Closed => Self::Closed(serde_json::from_slice(payload).map_err(wrong)?),
            Kind::Refused => Self::Refused(serde_json::from_slice(payload).map_err(wrong)?),
            Kind::Objects => Self::Objects(serde_json::from_slice(payload).map_err(wrong)?),
            Kind::BackendState => {
                Self::BackendState(serde_json::from_slice(payload).map_err(wrong)?)
            }
            Kind::ClientMessage => message(Side::Request)?,
            Kind::ServerMessage => message(Side::Response)?,
            Kind::Charges => Self::Charges(serde_json::from_slice(payload).map_err(wrong)?),
            Kind::AdminAction => note(Note::AdminAction, payload).map_err(wrong)?,
            Kind::ContentRead => note(Note::ContentRead, payload).map_err(wrong)?,
            Kind::SecurityEvent => note(Note::SecurityEvent, payload).map_err(wrong)?,
            Kind::Alert => note(Note::Alert, payload).map_err(wrong)?,
            Kind::CostAdjustment => note(Note::CostAdjustment, payload).map_err(wrong)?,
            Kind::LedgerCheckpoint => note(Note::LedgerCheckpoint, payload).map_err(wrong)?,
            Kind::Erasure => note(Note::Erasure, payload).map_err(wrong)?,
        })
    }
}

fn note<'a, N: Deserialize<'a>>(
    kind: fn(N) -> Note,
    payload: &'a [u8],
) -> Result<Record, serde_json::Error> {
    Ok(Record::Note(Box::new(kind(serde_json::from_slice(payload)?))))
}

fn chunk(side: Side, payload: &Bytes) -> Record {
    Record::BodyChunk(BodyChunk { side, data: payload.clone() })
}

fn json(record: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(RECORD_BYTES);
    serde_json::to_writer(&mut text, record)
        .expect("records have string keys and no failing serialisers");
    text
}

#[cfg(test)]
mod tests;
