//! Whether bytes that arrive in pieces are UTF-8.

/// Checks pieces as they come; a character may be cut between two of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Utf8Check {
    is_broken: bool,
    /// Begin of a character whose rest is still to come.
    tail: [u8; 4],
    tail_len: usize,
}

impl Utf8Check {
    pub(crate) fn push(&mut self, mut piece: &[u8]) {
        while self.tail_len > 0 && !self.is_broken {
            let Some((first, rest)) = piece.split_first() else { return };
            piece = rest;
            self.tail[self.tail_len] = *first;
            self.tail_len += 1;
            match std::str::from_utf8(&self.tail[..self.tail_len]) {
                Ok(_) => self.tail_len = 0,
                // A character has at most four bytes, so an incomplete one leaves room for another.
                Err(error) => self.is_broken = error.error_len().is_some() || self.tail_len == 4,
            }
        }
        if self.is_broken {
            return;
        }
        if let Err(error) = std::str::from_utf8(piece) {
            let rest = &piece[error.valid_up_to()..];
            self.is_broken = error.error_len().is_some();
            if !self.is_broken {
                self.tail[..rest.len()].copy_from_slice(rest);
                self.tail_len = rest.len();
            }
        }
    }

    /// All that came is UTF-8, and nothing is cut at the end.
    pub(crate) fn is_text(&self) -> bool {
        !self.is_broken && self.tail_len == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_text_if_and_only_if_the_whole_is(
            bytes in prop_oneof![
                "\\PC{0,20}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..12),
                proptest::collection::vec(proptest::sample::select(&[0xE2u8, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80, b'a'][..]), 0..9),
            ],
            size in 1usize..5,
        ) {
            let mut check = Utf8Check::default();
            for piece in bytes.chunks(size) {
                check.push(piece);
            }
            prop_assert_eq!(check.is_text(), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
