//! Hashes over the text of a value.

use kql::Function;
use sha2::{Digest, Sha256};

use super::{Kernel, Scratch};
use crate::cell::Cell;
use crate::convert::to_text;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    match function {
        Function::HashSha256 => Some(sha256),
        _ => None,
    }
}

fn sha256<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(to_text(&args[0]).as_bytes()) {
        out.push_str(&format!("{byte:02x}"));
    }
    Cell::text(out)
}
