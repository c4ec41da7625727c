//! The frames that an HTTP/2 client sends, as far as their heads tell (RFC 9113, section 4.1): how many
//! requests it has asked for, and whether it floods. Pure: time is an argument.

use std::time::{Duration, Instant};

/// Over which floods are counted.
const WINDOW: Duration = Duration::from_secs(10);
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames that one connection may send within ten seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FloodLimits {
    pub(crate) resets_max: u32,
    pub(crate) controls_max: u32,
}

/// What was seen of a client's frames.
#[derive(Debug)]
pub(crate) struct Frames {
    limits: FloodLimits,
    preface_left: usize,
    head: [u8; HEAD_BYTES],
    head_filled: usize,
    payload_left: usize,
    last_stream: u32,
    /// The header block of a request is under way: its bytes, and whether this frame ends it.
    block: Option<(usize, bool)>,
    /// Heads of requests that came whole.
    heads: u64,
    /// The longest of their header blocks, as sent.
    block_bytes_max: usize,
    /// Streams that the client reset.
    resets: u64,
    window: Option<Window>,
    flood: Option<&'static str>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    resets: u32,
    controls: u32,
}

impl Frames {
    pub(crate) fn new(limits: FloodLimits) -> Self {
        Self {
            limits,
            preface_left: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_filled: 0,
            payload_left: 0,
            last_stream: 0,
            block: None,
            heads: 0,
            block_bytes_max: 0,
            resets: 0,
            window: None,
            flood: None,
        }
    }

    /// Notes what came.
    pub(crate) fn read(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            let taken = if self.preface_left > 0 {
                let taken = self.preface_left.min(bytes.len());
                self.preface_left -= taken;
                taken
            } else if self.payload_left > 0 {
                let taken = self.payload_left.min(bytes.len());
                self.payload_left -= taken;
                taken
            } else {
                let taken = (HEAD_BYTES - self.head_filled).min(bytes.len());
                self.head[self.head_filled..][..taken].copy_from_slice(&bytes[..taken]);
                self.head_filled += taken;
                if self.head_filled == HEAD_BYTES {
                    self.begin(now);
                }
                taken
            };
            bytes = &bytes[taken..];
            if self.payload_left == 0 && self.head_filled == HEAD_BYTES {
                self.end();
            }
        }
    }

    /// The head of a frame is complete.
    fn begin(&mut self, now: Instant) {
        let [a, b, c, kind, flags, id @ ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(id) & 0x7fff_ffff;
        self.payload_left = length;
        let ends = flags & END_HEADERS != 0;
        match kind {
            HEADERS if stream > self.last_stream => {
                self.last_stream = stream;
                self.block = Some((length, ends));
            }
            HEADERS | WINDOW_UPDATE => {}
            DATA if length > 0 || flags & END_STREAM != 0 => {}
            RST_STREAM => {
                self.resets += 1;
                self.count(now, 1, 0);
            }
            CONTINUATION => {
                self.block = self.block.map(|(bytes, _)| (bytes + length, ends));
                self.count(now, 0, 1);
            }
            // PING, SETTINGS, PRIORITY, empty DATA, what is unknown: cheap to send, work to take in.
            _ => self.count(now, 0, 1),
        }
    }

    /// The payload of a frame is complete.
    fn end(&mut self) {
        self.head_filled = 0;
        if let Some((bytes, true)) = self.block {
            self.block = None;
            self.heads += 1;
            self.block_bytes_max = self.block_bytes_max.max(bytes);
        }
    }

    fn count(&mut self, now: Instant, resets: u32, controls: u32) {
        let fresh = Window { began: now, resets: 0, controls: 0 };
        let is_over = |window: &Window| now.duration_since(window.began) >= WINDOW;
        let mut window = self.window.take().filter(|window| !is_over(window)).unwrap_or(fresh);
        window.resets += resets;
        window.controls += controls;
        if window.resets > self.limits.resets_max {
            self.flood = Some("too many streams were reset (edge.stream_resets_max)");
        } else if window.controls > self.limits.controls_max {
            self.flood = Some("too many control frames (edge.control_frames_max)");
        }
        self.window = Some(window);
    }

    /// Heads of requests that came whole, and, once the connection has ended, one that did not.
    pub(crate) fn heads(&self, has_ended: bool) -> u64 {
        self.heads + u64::from(has_ended && self.block.is_some())
    }

    pub(crate) fn resets(&self) -> u64 {
        self.resets
    }

    pub(crate) fn block_bytes_max(&self) -> usize {
        self.block.map_or(0, |(bytes, _)| bytes).max(self.block_bytes_max)
    }

    /// Why the connection must end.
    pub(crate) fn flood(&self) -> Option<&'static str> {
        self.flood
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FloodLimits = FloodLimits { resets_max: 3, controls_max: 3 };

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn preface() -> Vec<u8> {
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
    }

    #[test]
    fn requests_are_counted_however_the_bytes_are_cut() {
        let mut bytes = preface();
        bytes.extend(frame(4, 0, 0, &[0; 6]));
        bytes.extend(frame(HEADERS, END_HEADERS, 1, b"abc"));
        bytes.extend(frame(DATA, END_STREAM, 1, b""));
        bytes.extend(frame(HEADERS, 0, 3, b"abc"));
        bytes.extend(frame(CONTINUATION, END_HEADERS, 3, b"defgh"));
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 3, b"trailers are no head"));
        bytes.extend(frame(RST_STREAM, 0, 3, &[0; 4]));
        bytes.extend(frame(HEADERS, 0, 5, b"abc"));
        for step in 1..bytes.len() {
            let mut frames = Frames::new(LIMITS);
            for piece in bytes.chunks(step) {
                frames.read(piece, Instant::now());
            }
            assert_eq!((frames.heads(false), frames.heads(true), frames.resets()), (2, 3, 1));
            assert_eq!((frames.block_bytes_max(), frames.flood()), (8, None));
        }
    }

    #[test]
    fn floods_are_told_within_ten_seconds_only() {
        let mut began = Frames::new(LIMITS);
        began.read(&preface(), Instant::now());
        for (kind, word) in [(RST_STREAM, "reset"), (6, "control"), (2, "control"), (99, "control")]
        {
            let bytes = frame(kind, 0, 1, &[0; 8]);
            let now = Instant::now();
            let mut slow = Frames::new(LIMITS);
            slow.read(&preface(), now);
            for second in 0..30 {
                slow.read(&bytes, now + Duration::from_secs(4) * second);
            }
            assert_eq!(slow.flood(), None);
            slow.read(&bytes.repeat(4), now + Duration::from_secs(500));
            assert!(slow.flood().unwrap().contains(word));
        }
    }
}
