//! What an administrator has decreed and cannot be.

use std::fmt;

/// A decree that contradicts itself; the text names the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError(String);

impl RulesError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RulesError {}
