//! One body of an interaction, taken in as it is: text, compressed, a form, a stream, or bytes.

use std::sync::Arc;

use event::{BodyText, Side};
use openai::{Assembled, FormPart, FormReader, Kind};
use serde_json::{Value, json};

use crate::Error;
use crate::body::{Body, Gathered};
use crate::decode::{Decoder, Problem};
use crate::depot::Depot;
use crate::form;
use crate::header::Media;
use crate::stream::EventStream;
use crate::target::Target;

/// A body on its way in: its bytes as they passed, and what they mean.
pub(crate) struct Intake {
    depot: Arc<Depot>,
    side: Side,
    media: Media,
    raw: Body,
    view: View,
}

/// How the bytes are looked at.
enum View {
    /// As they are.
    Raw,
    Plain(Box<Target>),
    Decoded(Box<Decoder>),
}

/// A body, taken.
#[derive(Default)]
pub(crate) struct Taken {
    /// Bytes as they passed.
    pub(crate) bytes: u64,
    /// Their SHA-256 in hexadecimal; empty without a body.
    pub(crate) sha256: String,
    /// As the table shows it.
    pub(crate) shown: BodyText,
    /// As it is searched.
    pub(crate) parsed: openai::Body,
    /// What there is to say of the stream, if it was one; its body is `parsed`.
    pub(crate) stream: Option<Assembled>,
    /// It was a stream, or would have been one had anything come.
    pub(crate) is_stream: bool,
    /// Why it was not searched; empty if it was.
    pub(crate) not_extracted: String,
}

impl Intake {
    pub(crate) fn new(
        depot: &Arc<Depot>,
        side: Side,
        media: Media,
        kind: Kind,
        subkind: &str,
    ) -> Self {
        let raw = Body::new(depot.clone());
        let view = View::choose(depot, side, &media, kind, subkind);
        Self { depot: depot.clone(), side, media, raw, view }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.raw.push(piece)?;
        match &mut self.view {
            View::Raw => return Ok(()),
            View::Plain(target) => target.push(piece)?,
            View::Decoded(decoder) => decoder.push(piece)?,
        }
        if self.events().is_some_and(|stream| stream.is_certain()) {
            self.raw.forget_copy();
        }
        Ok(())
    }

    /// It is a stream, and output of the model has come in it.
    pub(crate) fn has_output(&mut self) -> bool {
        self.events().is_some_and(|stream| stream.has_output())
    }

    fn events(&mut self) -> Option<&EventStream> {
        let target = match &mut self.view {
            View::Raw => None,
            View::Plain(target) => Some(&**target),
            View::Decoded(decoder) => decoder.target().map(|target| &*target),
        };
        match target {
            Some(Target::Events(_, stream)) => Some(stream),
            _ => None,
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.raw.len()
    }

    /// The end of a body of which pieces were erased, so many bytes: what is left of it goes too.
    pub(crate) fn erased(self, bytes: u64) -> Taken {
        let is_stream = self.side == Side::Response && self.media.is_event_stream();
        Taken { bytes: self.raw.len() + bytes, is_stream, ..Taken::default() }
    }

    /// The end of the body.
    pub(crate) fn finish(self) -> Result<Taken, Error> {
        let mut raw = self.raw.finish()?;
        if raw.bytes == 0 {
            let is_stream = self.side == Side::Response && self.media.is_event_stream();
            return Ok(Taken { is_stream, ..Taken::default() });
        }
        let (bytes, sha256) = (raw.bytes, raw.sha256.clone());
        let taken = match self.view {
            View::Raw => text_or_bytes(raw, &self.media)?,
            View::Plain(target) => finish_target(*target, raw, &self.media, &self.depot)?,
            View::Decoded(decoder) => {
                // What hash and size of a request name is what was sent: it must be there to see.
                if self.side == Side::Request {
                    raw.keep()?;
                }
                finish_decoded(*decoder, raw, &self.media, &self.depot)?
            }
        };
        Ok(Taken { bytes, sha256, ..taken })
    }
}

impl View {
    fn choose(depot: &Arc<Depot>, side: Side, media: &Media, kind: Kind, subkind: &str) -> Self {
        let is_stream = side == Side::Response && media.is_event_stream();
        let form = match media.encoding {
            // Its text can be read again from the bytes as they passed; see `parts_of`.
            None => FormReader::with_text_limit(&media.content_type, memory_bytes_max(depot)),
            Some(_) => FormReader::new(&media.content_type),
        };
        let target = match (is_stream, form, media.encoding) {
            (true, _, _) => {
                let stream = EventStream::new(kind, subkind, depot.config.decoded_bytes_max);
                Target::Events(depot.clone(), stream)
            }
            (false, Some(form), _) => Target::Form(form),
            (false, None, Some(_)) => Target::Text(Body::new(depot.clone())),
            (false, None, None) => return Self::Raw,
        };
        let Some(encoding) = media.encoding else { return Self::Plain(Box::new(target)) };
        match Decoder::new(encoding, target, depot.config.decoded_bytes_max) {
            Ok(decoder) => Self::Decoded(Box::new(decoder)),
            // Only zstd's context can fail to be made; the body is then kept as it came.
            Err(error) => {
                tracing::error!(%error, "a compressed body is kept undecoded");
                Self::Raw
            }
        }
    }
}

fn finish_target(
    target: Target,
    mut raw: Gathered,
    media: &Media,
    depot: &Depot,
) -> Result<Taken, Error> {
    match target {
        Target::Text(body) => text_or_bytes(body.finish()?, media),
        Target::Form(form) => {
            raw.keep()?;
            let parts = parts_of(form, &raw, media)?;
            let shown = depot.text(form::describe(&parts))?;
            Ok(Taken { shown, parsed: openai::Body::Form(parts), ..Taken::default() })
        }
        Target::Events(_, stream) => joined(stream.finish(), depot),
    }
}

/// The parts of a form. One with more text than was held while it came is read once more, if it is
/// not too long to be searched.
fn parts_of(form: FormReader, raw: &Gathered, media: &Media) -> Result<Vec<FormPart>, Error> {
    if form.is_text_left_out()
        && media.encoding.is_none()
        && let Some(bytes) = raw.read()?
        && let openai::Body::Form(parts) = openai::Body::read(Some(&media.content_type), &bytes)
    {
        return Ok(parts);
    }
    Ok(form.finish())
}

fn memory_bytes_max(depot: &Depot) -> usize {
    usize::try_from(depot.config.body_memory_bytes_max).unwrap_or(usize::MAX)
}

fn finish_decoded(
    decoder: Decoder,
    raw: Gathered,
    media: &Media,
    depot: &Depot,
) -> Result<Taken, Error> {
    let (target, problem) = decoder.finish()?;
    match (target, problem) {
        (Some(target @ (Target::Events(..) | Target::Form(_))), _) => {
            finish_target(target, raw, media, depot)
        }
        (Some(Target::Text(body)), None) => text_or_bytes(body.finish()?, media),
        // A body that was cut says what it said until then.
        (Some(Target::Text(body)), Some(Problem::Damaged)) if body.len() > 0 => {
            text_or_bytes(body.finish()?, media)
        }
        (_, Some(Problem::TooLong)) => described(raw, media, "too long when decompressed"),
        (_, _) => described(raw, media, "cannot be decompressed"),
    }
}

/// A stream as the answer it stands for.
fn joined(mut assembled: Assembled, depot: &Depot) -> Result<Taken, Error> {
    let body = match (std::mem::take(&mut assembled.body), &assembled.error) {
        (Value::Null, Some(error)) if error.get("error").is_some() => error.clone(),
        (Value::Null, Some(error)) => json!({ "error": error }),
        (body, _) => body,
    };
    let shown = if body.is_null() { String::new() } else { body.to_string() };
    Ok(Taken {
        shown: depot.text(shown)?,
        parsed: openai::Body::Json(body.into()),
        stream: Some(assembled),
        is_stream: true,
        ..Taken::default()
    })
}

/// Text as text, all else as a description of the blob that holds it.
fn text_or_bytes(mut body: Gathered, media: &Media) -> Result<Taken, Error> {
    if !body.is_text {
        return described(body, media, "");
    }
    let (parsed, not_extracted) = match body.read()? {
        Some(bytes) => (openai::Body::read(Some(&media.content_type), &bytes), String::new()),
        None => (openai::Body::Empty, format!("body of {} bytes is too long", body.bytes)),
    };
    Ok(Taken { shown: body.text()?, parsed, not_extracted, ..Taken::default() })
}

fn described(mut body: Gathered, media: &Media, not_extracted: &str) -> Result<Taken, Error> {
    body.keep()?;
    let shown = json!({
        "media_type": media.essence(),
        "bytes": body.bytes,
        "sha256": body.sha256,
    });
    let content_type = media.content_type.clone();
    Ok(Taken {
        shown: BodyText::Inline(shown.to_string()),
        parsed: openai::Body::Binary { bytes: body.bytes, content_type },
        not_extracted: not_extracted.to_owned(),
        ..Taken::default()
    })
}
