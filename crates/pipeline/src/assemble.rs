//! From frames to whole interactions.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use event::{
    Answered, BackendState, BodyChunk, Closed, Cursor, DecodeError, Dispatched, ErrorDetail,
    InteractionId, Kind, MessageChunk, Note, Opened, Outcome, Record, Refused, Side, Timestamp,
};
use ledger::Entry;

use crate::Error;
use crate::depot::Depot;
use crate::ended::{Ended, Tried, Whole, damage, signed};
use crate::header::Media;
use crate::intake::{Intake, Taken};
use crate::session::SessionIntake;

/// Attempts of one interaction that are remembered until one is answered.
const ATTEMPTS_KEPT: usize = 16;

/// Holds what has begun and not ended.
///
/// How many interactions are open is bounded by the gateway, how much of them is in memory by the
/// depot's budget; what a crash left open is closed when the ledger recovers.
pub(crate) struct Assembler {
    depot: Arc<Depot>,
    open: HashMap<InteractionId, Box<Open>>,
    /// Sequences of the first frames of `open`.
    firsts: BTreeSet<u64>,
    /// What ended at or before this sequence is in the tables already.
    skip_to: u64,
    applied: u64,
    damaged_frames: u64,
}

struct Open {
    first_sequence: u64,
    opened: Opened,
    dispatched: VecDeque<Dispatched>,
    attempts: u32,
    /// Status by attempt, of those that were answered.
    statuses: VecDeque<(u32, u16)>,
    answered: Option<Answered>,
    request: Intake,
    response: Intake,
    /// When the first piece with output was written, in a stream of events.
    first_output_at: Option<Timestamp>,
    session: Option<Box<SessionIntake>>,
    /// Set once a piece was erased: then all that was said is gone.
    erased: Option<Erased>,
    damage: Vec<ErrorDetail>,
}

/// Bytes of the pieces that were erased.
#[derive(Clone, Copy, Default)]
struct Erased {
    request: u64,
    response: u64,
}

impl Assembler {
    /// Begins where the tables end; read the ledger from `after.resume_from`.
    pub(crate) fn new(depot: Arc<Depot>, after: Cursor) -> Self {
        Self {
            depot,
            open: HashMap::new(),
            firsts: BTreeSet::new(),
            skip_to: after.applied,
            applied: after.applied,
            damaged_frames: 0,
        }
    }

    /// The cursor that holds once everything that ended so far is written.
    pub(crate) fn cursor(&self) -> Cursor {
        let resume_from = self.firsts.first().copied().unwrap_or(self.applied + 1);
        Cursor { applied: self.applied, resume_from }
    }

    /// Interactions that have begun and not ended.
    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Frames since the last call that could not be read or belong to nothing.
    pub(crate) fn take_damaged_frames(&mut self) -> u64 {
        std::mem::take(&mut self.damaged_frames)
    }

    /// Takes the next frame; answers what is complete with it. An error means that bytes could not be
    /// put anywhere: begin again from the last cursor.
    pub(crate) fn accept(&mut self, entry: Entry) -> Result<Option<Whole>, Error> {
        let Entry { sequence, written_at, frame, erased_bytes } = entry;
        let id = frame.interaction;
        if let Some(side) = side_of_content(frame.kind)
            && let Some(bytes) = erased_bytes
        {
            self.erased(id, sequence, side, bytes);
            return Ok(None);
        }
        match Record::decode(frame.kind, &frame.payload) {
            Ok(Record::Opened(opened)) => self.begin(id, sequence, *opened, None),
            Ok(Record::BodyChunk(chunk)) => self.chunk(id, sequence, written_at, &chunk)?,
            Ok(Record::MessageChunk(chunk)) => self.message(id, sequence, &chunk)?,
            Ok(Record::Dispatched(dispatched)) => self.dispatched(id, sequence, *dispatched),
            Ok(Record::Answered(answered)) => self.answered(id, sequence, *answered),
            Ok(Record::Closed(closed)) => {
                return Ok(self.end(id, sequence, *closed)?.map(Whole::Interaction));
            }
            Ok(Record::Refused(refused)) => {
                return Ok(self.refused(id, sequence, *refused)?.map(Whole::Interaction));
            }
            Ok(Record::BackendState(state)) => return Ok(self.backend_state(sequence, state)),
            Ok(Record::Note(note)) => {
                return Ok(self.note(sequence, *note, frame.payload.len() as u64));
            }
            // Of the object registry and of limits, which read the ledger themselves.
            Ok(Record::Objects(_) | Record::Charges(_)) => {}
            Err(error) => {
                let ended = self.damaged(id, sequence, frame.kind, &error)?;
                return Ok(ended.map(Whole::Interaction));
            }
        }
        Ok(None)
    }

    fn backend_state(&mut self, sequence: u64, state: Box<BackendState>) -> Option<Whole> {
        if sequence <= self.skip_to {
            return None;
        }
        self.applied = sequence;
        Some(Whole::BackendState(state, sequence))
    }

    fn note(&mut self, sequence: u64, note: Note, bytes: u64) -> Option<Whole> {
        if sequence <= self.skip_to {
            return None;
        }
        self.applied = sequence;
        Some(Whole::Note(Box::new(note.with_sequence(signed(sequence))), bytes))
    }

    fn begin(
        &mut self,
        id: InteractionId,
        sequence: u64,
        opened: Opened,
        damage: Option<ErrorDetail>,
    ) {
        let open = Open::new(&self.depot, sequence, opened, damage);
        self.firsts.insert(sequence);
        if let Some(before) = self.open.insert(id, open) {
            self.firsts.remove(&before.first_sequence);
            self.damaged_frames += 1;
            tracing::error!(%id, sequence, "an interaction was opened twice; the second is kept");
        }
    }

    fn chunk(
        &mut self,
        id: InteractionId,
        sequence: u64,
        written_at: Timestamp,
        chunk: &BodyChunk,
    ) -> Result<(), Error> {
        let Some(open) = self.find(id, sequence) else { return Ok(()) };
        match chunk.side {
            Side::Request => open.request.push(&chunk.data),
            Side::Response => open.answer(written_at, &chunk.data),
        }
    }

    fn erased(&mut self, id: InteractionId, sequence: u64, side: Side, bytes: u32) {
        let Some(open) = self.find(id, sequence) else { return };
        let erased = open.erased.get_or_insert_default();
        match side {
            Side::Request => erased.request += u64::from(bytes),
            Side::Response => erased.response += u64::from(bytes),
        }
    }

    fn message(
        &mut self,
        id: InteractionId,
        sequence: u64,
        chunk: &MessageChunk,
    ) -> Result<(), Error> {
        let depot = self.depot.clone();
        let Some(open) = self.find(id, sequence) else { return Ok(()) };
        let begin = || Box::new(SessionIntake::new(&depot));
        open.session.get_or_insert_with(begin).push(chunk)
    }

    fn dispatched(&mut self, id: InteractionId, sequence: u64, dispatched: Dispatched) {
        let depot = self.depot.clone();
        let Some(open) = self.find(id, sequence) else { return };
        // What an earlier attempt answered was not passed on.
        open.await_answer(&depot, None);
        open.attempts = dispatched.attempt.max(open.attempts.saturating_add(1));
        if open.dispatched.len() == ATTEMPTS_KEPT {
            open.dispatched.pop_front();
        }
        // Nearly always the only one, and held as long as the interaction is open.
        open.dispatched.reserve_exact(1);
        open.dispatched.push_back(dispatched);
    }

    fn answered(&mut self, id: InteractionId, sequence: u64, answered: Answered) {
        let depot = self.depot.clone();
        let Some(open) = self.find(id, sequence) else { return };
        let last = open.dispatched.back().map_or(0, |dispatched| dispatched.attempt);
        let attempt = if answered.attempt == 0 { last } else { answered.attempt };
        if open.statuses.len() == ATTEMPTS_KEPT {
            open.statuses.pop_front();
        }
        open.statuses.push_back((attempt, answered.status));
        open.await_answer(&depot, Some(answered));
    }

    fn end(
        &mut self,
        id: InteractionId,
        sequence: u64,
        mut closed: Closed,
    ) -> Result<Option<Box<Ended>>, Error> {
        let open = self.open.remove(&id);
        if let Some(open) = &open {
            self.firsts.remove(&open.first_sequence);
        }
        if sequence <= self.skip_to {
            return Ok(None);
        }
        let open = open.unwrap_or_else(|| {
            self.damaged_frames += 1;
            tracing::error!(%id, sequence, "an interaction ends whose beginning is not in the ledger");
            let damage = damage("RecordIncomplete", "its beginning is not in the ledger".into());
            Open::new(&self.depot, sequence, opened_by_id(id), Some(damage))
        });
        self.applied = sequence;
        closed.errors.extend(open.damage);
        let (request, response) = match open.erased {
            None => (open.request.finish()?, open.response.finish()?),
            Some(erased) => {
                (open.request.erased(erased.request), open.response.erased(erased.response))
            }
        };
        let mut ended = Ended {
            id,
            sequence,
            opened: open.opened,
            tried: tried(&open.dispatched, &open.statuses),
            dispatched: answered_one(open.dispatched, open.answered.as_ref()),
            attempts: open.attempts,
            answered: open.answered,
            request,
            response,
            first_output_at: open.first_output_at,
            session: None,
            is_erased: open.erased.is_some(),
            closed,
        };
        if let Some(session) = open.session.filter(|_| open.erased.is_none()) {
            ended.take_session(session.finish()?);
        }
        Ok(Some(Box::new(ended)))
    }

    fn refused(
        &mut self,
        id: InteractionId,
        sequence: u64,
        refused: Refused,
    ) -> Result<Option<Box<Ended>>, Error> {
        if sequence <= self.skip_to {
            return Ok(None);
        }
        self.applied = sequence;
        Ok(Some(Box::new(Ended {
            id,
            sequence,
            opened: refused.opened,
            dispatched: None,
            attempts: 0,
            tried: Vec::new(),
            answered: None,
            request: Taken::default(),
            response: Taken::default(),
            first_output_at: None,
            session: None,
            is_erased: false,
            closed: refused.closed,
        })))
    }

    /// A frame that cannot be read costs what it held, not the interaction.
    fn damaged(
        &mut self,
        id: InteractionId,
        sequence: u64,
        kind: Kind,
        error: &DecodeError,
    ) -> Result<Option<Box<Ended>>, Error> {
        self.damaged_frames += 1;
        tracing::error!(%id, sequence, %error, "a frame of the ledger cannot be read");
        let damage = damage("RecordDamaged", format!("frame {sequence}: {error}"));
        match kind {
            Kind::Opened => self.begin(id, sequence, opened_by_id(id), Some(damage)),
            Kind::Closed | Kind::Refused => {
                let at = opened_by_id(id).received_at;
                let outcome = Outcome::GatewayFailed;
                let closed =
                    Closed { closed_at: at, outcome, errors: vec![damage], ..Closed::default() };
                if kind == Kind::Closed {
                    return self.end(id, sequence, closed);
                }
                let opened = opened_by_id(id);
                return self.refused(id, sequence, Refused { opened, closed });
            }
            Kind::RequestChunk
            | Kind::ResponseChunk
            | Kind::ClientMessage
            | Kind::ServerMessage
            | Kind::Dispatched
            | Kind::Answered
            | Kind::Objects
            | Kind::Charges
            | Kind::BackendState
            | Kind::AdminAction
            | Kind::ContentRead
            | Kind::SecurityEvent
            | Kind::Alert
            | Kind::CostAdjustment
            | Kind::LedgerCheckpoint
            | Kind::Erasure => {
                if let Some(open) = self.find(id, sequence) {
                    open.damage.push(damage);
                }
            }
        }
        Ok(None)
    }

    /// The interaction that a frame belongs to. Before the cursor, what is not open was written
    /// already; behind it, a frame without beginning is a fault of whoever wrote it.
    fn find(&mut self, id: InteractionId, sequence: u64) -> Option<&mut Open> {
        let open = self.open.get_mut(&id);
        if open.is_none() && sequence > self.skip_to {
            self.damaged_frames += 1;
            tracing::warn!(%id, sequence, "a frame belongs to no open interaction");
        }
        open.map(Box::as_mut)
    }
}

impl Open {
    fn new(
        depot: &Arc<Depot>,
        first_sequence: u64,
        opened: Opened,
        damage: Option<ErrorDetail>,
    ) -> Box<Self> {
        let media = Media::of(&opened.headers);
        Box::new(Self {
            first_sequence,
            request: intake(depot, Side::Request, media, &opened),
            response: intake(depot, Side::Response, Media::default(), &opened),
            opened,
            dispatched: VecDeque::new(),
            attempts: 0,
            statuses: VecDeque::new(),
            answered: None,
            first_output_at: None,
            session: None,
            erased: None,
            damage: damage.into_iter().collect(),
        })
    }

    fn await_answer(&mut self, depot: &Arc<Depot>, answered: Option<Answered>) {
        if let Some(erased) = &mut self.erased {
            erased.response = 0;
        }
        if answered.is_none() && self.answered.is_none() && self.response.len() == 0 {
            return;
        }
        let media = answered.as_ref().map(|answered| Media::of(&answered.headers));
        self.response = intake(depot, Side::Response, media.unwrap_or_default(), &self.opened);
        self.answered = answered;
        self.first_output_at = None;
    }

    /// The next piece of the answer.
    fn answer(&mut self, written_at: Timestamp, piece: &[u8]) -> Result<(), Error> {
        self.response.push(piece)?;
        if self.first_output_at.is_none() && self.response.has_output() {
            self.first_output_at = Some(written_at);
        }
        Ok(())
    }
}

/// Whose content a frame of this kind is a piece of, if of any.
const fn side_of_content(kind: Kind) -> Option<Side> {
    match kind {
        Kind::RequestChunk | Kind::ClientMessage => Some(Side::Request),
        Kind::ResponseChunk | Kind::ServerMessage => Some(Side::Response),
        _ => None,
    }
}

fn tried(all: &VecDeque<Dispatched>, statuses: &VecDeque<(u32, u16)>) -> Vec<Tried> {
    let status = |attempt: u32| statuses.iter().find(|(of, _)| *of == attempt).map(|(_, it)| *it);
    let tried = all.iter().map(|dispatched| Tried {
        attempt: dispatched.attempt,
        backend_id: dispatched.backend_id.clone(),
        sent_at: dispatched.sent_at,
        status: status(dispatched.attempt),
    });
    tried.collect()
}

/// Of two attempts at once the earlier one may be answered.
fn answered_one(mut all: VecDeque<Dispatched>, answered: Option<&Answered>) -> Option<Dispatched> {
    let attempt = answered.map_or(0, |answered| answered.attempt);
    let place = all.iter().position(|dispatched| dispatched.attempt == attempt);
    match place {
        Some(place) => all.swap_remove_back(place),
        None => all.pop_back(),
    }
}

fn intake(depot: &Arc<Depot>, side: Side, media: Media, opened: &Opened) -> Intake {
    let kind = openai::Kind::from_name(&opened.target.kind).unwrap_or(openai::Kind::Other);
    Intake::new(depot, side, media, kind, &opened.target.subkind)
}

/// What an id tells of an interaction whose beginning is lost: when it was accepted.
fn opened_by_id(id: InteractionId) -> Opened {
    let mut millis = [0u8; 8];
    millis[2..].copy_from_slice(&id.to_bytes()[..6]);
    let millis = i64::try_from(u64::from_be_bytes(millis)).unwrap_or(0);
    Opened { received_at: Timestamp::from_unix_micros(millis * 1_000), ..Opened::default() }
}
