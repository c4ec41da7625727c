//! The messages of a WebSocket session: a JSON list for each side, and what was said in them.
//!
//! A message is held until its end, so that it can be looked into; one that is too long for that
//! goes into its list piece by piece and is not searched. Pings, pongs and closes stay in the ledger.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event::{MessageChunk, Opcode, Side};
use openai::{Session, SessionReader};
use serde::de::IgnoredAny;

use crate::Error;
use crate::body::Body;
use crate::budget::Share;
use crate::depot::Depot;
use crate::intake::Taken;

/// A session on its way in.
pub(crate) struct SessionIntake {
    reader: SessionReader,
    /// What the reader's texts take.
    texts: Share,
    texts_counted: u64,
    client: Track,
    server: Track,
}

/// A session that has ended.
#[derive(Default)]
pub(crate) struct SessionTaken {
    pub(crate) request: Taken,
    pub(crate) response: Taken,
    pub(crate) said: Session,
    /// Messages that were too long to be looked into.
    pub(crate) unsearched: u64,
}

/// The messages of one side.
struct Track {
    depot: Arc<Depot>,
    list: Body,
    messages: u64,
    unsearched: u64,
    held: Held,
}

/// The message under way.
enum Held {
    Nothing,
    /// So far it is in memory.
    Memory {
        opcode: Opcode,
        data: Vec<u8>,
        share: Share,
    },
    /// Too long for that: text goes on as it is, bytes as Base64 with what is left of three.
    Passing {
        opcode: Opcode,
        carry: Vec<u8>,
    },
}

impl SessionIntake {
    pub(crate) fn new(depot: &Arc<Depot>) -> Self {
        Self {
            reader: SessionReader::default(),
            texts: depot.budget.share(),
            texts_counted: 0,
            client: Track::new(depot),
            server: Track::new(depot),
        }
    }

    /// Takes the next piece of a message.
    pub(crate) fn push(&mut self, chunk: &MessageChunk) -> Result<(), Error> {
        if !matches!(chunk.opcode, Opcode::Text | Opcode::Binary) {
            return Ok(());
        }
        let track = match chunk.side {
            Side::Request => &mut self.client,
            Side::Response => &mut self.server,
        };
        let Some(message) = track.push(chunk)? else { return Ok(()) };
        match chunk.side {
            Side::Request => self.reader.client(&message),
            Side::Response => self.reader.server(&message),
        }
        let bytes = self.reader.text_bytes() as u64;
        let more = bytes.saturating_sub(self.texts_counted);
        if self.texts.try_grow(more) {
            self.texts_counted += more;
        } else {
            self.reader.leave_out_texts();
        }
        Ok(())
    }

    /// The end of the session.
    pub(crate) fn finish(self) -> Result<SessionTaken, Error> {
        let unsearched = self.client.unsearched + self.server.unsearched;
        let request = self.client.finish()?;
        let response = Taken { is_stream: true, ..self.server.finish()? };
        Ok(SessionTaken { request, response, said: self.reader.finish(), unsearched })
    }
}

impl Track {
    fn new(depot: &Arc<Depot>) -> Self {
        Self {
            depot: depot.clone(),
            list: Body::new(depot.clone()),
            messages: 0,
            unsearched: 0,
            held: Held::Nothing,
        }
    }

    /// Answers a whole text message, if this piece ends one that was held.
    fn push(&mut self, chunk: &MessageChunk) -> Result<Option<String>, Error> {
        if chunk.is_start {
            // A message whose end never came is kept as far as it did.
            self.end()?;
            let share = self.depot.budget.share();
            self.held = Held::Memory { opcode: chunk.opcode, data: Vec::new(), share };
        }
        self.take(&chunk.data)?;
        if chunk.is_end { self.end() } else { Ok(None) }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        match &mut self.held {
            Held::Nothing => Ok(()),
            Held::Memory { opcode, data, share } => {
                let length = (data.len() + piece.len()) as u64;
                let fits = length <= self.depot.config.extract_bytes_max;
                if fits && share.try_grow(piece.len() as u64) {
                    data.extend_from_slice(piece);
                    return Ok(());
                }
                let (opcode, data) = (*opcode, std::mem::take(data));
                self.held = Held::Passing { opcode, carry: Vec::new() };
                self.unsearched += 1;
                self.separate()?;
                if opcode == Opcode::Binary {
                    self.list.push(b"{\"base64\":\"")?;
                }
                self.pass(&data)?;
                self.pass(piece)
            }
            Held::Passing { .. } => self.pass(piece),
        }
    }

    /// Puts a piece of a long message into the list.
    fn pass(&mut self, piece: &[u8]) -> Result<(), Error> {
        let Held::Passing { opcode, carry } = &mut self.held else { return Ok(()) };
        if *opcode == Opcode::Text {
            return self.list.push(piece);
        }
        carry.extend_from_slice(piece);
        let rest = carry.split_off(carry.len() / 3 * 3);
        let encoded = BASE64_STANDARD.encode(&*carry);
        *carry = rest;
        self.list.push(encoded.as_bytes())
    }

    fn end(&mut self) -> Result<Option<String>, Error> {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => Ok(None),
            Held::Passing { opcode: Opcode::Text, .. } => Ok(None),
            Held::Passing { carry, .. } => {
                self.list.push(BASE64_STANDARD.encode(carry).as_bytes())?;
                self.list.push(b"\"}").map(|()| None)
            }
            Held::Memory { opcode, data, .. } => {
                self.separate()?;
                self.whole(opcode, data)
            }
        }
    }

    /// Puts a whole message into the list: JSON as it is, other text as a string.
    fn whole(&mut self, opcode: Opcode, data: Vec<u8>) -> Result<Option<String>, Error> {
        if opcode == Opcode::Binary {
            let shown = serde_json::json!({ "base64": BASE64_STANDARD.encode(data) });
            return self.list.push(shown.to_string().as_bytes()).map(|()| None);
        }
        let text = String::from_utf8_lossy(&data).into_owned();
        if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
            self.list.push(text.as_bytes())?;
            return Ok(Some(text));
        }
        let quoted = serde_json::Value::String(text).to_string();
        self.list.push(quoted.as_bytes()).map(|()| None)
    }

    fn separate(&mut self) -> Result<(), Error> {
        self.messages += 1;
        self.list.push(if self.messages == 1 { b"[" } else { b",\n" })
    }

    fn finish(mut self) -> Result<Taken, Error> {
        self.end()?;
        if self.messages == 0 {
            return Ok(Taken::default());
        }
        self.list.push(b"]")?;
        let mut list = self.list.finish()?;
        let (bytes, sha256) = (list.bytes, list.sha256.clone());
        Ok(Taken { bytes, sha256, shown: list.text()?, ..Taken::default() })
    }
}
