//! `multipart/form-data`, read as it arrives: small fields are kept, files are counted and hashed.
//!
//! Multer needs an async stream and holds fields; this one is pushed to and passes pieces on.

use memchr::memmem;
use sha2::{Digest, Sha256};

const LINE_END: &[u8] = b"\r\n";
/// Longest head of a part.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest boundary (RFC 2046 allows 70).
const BOUNDARY_BYTES_MAX: usize = 200;
/// Most text kept of one form, all fields together, unless told otherwise.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most parts listed of one form; further ones are passed over.
const PARTS_MAX: usize = 1024;

/// The head of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
}

/// Whoever wants the parts of a form.
pub(crate) trait PartSink {
    /// A part begins, its content at this byte of the form.
    fn open(&mut self, head: PartHead, at: u64);
    /// The next piece of its content.
    fn data(&mut self, bytes: &[u8]);
    /// It has ended.
    fn close(&mut self);
}

/// Cuts a form into parts. Boundaries may lie across any pieces.
#[derive(Debug)]
pub(crate) struct Multipart {
    delimiter: Vec<u8>,
    /// The end of the last piece, where it may be the beginning of something.
    carry: Vec<u8>,
    /// Bytes of the form up to the end of the last piece, and two for the line end put before it.
    pushed: u64,
    /// Where what is being looked at begins, counted so.
    at: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    AfterDelimiter,
    Head,
    Content,
    End,
    Broken(&'static str),
}

impl Multipart {
    /// For a content type `multipart/form-data; boundary=…`; none for any other.
    pub(crate) fn new(content_type: &str) -> Option<Self> {
        let (essence, parameters) = content_type.split_once(';')?;
        if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameter(parameters, "boundary")?;
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
            return None;
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first boundary may stand at the very start, without a line end before it.
        let carry = LINE_END.to_vec();
        Some(Self { delimiter, carry, pushed: 2, at: 0, state: State::Preamble })
    }

    pub(crate) fn push(&mut self, bytes: &[u8], sink: &mut impl PartSink) {
        self.at = self.pushed - self.carry.len() as u64;
        self.pushed += bytes.len() as u64;
        if self.carry.is_empty() {
            self.run(bytes, sink);
        } else {
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(bytes);
            self.run(&joined, sink);
        }
    }

    /// What is wrong with the form, once all of it was pushed.
    pub(crate) const fn fault(&self) -> Option<&'static str> {
        match self.state {
            State::End => None,
            State::Broken(reason) => Some(reason),
            State::Preamble => Some("the form has no boundary"),
            _ => Some("the form ends before its last boundary"),
        }
    }

    fn run(&mut self, mut bytes: &[u8], sink: &mut impl PartSink) {
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Preamble => self.content(bytes, None::<&mut Ignore>),
                State::Content => self.content(bytes, Some(sink)),
                State::AfterDelimiter => self.after_delimiter(bytes),
                State::Head => self.head(bytes, sink),
                State::End | State::Broken(_) => return,
            };
            match taken {
                Some(taken) => {
                    bytes = &bytes[taken..];
                    self.at += taken as u64;
                }
                None => return,
            }
        }
    }

    /// Passes content on up to the next delimiter. None if all of it was taken or carried over.
    fn content(&mut self, bytes: &[u8], mut sink: Option<&mut impl PartSink>) -> Option<usize> {
        let found = memmem::find(bytes, &self.delimiter);
        let end = found.unwrap_or_else(|| bytes.len() - self.unfinished(bytes));
        if let Some(sink) = &mut sink {
            if end > 0 {
                sink.data(&bytes[..end]);
            }
            if found.is_some() {
                sink.close();
            }
        }
        match found {
            Some(at) => {
                self.state = State::AfterDelimiter;
                Some(at + self.delimiter.len())
            }
            None => {
                self.carry.extend_from_slice(&bytes[end..]);
                None
            }
        }
    }

    /// Bytes at the end that may be the beginning of a delimiter.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let longest = bytes.len().min(self.delimiter.len() - 1);
        let tail = &bytes[bytes.len() - longest..];
        memchr::memchr_iter(b'\r', tail)
            .map(|at| &tail[at..])
            .find(|rest| self.delimiter.starts_with(rest))
            .map_or(0, <[u8]>::len)
    }

    fn after_delimiter(&mut self, bytes: &[u8]) -> Option<usize> {
        if bytes.starts_with(b"--") {
            self.state = State::End;
            return None;
        }
        match memmem::find(bytes, b"\r\n") {
            Some(at) => {
                self.state = State::Head;
                Some(at + 2)
            }
            None if bytes.len() > HEAD_BYTES_MAX => {
                self.state = State::Broken("a boundary is not followed by a line end");
                None
            }
            None => {
                self.carry.extend_from_slice(bytes);
                None
            }
        }
    }

    fn head(&mut self, bytes: &[u8], sink: &mut impl PartSink) -> Option<usize> {
        let (head, taken) = if bytes.starts_with(b"\r\n") {
            (&bytes[..0], 2)
        } else if let Some(at) = memmem::find(bytes, b"\r\n\r\n") {
            (&bytes[..at], at + 4)
        } else {
            if bytes.len() > HEAD_BYTES_MAX {
                self.state = State::Broken("the head of a part is too long");
            } else {
                self.carry.extend_from_slice(bytes);
            }
            return None;
        };
        sink.open(part_head(head), self.at + taken as u64 - LINE_END.len() as u64);
        self.state = State::Content;
        // An empty part is followed at once by its delimiter, whose line end is that of the head.
        Some(taken)
    }
}

struct Ignore;

impl PartSink for Ignore {
    fn open(&mut self, _: PartHead, _: u64) {}
    fn data(&mut self, _: &[u8]) {}
    fn close(&mut self) {}
}

fn part_head(head: &[u8]) -> PartHead {
    let head = String::from_utf8_lossy(head);
    let mut part = PartHead::default();
    for line in head.split("\r\n") {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim().eq_ignore_ascii_case("content-type") {
            part.content_type = Some(value.trim().to_owned());
        } else if name.trim().eq_ignore_ascii_case("content-disposition")
            && let Some((_, parameters)) = value.split_once(';')
        {
            part.name = parameter(parameters, "name").unwrap_or_default();
            part.file_name = parameter(parameters, "filename*")
                .and_then(|value| value.splitn(3, '\'').nth(2).map(percent_decoded))
                .or_else(|| parameter(parameters, "filename"));
        }
    }
    part
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The value of a header parameter, quoted or not.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let (value, remaining) = parameter_value(after.trim_start());
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = remaining;
    }
}

fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                // Browsers of old sent Windows paths with bare backslashes.
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            _ => value.push(character),
        }
    }
    (value, "")
}

/// A part of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormPart {
    /// Name of the field.
    pub name: String,
    /// Name of the file, if it is one.
    pub file_name: Option<String>,
    /// Its content type, if it has one.
    pub content_type: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// Its text: of fields, and of files of JSON lines, within a limit.
    pub text: Option<String>,
    /// SHA-256 of its bytes in hexadecimal, if it is a file.
    pub sha256: Option<String>,
}

/// Reads the parts of a form of any size.
#[derive(Debug)]
pub struct FormReader {
    multipart: Multipart,
    parts: Parts,
}

impl FormReader {
    /// For a content type `multipart/form-data; boundary=…`; none for any other.
    pub fn new(content_type: &str) -> Option<Self> {
        Self::with_text_limit(content_type, TEXT_BYTES_MAX)
    }

    /// The same, keeping at most so many bytes of text, all parts together.
    pub fn with_text_limit(content_type: &str, bytes_max: usize) -> Option<Self> {
        let multipart = Multipart::new(content_type)?;
        let parts = Parts { text_bytes_max: bytes_max, ..Parts::default() };
        Some(Self { multipart, parts })
    }

    /// Text of a part was over the limit and is left out.
    pub const fn is_text_left_out(&self) -> bool {
        self.parts.is_text_left_out
    }

    /// Takes the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        self.multipart.push(bytes, &mut self.parts);
    }

    /// The parts; of a broken form those that are whole, and the last as far as it came.
    pub fn finish(mut self) -> Vec<FormPart> {
        self.parts.close();
        self.parts.done
    }
}

#[derive(Debug, Default)]
struct Parts {
    done: Vec<FormPart>,
    open: Option<OpenPart>,
    text_bytes: usize,
    text_bytes_max: usize,
    is_text_left_out: bool,
}

#[derive(Debug)]
struct OpenPart {
    part: FormPart,
    text: Option<Vec<u8>>,
    digest: Option<Sha256>,
}

impl PartSink for Parts {
    fn open(&mut self, head: PartHead, _: u64) {
        if self.done.len() >= PARTS_MAX {
            return;
        }
        let is_file = head.file_name.is_some();
        let lines = head.file_name.as_deref().is_some_and(|name| {
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            extension.eq_ignore_ascii_case("jsonl")
        });
        self.open = Some(OpenPart {
            part: FormPart {
                name: head.name,
                file_name: head.file_name,
                content_type: head.content_type,
                ..FormPart::default()
            },
            text: (!is_file || lines).then(Vec::new),
            digest: is_file.then(Sha256::new),
        });
    }

    fn data(&mut self, bytes: &[u8]) {
        let Some(open) = &mut self.open else { return };
        open.part.bytes += bytes.len() as u64;
        if let Some(digest) = &mut open.digest {
            digest.update(bytes);
        }
        if let Some(text) = &mut open.text {
            if self.text_bytes + bytes.len() > self.text_bytes_max {
                open.text = None;
                self.is_text_left_out = true;
            } else {
                self.text_bytes += bytes.len();
                text.extend_from_slice(bytes);
            }
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let mut part = open.part;
        part.text = open.text.and_then(|text| String::from_utf8(text).ok());
        part.sha256 = open.digest.map(|digest| hexadecimal(&digest.finalize()));
        self.done.push(part);
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|n| char::from(b"0123456789abcdef"[usize::from(n)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x-1\"";

    fn form() -> Vec<u8> {
        let mut form = b"preamble\r\n--x-1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".wav\"\r\nContent-Type: audio/wav\r\n\r\n".to_vec();
        form.extend_from_slice(b"\r\n--x-\r\r\n--x\0\xff\r\n--x-1 \r\ncontent-disposition: form-data; name=model\r\n\r\nwhisper-1\r\n--x-1\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--x-1--\r\nepilogue");
        form
    }

    fn check(parts: &[FormPart]) {
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0].name, "file");
        assert_eq!(parts[0].file_name.as_deref(), Some("a \"b\".wav"));
        assert_eq!(parts[0].content_type.as_deref(), Some("audio/wav"));
        assert_eq!(parts[0].bytes, 14);
        assert_eq!(parts[0].text, None);
        assert_eq!(parts[0].sha256.as_deref().map(str::len), Some(64));
        assert_eq!(
            (parts[1].name.as_str(), parts[1].text.as_deref()),
            ("model", Some("whisper-1"))
        );
        assert_eq!((parts[2].name.as_str(), parts[2].text.as_deref()), ("empty", Some("")));
    }

    #[test]
    fn a_form_is_read_whatever_its_pieces() {
        let form = form();
        for size in 1..=form.len() {
            let mut reader = FormReader::new(TYPE).expect("it is a form");
            for piece in form.chunks(size) {
                reader.push(piece);
            }
            check(&reader.finish());
        }
    }

    #[test]
    fn text_over_the_limit_is_left_out_and_said_to_be() {
        for (limit, text, is_left_out) in [(9, Some("whisper-1"), false), (8, None, true)] {
            let mut reader = FormReader::with_text_limit(TYPE, limit).expect("it is a form");
            reader.push(&form());
            assert_eq!(reader.is_text_left_out(), is_left_out);
            let parts = reader.finish();
            assert_eq!((parts[1].text.as_deref(), parts[1].bytes), (text, 9));
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for wrong in ["", "application/json", "multipart/form-data", "multipart/form-data; a=b"] {
            assert!(FormReader::new(wrong).is_none(), "{wrong}");
        }
        let mut reader = FormReader::new(TYPE).expect("it is a form");
        reader.push(b"--x-1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhis");
        let parts = reader.finish();
        assert_eq!(parts[0].text.as_deref(), Some("whis"));
    }
}
