//! Small real pictures and sounds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::text::mix;

/// Side of a picture in pixels.
const SIDE: usize = 8;
/// Samples of sound for each token: 10 ms at 24 kHz.
const SAMPLES_PER_TOKEN: u64 = 240;
/// Longest sound: ten seconds.
const SAMPLES_MAX: u64 = 240_000;
const SAMPLE_RATE: u32 = 24_000;

/// A valid PNG of one colour drawn from the seed.
pub(crate) fn png(seed: u64) -> Vec<u8> {
    let colour = mix(seed, 5).to_le_bytes();
    // Each row starts with its filter: none.
    let row = [&[0][..], &colour[..3].repeat(SIDE)].concat();
    let pixels = row.repeat(SIDE);
    let mut header = Vec::new();
    header.extend_from_slice(&(SIDE as u32).to_be_bytes());
    header.extend_from_slice(&(SIDE as u32).to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(b"IHDR", &header, &mut out);
    chunk(b"IDAT", &zlib_stored(&pixels), &mut out);
    chunk(b"IEND", &[], &mut out);
    out
}

pub(crate) fn png_base64(seed: u64) -> String {
    STANDARD.encode(png(seed))
}

fn chunk(name: &[u8; 4], data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend_from_slice(name);
    out.extend_from_slice(data);
    let sum = crc32(&out[start..]);
    out.extend_from_slice(&sum.to_be_bytes());
}

/// One stored block; `data` is shorter than 64 KiB.
fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let len = data.len() as u16;
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(!len).to_le_bytes());
    out.extend_from_slice(data);
    let (mut a, mut b) = (1u32, 0u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend_from_slice(&((b << 16) | a).to_be_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in data {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(sum & 1));
        }
    }
    !sum
}

/// A WAV file that sounds as long as so many tokens.
pub(crate) fn wav(tokens: u64) -> Vec<u8> {
    let samples = pcm(tokens);
    let len = samples.len() as u32;
    let mut out = Vec::with_capacity(samples.len() + 44);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + len).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend_from_slice(&SAMPLE_RATE.to_le_bytes());
    out.extend_from_slice(&(SAMPLE_RATE * 2).to_le_bytes());
    out.extend_from_slice(b"\x02\0\x10\0data");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&samples);
    out
}

pub(crate) fn wav_base64(tokens: u64) -> String {
    STANDARD.encode(wav(tokens))
}

/// 16-bit samples of a triangle wave.
pub(crate) fn pcm(tokens: u64) -> Vec<u8> {
    let samples = (tokens.max(1) * SAMPLES_PER_TOKEN).min(SAMPLES_MAX);
    (0..samples)
        .flat_map(|index| {
            let place = (index % 100) as i32;
            let height = if place < 50 { place * 160 - 4000 } else { 12_000 - place * 160 };
            (height as i16).to_le_bytes()
        })
        .collect()
}

/// Silent frames of MPEG-1 layer III at 128 kbit/s, 26 ms each.
pub(crate) fn mp3(tokens: u64) -> Vec<u8> {
    let frames = (tokens.max(1) * SAMPLES_PER_TOKEN).min(SAMPLES_MAX).div_ceil(627) as usize;
    let mut frame = vec![0u8; 417];
    frame[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x64]);
    frame.repeat(frames)
}

/// Content type and bytes of a sound; formats without an encoder here carry the right first bytes only.
pub(crate) fn sound(format: &str, tokens: u64) -> Option<(&'static str, Vec<u8>)> {
    let marked = |mark: &[u8]| [mark, &pcm(tokens)].concat();
    Some(match format {
        "mp3" => ("audio/mpeg", mp3(tokens)),
        "wav" => ("audio/wav", wav(tokens)),
        "pcm" => ("audio/pcm", pcm(tokens)),
        "opus" => ("audio/opus", marked(b"OggS\0\x02")),
        "aac" => ("audio/aac", marked(&[0xFF, 0xF1, 0x50, 0x80])),
        "flac" => ("audio/flac", marked(b"fLaC")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_standard_ones() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let block = zlib_stored(b"abc");
        assert_eq!(&block[block.len() - 4..], &0x024D_0127u32.to_be_bytes());
        assert_eq!(png(1), png(1));
        assert_ne!(png(1), png(2));
    }

    #[test]
    fn a_wav_states_its_own_length() {
        let wav = wav(4);
        assert_eq!(wav.len(), 44 + 4 * 240 * 2);
        assert_eq!(u32::from_le_bytes(wav[4..8].try_into().unwrap()) as usize, wav.len() - 8);
    }
}
