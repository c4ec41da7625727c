//! What an HTTP/1.1 client's bytes must look like before the HTTP library sees them. Heads are read
//! with the library's own parser, so that both agree; where the library is lenient about the framing
//! of a request (two lengths, a length beside a transfer encoding, bare line feeds), the gate is not,
//! since a backend might read such a request as two. It lets one request pass at a time. Pure.

use std::mem::MaybeUninit;

use http::Uri;
use httparse::Status;
use memchr::{memchr_iter, memmem};

use crate::refusal::{Kind, Refusal};

/// Header lines for which there is room without an allocation; the library's own default.
pub(crate) const HEADER_COUNT: usize = 100;
/// Longest URL the library reads.
const URL_BYTES_MAX: usize = 65_534;
/// Longest line of a chunk's size with its extensions.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Limits of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) bytes_max: usize,
    pub(crate) count_max: usize,
}

/// Follows the framing of one connection's requests.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: HeadLimits,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A head is due.
    Head,
    /// So many bytes of head and body pass; then come chunks, or the next head.
    Pass { bytes: u64, is_chunked: bool },
    /// A chunked body passes.
    Chunks(Chunks),
    /// The body is not framed as it should be.
    Broken(&'static str),
}

/// Place in a chunked body (RFC 9112, section 7.1).
#[derive(Debug)]
enum Chunks {
    /// In the line of a chunk's size.
    Size {
        bytes: usize,
        size: u64,
        in_extension: bool,
    },
    /// After its carriage return.
    SizeLf {
        size: u64,
    },
    /// In its data and the line end behind, of which so much is to come.
    Data(u64),
    DataCr,
    DataLf,
    /// In the trailer, of which so much was seen, in this line so much.
    Trailer {
        bytes: usize,
        line: usize,
    },
    /// After a carriage return in the trailer.
    TrailerLf {
        bytes: usize,
        line: usize,
    },
    Done,
}

/// How long a request's body is.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    is_chunked: bool,
    hosts: usize,
}

impl Gate {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head }
    }

    /// The next byte begins a head.
    pub(crate) fn is_at_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// Looks at bytes that begin where a head is due; `known` of them had been looked at before. True
    /// once the head is complete and good: then it may pass.
    pub(crate) fn admit_head(&mut self, bytes: &[u8], known: usize) -> Result<bool, Refusal> {
        // A head that comes in crumbs is parsed when it begins and when it is complete.
        let fresh = &bytes[known.saturating_sub(3)..];
        let may_be_whole = known == 0
            || memmem::find(fresh, b"\n\r\n").is_some()
            || memmem::find(fresh, b"\n\n").is_some();
        let parsed = if may_be_whole { self.parse(bytes)? } else { None };
        match parsed {
            Some((head_bytes, framing)) if head_bytes <= self.limits.bytes_max => {
                let bytes = head_bytes as u64 + framing.length.unwrap_or(0);
                self.state = State::Pass { bytes, is_chunked: framing.is_chunked };
                Ok(true)
            }
            None if bytes.len() < self.limits.bytes_max => Ok(false),
            _ if memchr::memchr(b'\n', &bytes[..bytes.len().min(self.limits.bytes_max)])
                .is_none() =>
            {
                Err(Refusal::new(Kind::UrlTooLong))
            }
            _ => Err(Refusal::new(Kind::HeadTooLarge)),
        }
    }

    /// The length of the head and how its body is framed; none if there is more to come.
    fn parse(&self, bytes: &[u8]) -> Result<Option<(usize, Framing)>, Refusal> {
        let mut own = [const { MaybeUninit::uninit() }; HEADER_COUNT];
        let mut more = Vec::new();
        let lines = match own.get_mut(..self.limits.count_max) {
            Some(lines) => lines,
            None => {
                more.resize_with(self.limits.count_max, MaybeUninit::uninit);
                &mut more
            }
        };
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, lines) {
            Ok(Status::Partial) => return Ok(None),
            Ok(Status::Complete(length)) => length,
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::new(Kind::HeadTooLarge)),
            Err(error) => return Err(malformed(&error.to_string())),
        };
        let head = &bytes[..length];
        if memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r') {
            return Err(malformed("a line ends with a line feed alone"));
        }
        let target = request.path.unwrap_or_default();
        if target.len() > URL_BYTES_MAX {
            return Err(Refusal::new(Kind::UrlTooLong));
        }
        Uri::try_from(target).map_err(|error| malformed(&error.to_string()))?;
        Ok(Some((length, Framing::of(&request)?)))
    }

    /// How many of these bytes belong to the request under way. An error names what is wrong with its
    /// body; it comes after all that was good has passed, and nothing passes after it.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut passed = 0;
        loop {
            let rest = &bytes[passed..];
            match &mut self.state {
                State::Broken(why) if passed == 0 => return Err(why),
                State::Broken(_) | State::Head => return Ok(passed),
                _ if rest.is_empty() => return Ok(passed),
                State::Pass { bytes: left, is_chunked } => {
                    let taken = (*left).min(rest.len() as u64);
                    passed += usize::try_from(taken).expect("no more than the slice");
                    *left -= taken;
                    if *left == 0 {
                        self.state =
                            if *is_chunked { State::Chunks(Chunks::START) } else { State::Head };
                    }
                }
                State::Chunks(chunks) => match chunks.step(rest, self.limits.bytes_max) {
                    Ok(taken) => {
                        passed += taken;
                        if matches!(chunks, Chunks::Done) {
                            self.state = State::Head;
                        }
                    }
                    Err(why) => self.state = State::Broken(why),
                },
            }
        }
    }
}

impl Chunks {
    const START: Self = Self::Size { bytes: 0, size: 0, in_extension: false };

    /// Takes at least one byte; how many it took.
    fn step(&mut self, bytes: &[u8], trailer_bytes_max: usize) -> Result<usize, &'static str> {
        let byte = bytes[0];
        *self = match *self {
            Self::Size { bytes, size, in_extension } => {
                Self::size_byte(byte, bytes, size, in_extension)?
            }
            Self::SizeLf { .. } | Self::DataLf | Self::TrailerLf { .. } if byte != b'\n' => {
                return Err("a carriage return stands alone");
            }
            Self::SizeLf { size: 0 } => Self::Trailer { bytes: 0, line: 0 },
            Self::SizeLf { size } => Self::Data(size),
            Self::Data(left) => {
                let taken = left.min(bytes.len() as u64);
                *self = if left == taken { Self::DataCr } else { Self::Data(left - taken) };
                return Ok(usize::try_from(taken).expect("no more than the slice"));
            }
            Self::DataCr if byte == b'\r' => Self::DataLf,
            Self::DataCr => return Err("a chunk is longer than its size says"),
            Self::DataLf => Self::START,
            Self::TrailerLf { line: 0, .. } => Self::Done,
            Self::TrailerLf { bytes, .. } => Self::Trailer { bytes, line: 0 },
            Self::Trailer { bytes, .. } if bytes >= trailer_bytes_max => {
                return Err("the trailer is too long");
            }
            Self::Done => return Err("the body has ended"),
            Self::Trailer { bytes, line } => match byte {
                b'\r' => Self::TrailerLf { bytes, line },
                b' ' | b'\t' if line == 0 => return Err("a trailer line is folded"),
                b'\n' | 0 => return Err("a trailer line holds a line feed or a NUL alone"),
                _ => Self::Trailer { bytes: bytes + 1, line: line + 1 },
            },
        };
        Ok(1)
    }

    fn size_byte(
        byte: u8,
        bytes: usize,
        size: u64,
        in_extension: bool,
    ) -> Result<Self, &'static str> {
        if bytes >= CHUNK_LINE_BYTES_MAX {
            return Err("the line of a chunk's size is too long");
        }
        let bytes = bytes + 1;
        match byte {
            b'\r' if bytes > 1 => Ok(Self::SizeLf { size }),
            b';' if bytes > 1 => Ok(Self::Size { bytes, size, in_extension: true }),
            b'\t' | b' '..=b'~' | 0x80.. if in_extension => {
                Ok(Self::Size { bytes, size, in_extension })
            }
            _ if in_extension => Err("a chunk extension holds a control character"),
            _ => {
                let digit = char::from(byte).to_digit(16).ok_or("a chunk's size is no number")?;
                let room = size.leading_zeros() > 4;
                let size = (size << 4) | u64::from(digit);
                if room {
                    Ok(Self::Size { bytes, size, in_extension })
                } else {
                    Err("a chunk's size is too large")
                }
            }
        }
    }
}

impl Framing {
    fn of(request: &httparse::Request<'_, '_>) -> Result<Self, Refusal> {
        let mut framing = Self::default();
        let is_1_1 = request.version == Some(1);
        for line in request.headers.iter() {
            match line.name.len() {
                4 if line.name.eq_ignore_ascii_case("host") => framing.hosts += 1,
                14 if is_name(line.name, "content-length") => framing.content_length(line)?,
                17 if is_name(line.name, "transfer-encoding") => {
                    framing.transfer_encoding(line, is_1_1)?;
                }
                _ => {}
            }
        }
        if framing.is_chunked && framing.length.is_some() {
            return Err(malformed("Content-Length and Transfer-Encoding stand together"));
        }
        if framing.hosts > 1 || (is_1_1 && framing.hosts == 0) {
            return Err(malformed("Host must stand exactly once"));
        }
        Ok(framing)
    }

    fn content_length(&mut self, line: &httparse::Header<'_>) -> Result<(), Refusal> {
        let is_number = (1..=19).contains(&line.value.len())
            && line.value.iter().all(u8::is_ascii_digit)
            && line.name.contains('-');
        let text = std::str::from_utf8(line.value).ok().filter(|_| is_number);
        // Nineteen digits fit.
        let length = text.and_then(|text| text.parse::<u64>().ok());
        let length = length.ok_or_else(|| malformed("Content-Length is no number"))?;
        if self.length.replace(length).is_some() {
            return Err(malformed("Content-Length stands more than once"));
        }
        Ok(())
    }

    fn transfer_encoding(
        &mut self,
        line: &httparse::Header<'_>,
        is_1_1: bool,
    ) -> Result<(), Refusal> {
        let is_plain = line.value.eq_ignore_ascii_case(b"chunked") && line.name.contains('-');
        if !is_plain || !is_1_1 {
            return Err(malformed("the only Transfer-Encoding read is chunked, in HTTP/1.1"));
        }
        if std::mem::replace(&mut self.is_chunked, true) {
            return Err(malformed("Transfer-Encoding stands more than once"));
        }
        Ok(())
    }
}

/// The name, in any case; and its look-alike with an underscore, which some backends take for it.
fn is_name(name: &str, wanted: &str) -> bool {
    let same =
        |(byte, want): (u8, u8)| byte.eq_ignore_ascii_case(&want) || (byte == b'_' && want == b'-');
    name.bytes().zip(wanted.bytes()).all(same)
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(Kind::HeadMalformed).say(format!(
        "The request head is not well-formed HTTP: {why}. Correct the client or the proxy in front of it."
    ))
}

#[cfg(test)]
mod tests;
