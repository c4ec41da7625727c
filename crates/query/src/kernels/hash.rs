//! Hashes: cryptographic ones over the text of a value, xxHash64 over its bytes.

use kql::Function;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Kernel, Scratch, at};
use crate::cell::Cell;
use crate::convert::to_text;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::HashSha256 => |args, _| hex(&Sha256::digest(to_text(&args[0]).as_bytes())),
        Function::HashSha1 => |args, _| hex(&Sha1::digest(to_text(&args[0]).as_bytes())),
        Function::HashMd5 => |args, _| hex(&Md5::digest(to_text(&args[0]).as_bytes())),
        Function::Hash | Function::HashXxhash64 => hash,
    })
}

fn hex<'a>(digest: &[u8]) -> Cell<'a> {
    let mut out = String::with_capacity(digest.len() * 2);
    for byte in digest {
        for half in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    Cell::text(out)
}

/// `hash(value, modulus)`.
fn hash<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let hash = match &args[0] {
        Cell::Null => return Cell::Null,
        Cell::Text(text) => xxhash64(text.as_bytes()),
        Cell::Real(number) => xxhash64(&number.to_bits().to_le_bytes()),
        other => match other.as_long() {
            Some(number) => xxhash64(&number.to_le_bytes()),
            None => return Cell::Null,
        },
    };
    if args.len() < 2 {
        return Cell::Long(hash.cast_signed());
    }
    let modulus = at(args, 1).and_then(Cell::as_long).and_then(|n| u64::try_from(n).ok());
    let rest = modulus.filter(|modulus| *modulus > 0).map(|modulus| hash % modulus);
    Cell::or_null(rest.and_then(|rest| i64::try_from(rest).ok()), Cell::Long)
}

const PRIMES: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];

/// xxHash64 with seed 0 (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).
pub(crate) fn xxhash64(bytes: &[u8]) -> u64 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let (stripes, mut rest) = bytes.split_at(bytes.len() - bytes.len() % 32);
    let mut hash = p5;
    if !stripes.is_empty() {
        let mut lanes = [p1.wrapping_add(p2), p2, 0, 0u64.wrapping_sub(p1)];
        for stripe in stripes.chunks_exact(32) {
            for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round(*lane, little(word));
            }
        }
        hash = lanes
            .iter()
            .zip([1, 7, 12, 18])
            .fold(0, |sum: u64, (lane, by)| sum.wrapping_add(lane.rotate_left(by)));
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(p1).wrapping_add(p4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((word, after)) = rest.split_at_checked(8) {
        hash = (hash ^ round(0, little(word))).rotate_left(27).wrapping_mul(p1).wrapping_add(p4);
        rest = after;
    }
    if let Some((word, after)) = rest.split_at_checked(4) {
        hash ^= little(word).wrapping_mul(p1);
        hash = hash.rotate_left(23).wrapping_mul(p2).wrapping_add(p3);
        rest = after;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(p2);
    hash = (hash ^ hash >> 29).wrapping_mul(p3);
    hash ^ hash >> 32
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xxhash64_answers_its_test_vectors() {
        assert_eq!(xxhash64(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxhash64(b"World").cast_signed(), 1_846_988_464_401_551_951);
        let long = b"Nobody inspects the spammish repetition";
        assert_eq!(xxhash64(long), 0xFBCE_A83C_8A37_8BF1);
    }
}
