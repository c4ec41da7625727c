//! UTF-8 checked piece by piece.

/// Checks text whose sequences may lie across pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8Check {
    partial: [u8; 4],
    length: usize,
}

impl Utf8Check {
    /// Fails with the offset of the invalid sequence in `bytes`; it is negative if the sequence began
    /// in an earlier piece.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), i64> {
        let before = self.length as i64;
        let mut start = 0;
        while self.length > 0 && start < bytes.len() {
            self.partial[self.length] = bytes[start];
            self.length += 1;
            start += 1;
            match std::str::from_utf8(&self.partial[..self.length]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => {
                    self.length = 0;
                    return Err(-before);
                }
                Err(_) => {}
            }
        }
        match std::str::from_utf8(&bytes[start..]) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err((start + error.valid_up_to()) as i64),
            Err(error) => {
                let rest = &bytes[start + error.valid_up_to()..];
                self.partial[..rest.len()].copy_from_slice(rest);
                self.length = rest.len();
                Ok(())
            }
        }
    }

    /// The text ends inside a sequence.
    pub(crate) const fn is_partial(&self) -> bool {
        self.length > 0
    }
}
