//! One direction of a session: read, understand, record, pass on, in this order for every piece.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use event::{MessageChunk, Opcode, Side, Timestamp};
use openai::{Peeker, SessionEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::record::Recorder;
use crate::refusal::{Kind, Refusal};
use crate::relay::desk::{Charged, Desk};
use crate::websocket::frames::{FrameReader, Unit, Violation};

/// Room for one reading.
const READ_BYTES: usize = 16 << 10;
/// Longest message of a backend that is looked into for usage. It is held meanwhile.
const WATCHED_BYTES_MAX: usize = 4 << 20;

/// What both directions of a session share.
pub(crate) struct Shared<'a> {
    pub(crate) recorder: &'a Recorder,
    /// Microseconds from the start of the session to the last byte that moved.
    pub(crate) moved_at: AtomicU64,
    pub(crate) began: Instant,
    /// The client sends nothing more: only what it asked for is still waited for.
    pub(crate) ebbs: CancellationToken,
    pub(crate) tally: Mutex<SessionTally>,
    pub(crate) desk: tokio::sync::Mutex<Desk<'a>>,
}

/// What a session has come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SessionTally {
    /// Responses that began and have not ended.
    pub(crate) open_responses: u32,
    /// Bytes read from the backend since the client sent nothing more.
    pub(crate) ebb_bytes: u64,
}

/// One direction.
pub(crate) struct Lane<R, W> {
    side: Side,
    reader: R,
    /// None once the other side takes nothing more.
    writer: Option<W>,
    frames: FrameReader,
    buffer: BytesMut,
    /// Pieces that were read before the session began.
    early: VecDeque<Unit>,
    look: Look,
    /// Part of a frame may have gone out.
    is_writing: bool,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    ebb_bytes_max: u64,
}

/// What is looked for in the messages that pass.
pub(crate) enum Look {
    /// Nothing.
    Not,
    /// What each message of the client asks for.
    Requests(Option<Box<Peeker>>),
    /// Responses that begin and end; the message under way is kept meanwhile.
    Responses(Option<Vec<u8>>),
}

/// Why a direction came to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A close frame: the client's has been passed on, the backend's is held back.
    Closed(Unit),
    /// The connection ended without one.
    Ended,
    /// The other side takes nothing more.
    Unwritable,
    Violation(Violation),
    /// The caller may not do that.
    Denied(Refusal),
    /// Nothing is left of one of the limits.
    Exhausted,
    /// The record cannot be written.
    Ledger(Refusal),
    /// The client has gone, and enough was read on.
    Ebbed,
}

impl Shared<'_> {
    pub(crate) fn note_moved(&self) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.moved_at.store(micros, Ordering::Relaxed);
    }

    /// Time from the start of the session to the last byte that moved.
    pub(crate) fn moved_at(&self) -> Duration {
        Duration::from_micros(self.moved_at.load(Ordering::Relaxed))
    }

    /// Nothing is being answered.
    pub(crate) fn is_quiet(&self) -> bool {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).open_responses == 0
    }
}

impl<R, W> Lane<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    pub(crate) fn new(
        side: Side,
        (reader, writer): (R, W),
        frames: FrameReader,
        look: Look,
    ) -> Self {
        Self {
            side,
            reader,
            writer: Some(writer),
            frames,
            buffer: BytesMut::new(),
            early: VecDeque::new(),
            look,
            is_writing: false,
            messages: 0,
            bytes: 0,
            ebb_bytes_max: u64::MAX,
        }
    }

    /// Begins with what was read before.
    pub(crate) fn with_early(mut self, units: VecDeque<Unit>, buffer: BytesMut) -> Self {
        self.early = units;
        self.buffer = buffer;
        self
    }

    /// Reads at most so much on once the client has gone.
    pub(crate) fn ebbing_within(mut self, bytes: u64) -> Self {
        self.ebb_bytes_max = bytes;
        self
    }

    /// Passes on until there is a reason to stop.
    pub(crate) async fn run(&mut self, shared: &Shared<'_>) -> Stop {
        loop {
            let unit = match self.early.pop_front() {
                Some(unit) => Ok(Some(unit)),
                None => self.frames.next(&mut self.buffer),
            };
            match unit {
                Err(violation) => return Stop::Violation(violation),
                Ok(Some(unit)) => {
                    if let Err(stop) = self.take(unit, shared).await {
                        return stop;
                    }
                }
                Ok(None) => {
                    self.buffer.reserve(READ_BYTES);
                    match self.reader.read_buf(&mut self.buffer).await {
                        Ok(0) | Err(_) => return Stop::Ended,
                        Ok(read) => {
                            if let Err(stop) = self.note_read(read as u64, shared) {
                                return stop;
                            }
                        }
                    }
                }
            }
        }
    }

    /// A frame may be put in towards where this direction goes.
    pub(crate) fn may_put_in(&self) -> bool {
        self.writer.is_some() && !self.is_writing && self.frames.is_between_frames()
    }

    /// The ends of this direction: where it comes from, and where it goes to.
    pub(crate) fn into_ends(self) -> (R, Option<W>) {
        (self.reader, self.writer)
    }

    fn note_read(&mut self, bytes: u64, shared: &Shared<'_>) -> Result<(), Stop> {
        shared.note_moved();
        self.bytes += bytes;
        if self.side == Side::Request || !shared.ebbs.is_cancelled() {
            return Ok(());
        }
        let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.ebb_bytes += bytes;
        if tally.ebb_bytes > self.ebb_bytes_max { Err(Stop::Ebbed) } else { Ok(()) }
    }

    async fn take(&mut self, unit: Unit, shared: &Shared<'_>) -> Result<(), Stop> {
        let charged = self.look(&unit, shared).await?;
        record(self.side, &unit, shared).await?;
        if let Some(frame) = charged.frame {
            shared.recorder.append(vec![frame]).await.map(drop).map_err(Stop::Ledger)?;
        }
        if unit.opcode == Opcode::Close {
            if self.side == Side::Request {
                self.pass(&unit.wire, shared).await?;
            }
            return Err(Stop::Closed(unit));
        }
        if unit.is_end && matches!(unit.opcode, Opcode::Text | Opcode::Binary) {
            self.messages += 1;
        }
        self.pass(&unit.wire, shared).await?;
        if charged.is_exhausted { Err(Stop::Exhausted) } else { Ok(()) }
    }

    /// Writes to the other side. A client that takes nothing more does not end its direction: what it
    /// asked for is still recorded.
    async fn pass(&mut self, wire: &Bytes, shared: &Shared<'_>) -> Result<(), Stop> {
        let Some(writer) = self.writer.as_mut().filter(|_| !wire.is_empty()) else { return Ok(()) };
        self.is_writing = true;
        let written = async {
            writer.write_all(wire).await?;
            writer.flush().await
        };
        if written.await.is_ok() {
            self.is_writing = false;
            shared.note_moved();
            return Ok(());
        }
        self.writer = None;
        if self.side == Side::Request {
            return Err(Stop::Unwritable);
        }
        shared.ebbs.cancel();
        Ok(())
    }

    async fn look(&mut self, unit: &Unit, shared: &Shared<'_>) -> Result<Charged, Stop> {
        if !matches!(unit.opcode, Opcode::Text | Opcode::Binary) {
            return Ok(Charged::default());
        }
        match &mut self.look {
            Look::Not => Ok(Charged::default()),
            Look::Requests(peeker) => {
                if unit.is_start {
                    *peeker = Some(Box::new(Peeker::new(Some("application/json"))));
                }
                if let Some(peeker) = peeker {
                    peeker.push(&unit.data);
                }
                // Before its last piece a message can do nothing.
                let whole = if unit.is_end { peeker.take() } else { None };
                if let Some(peeker) = whole {
                    let peek = peeker.finish();
                    shared.desk.lock().await.admit(&peek).await.map_err(Stop::Denied)?;
                }
                Ok(Charged::default())
            }
            Look::Responses(held) => {
                if unit.is_start && unit.is_end {
                    return heard(&unit.data, shared).await;
                }
                if unit.is_start {
                    *held = Some(Vec::new());
                }
                if let Some(message) = held {
                    message.extend_from_slice(&unit.data);
                }
                if held.as_ref().is_some_and(|message| message.len() > WATCHED_BYTES_MAX) {
                    *held = None;
                }
                let whole = if unit.is_end { held.take() } else { None };
                match whole {
                    Some(message) => heard(&message, shared).await,
                    None => Ok(Charged::default()),
                }
            }
        }
    }
}

async fn record(side: Side, unit: &Unit, shared: &Shared<'_>) -> Result<(), Stop> {
    let chunk = MessageChunk {
        side,
        at: Timestamp::from(SystemTime::now()),
        opcode: unit.opcode,
        is_start: unit.is_start,
        is_end: unit.is_end,
        data: unit.data.clone(),
    };
    shared.recorder.append_message(chunk).await.map_err(Stop::Ledger)?;
    if shared.recorder.may_have_lost_pieces() {
        return Err(Stop::Ledger(Refusal::new(Kind::LedgerDown)));
    }
    Ok(())
}

/// Follows what the backend answers: this is where the cost of each response is known first.
async fn heard(message: &[u8], shared: &Shared<'_>) -> Result<Charged, Stop> {
    let event = SessionEvent::read(message);
    if event == SessionEvent::Other {
        return Ok(Charged::default());
    }
    let charged = shared.desk.lock().await.hear(message, &event).await;
    let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        SessionEvent::ResponseStarted => tally.open_responses += 1,
        SessionEvent::ResponseEnded(_) => {
            tally.open_responses = tally.open_responses.saturating_sub(1);
        }
        SessionEvent::Other => {}
    }
    charged.map_err(Stop::Ledger)
}
