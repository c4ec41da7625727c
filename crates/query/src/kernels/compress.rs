//! gzip and zlib, as base64 text.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use kql::Function;

use super::{Kernel, text_at};
use crate::cell::Cell;

/// Longest text that is unpacked; a longer one is null, so that a small text cannot fill memory.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::GzipCompress => |args, _| {
            let mut out = GzEncoder::new(Vec::new(), Compression::default());
            packed(out.write_all(text_at(args, 0).as_bytes()).and_then(|()| out.finish()))
        },
        Function::ZlibCompress => |args, _| {
            let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
            packed(out.write_all(text_at(args, 0).as_bytes()).and_then(|()| out.finish()))
        },
        Function::GzipDecompress => |args, _| unpacked(args, |bytes| Box::new(GzDecoder::new(bytes))),
        Function::ZlibDecompress => |args, _| unpacked(args, |bytes| Box::new(ZlibDecoder::new(bytes))),
    })
}

fn packed<'a>(bytes: std::io::Result<Vec<u8>>) -> Cell<'a> {
    Cell::or_null(bytes.ok(), |bytes| Cell::text(STANDARD.encode(bytes)))
}

/// Empty for what is not packed text.
fn unpacked<'a>(
    args: &[Cell<'_>],
    reader: impl for<'b> Fn(&'b [u8]) -> Box<dyn Read + 'b>,
) -> Cell<'a> {
    let read = || -> Option<String> {
        let bytes = STANDARD.decode(text_at(args, 0)).ok()?;
        let mut out = Vec::new();
        reader(&bytes).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut out).ok()?;
        (out.len() as u64 <= UNPACKED_BYTES_MAX).then(|| String::from_utf8(out).ok())?
    };
    Cell::text(read().unwrap_or_default())
}
