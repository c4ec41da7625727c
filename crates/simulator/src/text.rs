//! Texts and numbers made from a seed: the same seed gives the same words at the same places, so that
//! an answer of any length can be produced piece by piece, or again, without being kept.

/// Words that are one token each, after a space, in `cl100k_base` and `o200k_base`, capitalised or not.
const WORDS: [&str; 128] = [
    "the", "a", "time", "people", "way", "water", "long", "day", "part", "place", "work", "year",
    "back", "most", "name", "good", "man", "world", "home", "small", "end", "air", "line", "set",
    "own", "read", "last", "let", "city", "tree", "farm", "hard", "start", "key", "story", "far",
    "sea", "left", "late", "run", "close", "night", "real", "life", "few", "north", "open",
    "field", "next", "white", "children", "begin", "got", "walk", "example", "ease", "paper",
    "group", "always", "music", "those", "both", "mark", "book", "letter", "until", "house",
    "river", "car", "state", "care", "second", "enough", "plain", "girl", "public", "young",
    "ready", "above", "ever", "red", "list", "though", "feel", "talk", "bird", "soon", "body",
    "dog", "family", "direct", "pose", "leave", "song", "measure", "door", "product", "black",
    "short", "class", "wind", "question", "market", "complete", "ship", "area", "half", "rock",
    "order", "fire", "south", "problem", "piece", "view", "form", "pass", "since", "top", "whole",
    "king", "space", "local", "best", "hour", "better", "true", "power", "five",
];

/// Words between two full stops.
const SENTENCE: u64 = 12;

/// Longest text that is written out at once; longer ones stay a [`Words`] until they are sent.
const INLINE_TOKENS_MAX: u64 = 2048;

/// Longest text there is: about a gigabyte.
pub(crate) const TOKENS_MAX: u64 = 200_000_000;

/// Marks a text that is written only when it is sent, inside otherwise finished JSON.
pub(crate) const MARK_OPEN: &str = "\u{E000}sim:";
/// Ends such a mark.
pub(crate) const MARK_CLOSE: &str = "\u{E001}";

/// Spreads the bits of a number (splitmix64): the only source of chance here.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A stable hash of bytes, eight at a time.
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(seed, bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks_exact gives eight bytes"));
        state = (state ^ word).wrapping_mul(0x9FB2_1C65_1E98_DF25).rotate_left(29);
    }
    let mut tail = [0u8; 8];
    tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(state, u64::from_le_bytes(tail))
}

/// `len` hexadecimal digits drawn from a seed.
pub(crate) fn hex(seed: u64, len: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |place: usize| {
        let block = mix(seed, (place / 16) as u64);
        char::from(DIGITS[(block >> (60 - place % 16 * 4) & 0xF) as usize])
    };
    (0..len).map(digit).collect()
}

/// A text of a given number of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) seed: u64,
    pub(crate) tokens: u64,
}

impl Words {
    /// Appends the token at `index`; never needs escaping in JSON.
    pub(crate) fn push(&self, index: u64, out: &mut Vec<u8>) {
        let place = index % SENTENCE;
        if place == SENTENCE - 1 {
            out.push(b'.');
            return;
        }
        if index != 0 {
            out.push(b' ');
        }
        let word = WORDS[(mix(self.seed, index) & 127) as usize].as_bytes();
        let start = out.len();
        out.extend_from_slice(word);
        if place == 0 {
            out[start].make_ascii_uppercase();
        }
    }

    /// The whole text. Only for texts known to be short.
    pub(crate) fn text(&self) -> String {
        let mut out = Vec::with_capacity(self.tokens as usize * 6);
        for index in 0..self.tokens {
            self.push(index, &mut out);
        }
        String::from_utf8(out).expect("the words are ASCII")
    }

    fn mark(&self) -> String {
        format!("{MARK_OPEN}{:x}:{:x}{MARK_CLOSE}", self.seed, self.tokens)
    }

    /// Reads what stands between the two halves of a mark.
    pub(crate) fn from_mark(text: &str) -> Option<Self> {
        let (seed, tokens) = text.split_once(':')?;
        let seed = u64::from_str_radix(seed, 16).ok()?;
        let tokens = u64::from_str_radix(tokens, 16).ok().filter(|tokens| *tokens <= TOKENS_MAX)?;
        Some(Self { seed, tokens })
    }
}

/// Text that a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Words from a seed.
    Words(Words),
    /// A text that must be as it is (JSON for a schema, an echo), in pieces of one token.
    Literal(Vec<String>),
}

impl Answer {
    /// Cuts a text into pieces of four characters, each counted as one token.
    pub(crate) fn literal(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        Self::Literal(chars.chunks(4).map(|piece| piece.iter().collect()).collect())
    }

    /// The pieces of a text that was made by [`for_json`](Self::for_json): cut before each space and full stop.
    pub(crate) fn from_text(text: &str) -> Self {
        let mark = text
            .strip_prefix(MARK_OPEN)
            .and_then(|rest| rest.strip_suffix(MARK_CLOSE))
            .and_then(Words::from_mark);
        if let Some(words) = mark {
            return Self::Words(words);
        }
        let mut pieces: Vec<String> = Vec::new();
        for letter in text.chars() {
            match pieces.last_mut() {
                Some(piece) if !matches!(letter, ' ' | '.') => piece.push(letter),
                _ => pieces.push(letter.to_string()),
            }
        }
        Self::Literal(pieces)
    }

    pub(crate) fn tokens(&self) -> u64 {
        match self {
            Self::Words(words) => words.tokens,
            Self::Literal(pieces) => pieces.len() as u64,
        }
    }

    /// The first `tokens` of it.
    pub(crate) fn truncated(self, tokens: u64) -> Self {
        match self {
            Self::Words(words) => Self::Words(Words { tokens: words.tokens.min(tokens), ..words }),
            Self::Literal(mut pieces) => {
                pieces.truncate(usize::try_from(tokens).unwrap_or(usize::MAX));
                Self::Literal(pieces)
            }
        }
    }

    /// The text to put into a JSON value: itself, or a mark for what is too long to hold.
    pub(crate) fn for_json(&self) -> String {
        match self {
            Self::Words(words) if words.tokens <= INLINE_TOKENS_MAX => words.text(),
            Self::Words(words) => words.mark(),
            Self::Literal(pieces) => pieces.concat(),
        }
    }

    /// Appends the token at `index` as the inside of a JSON string.
    pub(crate) fn push_escaped(&self, index: u64, out: &mut Vec<u8>) {
        match self {
            Self::Words(words) => words.push(index, out),
            Self::Literal(pieces) => {
                if let Some(piece) = usize::try_from(index).ok().and_then(|index| pieces.get(index))
                {
                    push_escaped(piece, out);
                }
            }
        }
    }
}

/// Appends `text` as the inside of a JSON string.
pub(crate) fn push_escaped(text: &str, out: &mut Vec<u8>) {
    let quoted = serde_json::to_vec(text).expect("a string is always valid JSON");
    out.extend_from_slice(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_whole_text() {
        let words = Words { seed: 7, tokens: 40 };
        let mut joined = Vec::new();
        (0..40).for_each(|index| words.push(index, &mut joined));
        assert_eq!(String::from_utf8(joined).unwrap(), words.text());
        assert!(words.text().contains(". "));
        assert_ne!(words.text(), Words { seed: 8, tokens: 40 }.text());
    }

    #[test]
    fn a_long_text_becomes_a_mark_that_can_be_read_back() {
        let words = Words { seed: u64::MAX, tokens: 40_000_000 };
        let mark = Answer::Words(words).for_json();
        let inside =
            mark.strip_prefix(MARK_OPEN).and_then(|rest| rest.strip_suffix(MARK_CLOSE)).unwrap();
        assert_eq!(Words::from_mark(inside), Some(words));
        assert_eq!(Words::from_mark("x"), None);
    }

    #[test]
    fn every_piece_is_one_token_of_both_vocabularies() {
        let vocabularies =
            [tiktoken_rs::o200k_base().unwrap(), tiktoken_rs::cl100k_base().unwrap()];
        let mut longer = Vec::new();
        for word in WORDS {
            let capital = format!("{}{}", word[..1].to_uppercase(), &word[1..]);
            for form in [format!(" {word}"), format!(" {capital}"), capital] {
                if vocabularies
                    .iter()
                    .any(|vocabulary| vocabulary.encode_ordinary(&form).len() != 1)
                {
                    longer.push(form);
                }
            }
        }
        assert!(longer.is_empty(), "{longer:?}");
        let words = Words { seed: 3, tokens: 2000 };
        for vocabulary in vocabularies {
            assert_eq!(vocabulary.encode_ordinary(&words.text()).len(), 2000);
        }
    }
}
