//! Reading WebSocket frames as they pass (RFC 6455, section 5; RFC 7692), without changing a byte.
//!
//! What goes in comes out again as units: bytes to pass on, and what they say, unmasked and
//! decompressed. Frames of any length are read piece by piece; only a control frame waits until it is
//! whole. Whatever a stricter reader could understand differently is a violation.

use bytes::{Buf, Bytes, BytesMut};
use event::Opcode;
use flate2::{Decompress, FlushDecompress, Status};

/// Longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;
/// Longest piece that decompression gives at once.
const INFLATED_BYTES: usize = 32 << 10;
/// What a compressed message ends with, left out on the wire (RFC 7692, section 7.2.2).
const DEFLATE_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Whose frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Their frames are masked.
    Client,
    /// Theirs are not.
    Server,
}

/// A piece of what passes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Bytes to pass on; none if they come with a later unit.
    pub(crate) wire: Bytes,
    pub(crate) opcode: Opcode,
    pub(crate) is_start: bool,
    pub(crate) is_end: bool,
    /// What the message says with it.
    pub(crate) data: Bytes,
}

/// What is wrong with what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The frame breaks the protocol.
    Protocol(&'static str),
    /// A message is longer than allowed.
    TooLong,
}

/// Reads the frames of one side.
pub(crate) struct FrameReader {
    sender: Sender,
    message_bytes_max: u64,
    inflater: Option<Inflater>,
    state: State,
    /// The data message under way, if one is.
    message: Option<Message>,
    /// A piece of it that is not yet decompressed whole.
    inflating: Option<Inflating>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Payload(Payload),
}

/// A data frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
struct Payload {
    left: u64,
    mask: Option<[u8; 4]>,
    /// Bytes read, for the place in the mask.
    read: u64,
    is_final: bool,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    opcode: Opcode,
    is_compressed: bool,
    /// Nothing of it has been given out.
    is_fresh: bool,
    wire_bytes: u64,
    bytes: u64,
}

/// A frame's head, read.
struct Head {
    length: usize,
    is_final: bool,
    is_compressed: bool,
    bits: u8,
    mask: Option<[u8; 4]>,
    payload: u64,
}

/// A compressed piece that gives more than one unit.
struct Inflating {
    input: Bytes,
    /// To pass on with the last of its units.
    wire: Bytes,
    is_end: bool,
    has_tail: bool,
}

/// Undoes permessage-deflate of one side.
pub(crate) struct Inflater {
    inflate: Decompress,
    keeps_context: bool,
}

impl FrameReader {
    pub(crate) fn new(sender: Sender, message_bytes_max: u64, inflater: Option<Inflater>) -> Self {
        Self {
            sender,
            message_bytes_max,
            inflater,
            state: State::Head,
            message: None,
            inflating: None,
        }
    }

    /// A control frame could be put in here: no frame is under way.
    pub(crate) fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Head) && self.inflating.is_none()
    }

    /// Takes the next unit out of `input`; none until more comes. Of the units that one piece gives,
    /// the last carries its bytes.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Unit>, Violation> {
        if let Some(inflating) = self.inflating.take() {
            return self.inflate(inflating).map(Some);
        }
        match self.state {
            State::Head => {
                let Some(head) = Head::read(input, self.sender)? else { return Ok(None) };
                if head.bits & 0x8 != 0 {
                    return control(&head, input);
                }
                let before = self.message.map_or(0, |message| message.wire_bytes);
                if before.saturating_add(head.payload) > self.message_bytes_max {
                    return Err(Violation::TooLong);
                }
                // A frame without payload is whole with its head.
                if head.payload > 0 && input.len() == head.length {
                    return Ok(None);
                }
                self.begin(&head)?;
                let Head { mask, is_final, payload, length, .. } = head;
                let frame = Payload { left: payload, mask, read: 0, is_final };
                let wire_head = input.split_to(length);
                self.payload(frame, wire_head, input).map(Some)
            }
            State::Payload(_) if input.is_empty() => Ok(None),
            State::Payload(frame) => self.payload(frame, BytesMut::new(), input).map(Some),
        }
    }

    /// The head of a data frame: what it says of its message.
    fn begin(&mut self, head: &Head) -> Result<(), Violation> {
        let message = match (head.bits, &mut self.message) {
            (0, None) => return Err(Violation::Protocol("continuation of no message")),
            (0, Some(_)) if head.is_compressed => {
                return Err(Violation::Protocol("continuation marked as compressed"));
            }
            (0, Some(message)) => message,
            (_, Some(_)) => return Err(Violation::Protocol("message within a message")),
            (bits, message) => {
                let opcode =
                    Opcode::from_bits(bits).ok_or(Violation::Protocol("reserved opcode"))?;
                if head.is_compressed && self.inflater.is_none() {
                    return Err(Violation::Protocol("compressed, though that was not agreed on"));
                }
                message.insert(Message {
                    opcode,
                    is_compressed: head.is_compressed,
                    is_fresh: true,
                    wire_bytes: 0,
                    bytes: 0,
                })
            }
        };
        message.wire_bytes = message.wire_bytes.saturating_add(head.payload);
        Ok(())
    }

    fn payload(
        &mut self,
        mut frame: Payload,
        wire_head: BytesMut,
        input: &mut BytesMut,
    ) -> Result<Unit, Violation> {
        let taken = frame.left.min(input.len() as u64);
        let piece = input.split_to(taken as usize).freeze();
        let wire = if wire_head.is_empty() {
            piece.clone()
        } else {
            let mut wire = wire_head;
            wire.extend_from_slice(&piece);
            wire.freeze()
        };
        let data = unmasked(piece, frame.mask, frame.read);
        frame.left -= taken;
        frame.read += taken;
        let is_end = frame.left == 0 && frame.is_final;
        self.state = if frame.left == 0 { State::Head } else { State::Payload(frame) };
        if self.message.is_some_and(|message| message.is_compressed) {
            return self.inflate(Inflating { input: data, wire, is_end, has_tail: false });
        }
        self.unit(data, wire, is_end)
    }

    /// Decompresses the next piece, of bounded size.
    fn inflate(&mut self, mut from: Inflating) -> Result<Unit, Violation> {
        let inflater = self.inflater.as_mut().ok_or(Violation::Protocol("not agreed on"))?;
        let mut data = Vec::with_capacity(INFLATED_BYTES);
        loop {
            let is_whole = inflater.step(&mut from.input, &mut data)?;
            if !is_whole {
                self.inflating = Some(from);
                return self.unit(data.into(), Bytes::new(), false);
            }
            if !from.is_end || from.has_tail {
                break;
            }
            from.has_tail = true;
            from.input = Bytes::from_static(&DEFLATE_TAIL);
        }
        if from.is_end && !inflater.keeps_context {
            inflater.inflate.reset(false);
        }
        data.shrink_to_fit();
        self.unit(data.into(), from.wire, from.is_end)
    }

    fn unit(&mut self, data: Bytes, wire: Bytes, is_end: bool) -> Result<Unit, Violation> {
        let none = Violation::Protocol("payload of no message");
        let Some(message) = &mut self.message else { return Err(none) };
        message.bytes += data.len() as u64;
        if message.bytes > self.message_bytes_max {
            return Err(Violation::TooLong);
        }
        let is_start = std::mem::take(&mut message.is_fresh);
        let opcode = message.opcode;
        if is_end {
            self.message = None;
        }
        Ok(Unit { wire, opcode, is_start, is_end, data })
    }
}

impl Inflater {
    pub(crate) fn new(keeps_context: bool) -> Self {
        Self { inflate: Decompress::new(false), keeps_context }
    }

    /// Fills `data` up to its capacity; false if there is more to come of the same input.
    fn step(&mut self, input: &mut Bytes, data: &mut Vec<u8>) -> Result<bool, Violation> {
        loop {
            let (taken, made) = (self.inflate.total_in(), data.len());
            let status = self.inflate.decompress_vec(input, data, FlushDecompress::Sync);
            let status = status.map_err(|_| Violation::Protocol("damaged compression"))?;
            let taken = (self.inflate.total_in() - taken) as usize;
            input.advance(taken);
            if status == Status::StreamEnd {
                // A sender may end its stream with a message and begin another (section 7.2.3.5).
                self.inflate.reset(false);
            }
            if data.len() == data.capacity() {
                return Ok(false);
            }
            if input.is_empty() || (taken == 0 && data.len() == made) {
                return Ok(true);
            }
        }
    }
}

impl Head {
    /// None if it is not whole yet.
    fn read(input: &[u8], sender: Sender) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        if first & 0x30 != 0 {
            return Err(Violation::Protocol("reserved bits"));
        }
        let is_masked = second & 0x80 != 0;
        if is_masked != (sender == Sender::Client) {
            return Err(Violation::Protocol("mask where none is due, or none where one is"));
        }
        let (length_bytes, payload) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                Some(bytes) => (2, u64::from(u16::from_be_bytes(*bytes))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(bytes) => (8, u64::from_be_bytes(*bytes)),
                None => return Ok(None),
            },
            short => (0, u64::from(short)),
        };
        if payload > i64::MAX as u64 {
            return Err(Violation::Protocol("frame length out of range"));
        }
        let mask = match (is_masked, rest.get(length_bytes..)) {
            (false, _) => None,
            (true, Some([a, b, c, d, ..])) => Some([*a, *b, *c, *d]),
            (true, _) => return Ok(None),
        };
        Ok(Some(Self {
            length: 2 + length_bytes + if is_masked { 4 } else { 0 },
            is_final: first & 0x80 != 0,
            is_compressed: first & 0x40 != 0,
            bits: first & 0x0f,
            mask,
            payload,
        }))
    }
}

/// A control frame, once it is whole.
fn control(head: &Head, input: &mut BytesMut) -> Result<Option<Unit>, Violation> {
    let opcode = Opcode::from_bits(head.bits).ok_or(Violation::Protocol("reserved opcode"))?;
    if !head.is_final || head.is_compressed || head.payload > CONTROL_BYTES_MAX {
        return Err(Violation::Protocol("control frame that is long, cut or compressed"));
    }
    let whole = head.length + head.payload as usize;
    if input.len() < whole {
        return Ok(None);
    }
    let wire = input.split_to(whole).freeze();
    let data = unmasked(wire.slice(head.length..), head.mask, 0);
    if opcode == Opcode::Close && data.len() == 1 {
        return Err(Violation::Protocol("close code of one byte"));
    }
    Ok(Some(Unit { wire, opcode, is_start: true, is_end: true, data }))
}

fn unmasked(piece: Bytes, mask: Option<[u8; 4]>, read: u64) -> Bytes {
    let Some(mask) = mask else { return piece };
    let at = (read % 4) as usize;
    let mut data = piece.to_vec();
    for (byte, mask) in data.iter_mut().zip(mask.iter().cycle().skip(at)) {
        *byte ^= mask;
    }
    data.into()
}

/// A close frame of the gateway's own.
pub(crate) fn close(sender: Sender, code: u16, reason: &str) -> Bytes {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(120)]);
    frame(sender, Opcode::Close, &payload)
}

/// A whole frame of the gateway's own, of at most 64 KiB.
pub(crate) fn frame(sender: Sender, opcode: Opcode, payload: &[u8]) -> Bytes {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX))];
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.push(0x80 | opcode as u8);
    let mask_bit = if sender == Sender::Client { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..126 => frame.push(mask_bit | short as u8),
        length => {
            frame.push(mask_bit | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    if sender == Sender::Client {
        let mask: [u8; 4] = rand::random();
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend_from_slice(payload);
    }
    frame.into()
}

/// Code and reason of a close frame's data; 1005 if it holds none (RFC 6455, section 7.1.5).
pub(crate) fn close_reason(data: &[u8]) -> (u16, String) {
    match data.split_first_chunk::<2>() {
        Some((code, reason)) => {
            (u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned())
        }
        None => (1005, String::new()),
    }
}

#[cfg(test)]
mod tests;
