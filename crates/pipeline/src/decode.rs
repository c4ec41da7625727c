//! Undoes `Content-Encoding` piece by piece (RFC 9110 §8.4), within a limit that no bomb gets past.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::Error;
use crate::header::Encoding;
use crate::target::Target;

/// A decoder of these encodings is given the body in pieces of this size at most, so that an
/// expanding one is noticed early.
const FEED_BYTES: usize = 16 << 10;
/// RFC 9659: a zstd window on the web has at most 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const BROTLI_BUFFER_BYTES: usize = 16 << 10;

/// Decodes one body into its target.
pub(crate) struct Decoder {
    machine: Machine,
    /// Nothing more is decoded: the encoding is wrong, or it is too much.
    is_over: bool,
}

enum Machine {
    Gzip(MultiGzDecoder<Outlet>),
    /// `deflate` means zlib, but some send it bare: the first byte tells.
    Unknown(Option<Outlet>),
    Zlib(ZlibDecoder<Outlet>),
    Deflate(DeflateDecoder<Outlet>),
    Brotli(Box<brotli::DecompressorWriter<Outlet>>),
    Zstd(zstd::stream::write::Decoder<'static, Outlet>),
}

/// Why a body could not be decoded to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is not what its encoding says, or it is cut.
    Damaged,
    /// It is more than is taken.
    TooLong,
}

/// Passes decoded bytes on to the target; keeps its failures apart from those of the encoding.
struct Outlet {
    target: Option<Target>,
    bytes: u64,
    bytes_max: u64,
    is_too_long: bool,
    failure: Option<Error>,
}

impl Decoder {
    pub(crate) fn new(encoding: Encoding, target: Target, bytes_max: u64) -> io::Result<Self> {
        let outlet =
            Outlet { target: Some(target), bytes: 0, bytes_max, is_too_long: false, failure: None };
        let machine = match encoding {
            Encoding::Gzip => Machine::Gzip(MultiGzDecoder::new(outlet)),
            Encoding::Deflate => Machine::Unknown(Some(outlet)),
            Encoding::Brotli => Machine::Brotli(Box::new(brotli::DecompressorWriter::new(
                outlet,
                BROTLI_BUFFER_BYTES,
            ))),
            Encoding::Zstd => {
                let mut raw = zstd::stream::raw::Decoder::new()?;
                raw.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Machine::Zstd(zstd::stream::write::Decoder::with_decoder(outlet, raw))
            }
        };
        Ok(Self { machine, is_over: false })
    }

    /// Takes the next piece; what it decodes to is in the target on return.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        for piece in piece.chunks(FEED_BYTES) {
            if self.is_over {
                return Ok(());
            }
            self.machine.choose(piece);
            let written = self.machine.writer().and_then(|writer| {
                writer.write_all(piece)?;
                writer.flush()
            });
            if written.is_err() {
                self.is_over = true;
                if let Some(failure) = self.machine.outlet().and_then(|out| out.failure.take()) {
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// Where the decoded bytes go.
    pub(crate) fn target(&mut self) -> Option<&mut Target> {
        self.machine.outlet().and_then(|outlet| outlet.target.as_mut())
    }

    /// The end: the target, and what was wrong.
    pub(crate) fn finish(mut self) -> Result<(Option<Target>, Option<Problem>), Error> {
        let was_over = self.is_over;
        let is_whole = !was_over && self.machine.close();
        let Some(outlet) = self.machine.outlet() else {
            return Ok((None, Some(Problem::Damaged)));
        };
        if let Some(failure) = outlet.failure.take() {
            return Err(failure);
        }
        let problem = match (outlet.is_too_long, is_whole) {
            (true, _) => Some(Problem::TooLong),
            (false, false) => Some(Problem::Damaged),
            (false, true) => None,
        };
        Ok((outlet.target.take(), problem))
    }
}

impl Machine {
    fn choose(&mut self, piece: &[u8]) {
        let Self::Unknown(outlet) = self else { return };
        let (Some(first), Some(outlet)) = (piece.first(), outlet.take()) else { return };
        // RFC 1950: the low half of the first byte is the method, and 8 is the only one.
        *self = match first & 0x0f {
            8 => Self::Zlib(ZlibDecoder::new(outlet)),
            _ => Self::Deflate(DeflateDecoder::new(outlet)),
        };
    }

    fn writer(&mut self) -> io::Result<&mut dyn Write> {
        Ok(match self {
            Self::Gzip(machine) => machine,
            Self::Zlib(machine) => machine,
            Self::Deflate(machine) => machine,
            Self::Brotli(machine) => machine,
            Self::Zstd(machine) => machine,
            Self::Unknown(_) => return Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn outlet(&mut self) -> Option<&mut Outlet> {
        Some(match self {
            Self::Gzip(machine) => machine.get_mut(),
            Self::Zlib(machine) => machine.get_mut(),
            Self::Deflate(machine) => machine.get_mut(),
            Self::Brotli(machine) => machine.get_mut(),
            Self::Zstd(machine) => machine.get_mut(),
            Self::Unknown(outlet) => return outlet.as_mut(),
        })
    }

    /// Decodes what is left; true if the body was whole.
    fn close(&mut self) -> bool {
        match self {
            Self::Gzip(machine) => machine.try_finish().is_ok(),
            Self::Zlib(machine) => machine.try_finish().is_ok(),
            Self::Deflate(machine) => machine.try_finish().is_ok(),
            Self::Brotli(machine) => machine.close().is_ok(),
            Self::Zstd(machine) => machine.do_finish().is_ok(),
            Self::Unknown(_) => true,
        }
    }
}

impl Write for Outlet {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.bytes += piece.len() as u64;
        self.is_too_long = self.is_too_long || self.bytes > self.bytes_max;
        if self.is_too_long || self.failure.is_some() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let Some(target) = &mut self.target else { return Ok(piece.len()) };
        if let Err(failure) = target.push(piece) {
            self.failure = Some(failure);
            return Err(io::ErrorKind::Other.into());
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
