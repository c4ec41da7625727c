//! The terms of a text: longest runs of letters and digits, in lower case.

use std::ops::Range;

/// Bytes that are looked at together: one for each bit of a number.
const BLOCK_BYTES: usize = 64;

/// Adds a text in lower case, letter by letter: no letter's form depends on those beside it, as that of a
/// last sigma would. Of what is neither letter nor digit, only ASCII stays.
pub(crate) fn fold(text: &str, folded: &mut String) {
    let mut rest = text;
    while !rest.is_ascii()
        && let Some(at) = rest.bytes().position(|byte| !byte.is_ascii())
    {
        let (ascii, others) = rest.split_at(at);
        folded.push_str(ascii);
        let mut others = others.chars();
        let lower = others.next().into_iter().flat_map(char::to_lowercase);
        folded.extend(lower.map(|character| match character {
            'ς' => 'σ',
            letter if letter.is_alphanumeric() => letter,
            _ => ' ',
        }));
        rest = others.as_str();
    }
    folded.push_str(rest);
    folded.make_ascii_lowercase();
}

/// Calls `found` with each term of a text that was [folded](fold). Spaces are added to its end, more than
/// a dozen.
pub(crate) fn each_term(folded: &mut String, mut found: impl FnMut(&str, Range<usize>)) {
    let spaces = " ".repeat(2 * BLOCK_BYTES - folded.len() % BLOCK_BYTES);
    folded.push_str(&spaces);
    let (blocks, _) = folded.as_bytes().as_chunks::<BLOCK_BYTES>();
    let (mut start, mut before) = (None, 0);
    for (block, bytes) in blocks.iter().enumerate() {
        let groups = bytes.as_chunks().0.iter().enumerate();
        let inside = groups.fold(0, |inside, (at, group)| inside | in_terms(*group) << (8 * at));
        // A bit wherever a term begins, and behind its last byte.
        let mut edges = inside ^ (inside << 1 | before);
        before = inside >> (BLOCK_BYTES - 1);
        while edges != 0 {
            let at = BLOCK_BYTES * block + edges.trailing_zeros() as usize;
            edges &= edges - 1;
            match start.take() {
                None => start = Some(at),
                Some(start) => found(folded, start..at),
            }
        }
    }
}

/// Which of eight bytes are of a term, one bit for each: of what is not ASCII, all are. They are looked at
/// all at once, as eight numbers in one, of which none grows beyond its eight bits.
fn in_terms(bytes: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let bytes = u64::from_le_bytes(bytes);
    let ascii = bytes & (0x7f * EACH);
    // The high bit of each that is at least so large.
    let from = |least: u8| ascii + u64::from(0x80 - least) * EACH;
    let digits = from(b'0') & !from(b'9' + 1);
    let letters = from(b'a') & !from(b'z' + 1);
    let high = (digits | letters | bytes) & (0x80 * EACH);
    // Brings the eight bits together.
    (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let (mut folded, mut all) = (String::new(), Vec::new());
        fold(text, &mut folded);
        each_term(&mut folded, |folded, term| all.push(folded[term].to_owned()));
        all
    }

    #[test]
    fn terms_are_runs_of_letters_and_digits_in_lower_case() {
        assert_eq!(
            terms(r#"{"Model":"GPT-4o",n_1: 2.5}"#),
            ["model", "gpt", "4o", "n", "1", "2", "5"]
        );
        assert_eq!(terms("ΟΔΟΣ. Οδός, ÄPFEL"), ["οδοσ", "οδόσ", "äpfel"]);
        assert!(terms("").is_empty() && terms("-–-").is_empty());
    }

    #[test]
    fn every_ascii_character_is_of_a_term_or_between_wherever_it_stands() {
        for character in (0..128_u8).map(char::from) {
            for length in [0, 7, 62, 63, 64, 127] {
                let word = "x".repeat(length);
                let expected = match character.is_ascii_alphanumeric() {
                    true => vec![format!("{word}{}y", character.to_ascii_lowercase())],
                    false if length == 0 => vec!["y".to_owned()],
                    false => vec![word.clone(), "y".to_owned()],
                };
                assert_eq!(terms(&format!("{word}{character}y")), expected, "{character:?}");
            }
        }
    }
}
