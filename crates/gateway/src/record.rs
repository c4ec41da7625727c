//! Writing an exchange's records.

use std::time::Duration;

use bytes::Bytes;
use event::{
    Answered, BodyChunk, Charges, Closed, Dispatched, Frame, HeaderList, HeaderListBuilder,
    InteractionId, MessageChunk, Opened, Record, Refused, Side,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use ledger::{Commit, Ledger, State};
use tokio_util::sync::CancellationToken;

use crate::credential;
use crate::refusal::{Kind, Refusal};

/// Longest pause between two attempts to write an end record while the ledger is down.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The ledger, as one exchange writes to it.
pub(crate) struct Recorder {
    ledger: Ledger,
    /// How often the ledger had failed when the exchange began.
    failures: u64,
    pub(crate) id: InteractionId,
}

impl Recorder {
    pub(crate) fn new(ledger: Ledger, id: InteractionId) -> Self {
        let failures = ledger.failures();
        Self { ledger, failures, id }
    }

    /// The ledger failed while the exchange ran. Nobody waits for the pieces of a body one by one, so
    /// some may not have been kept, though it serves again.
    pub(crate) fn may_have_lost_pieces(&self) -> bool {
        self.ledger.failures() != self.failures
    }

    pub(crate) fn opened(&self, opened: Box<Opened>) -> Frame {
        Record::Opened(opened).encode(self.id)
    }

    pub(crate) fn dispatched(&self, dispatched: Dispatched) -> Frame {
        Record::Dispatched(Box::new(dispatched)).encode(self.id)
    }

    pub(crate) fn answered(&self, answered: Answered) -> Frame {
        Record::Answered(Box::new(answered)).encode(self.id)
    }

    pub(crate) fn closed(&self, closed: Closed) -> Frame {
        Record::Closed(Box::new(closed)).encode(self.id)
    }

    pub(crate) fn refused(&self, refused: Refused) -> Frame {
        Record::Refused(Box::new(refused)).encode(self.id)
    }

    pub(crate) fn charges(&self, charges: Charges) -> Frame {
        Record::Charges(Box::new(charges)).encode(self.id)
    }

    pub(crate) fn chunk(&self, side: Side, data: Bytes) -> Frame {
        Record::BodyChunk(BodyChunk { side, data }).encode(self.id)
    }

    /// Queues frames.
    pub(crate) async fn append(&self, frames: Vec<Frame>) -> Result<Commit, Refusal> {
        self.ledger.append(frames).await.map_err(|error| ledger_down(&error))
    }

    /// Queues a piece of a body.
    pub(crate) async fn append_chunk(&self, side: Side, data: &Bytes) -> Result<(), Refusal> {
        self.append_unawaited(self.chunk(side, data.clone())).await
    }

    /// Queues a frame that nobody waits for; most of the time there is room.
    pub(crate) async fn append_unawaited(&self, frame: Frame) -> Result<(), Refusal> {
        match self.ledger.try_append_unawaited([frame.clone()]) {
            Err(error) if error.kind() == ledger::ErrorKind::Full => {
                Box::pin(self.append(vec![frame])).await.map(drop)
            }
            queued => queued.map_err(|error| ledger_down(&error)),
        }
    }

    /// Queues a piece of a WebSocket message.
    pub(crate) async fn append_message(&self, chunk: MessageChunk) -> Result<(), Refusal> {
        self.append_unawaited(Record::MessageChunk(chunk).encode(self.id)).await
    }

    /// Queues frames and waits until they are kept; answers the sequence of the last.
    pub(crate) async fn keep(&self, frames: Vec<Frame>) -> Result<u64, Refusal> {
        kept(self.append(frames).await?).await
    }

    /// Writes an end record that could not be written when it was due, once the ledger is back.
    pub(crate) async fn keep_late(&self, frames: Vec<Frame>, stop: &CancellationToken) -> bool {
        let mut pause = Duration::from_millis(50);
        while self.ledger.state() != State::Closed {
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
            }
            if self.ledger.ready() && self.keep(frames.clone()).await.is_ok() {
                return true;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        false
    }
}

/// Waits until a commit is kept.
pub(crate) async fn kept(commit: Commit) -> Result<u64, Refusal> {
    commit.durable().await.map_err(|error| ledger_down(&error))
}

pub(crate) fn ledger_down(error: &ledger::Error) -> Refusal {
    Refusal::new(Kind::LedgerDown).detail(error.to_string())
}

/// The protocol's name in the record.
pub(crate) fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" }
}

/// Headers that were sent, as they are recorded: all of them, or what differs from those received.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentHeaders {
    pub(crate) list: HeaderList,
    /// Names of headers received that were not sent so, separated by commas; none if `list` has all.
    pub(crate) dropped: Option<String>,
}

impl From<HeaderList> for SentHeaders {
    fn from(list: HeaderList) -> Self {
        Self { list, dropped: None }
    }
}

/// Headers as they are recorded: in order, secrets redacted.
pub(crate) fn header_list(headers: &HeaderMap) -> HeaderList {
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + HeaderListBuilder::OVERHEAD_BYTES
    };
    let mut list = HeaderListBuilder::with_capacity(headers.iter().map(bytes).sum());
    for (name, value) in headers {
        list.push(name.as_str(), &credential::redact_header(name, value.as_bytes()));
    }
    list.finish()
}
