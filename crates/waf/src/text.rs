//! Texts of rules that name variables: `%{tx.limit}`.

use crate::target::{Collection, Target};

/// A text with the variables it names.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    source: String,
    pieces: Vec<Piece>,
}

/// A part of a text.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Plain(String),
    /// The first member it covers.
    Variable(Target),
}

impl Text {
    /// A `%{…}` that names no variable stands for nothing, as in ModSecurity.
    pub(crate) fn parse(source: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some(at) = rest.find("%{") {
            let Some(length) = rest[at..].find('}') else { break };
            if at > 0 {
                pieces.push(Piece::Plain(rest[..at].to_owned()));
            }
            pieces.extend(Target::parse(&rest[at + 2..at + length]).ok().map(Piece::Variable));
            rest = &rest[at + length + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Plain(rest.to_owned()));
        }
        Self { source: source.to_owned(), pieces }
    }

    /// As it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The text, if it names no variable.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with its variables' values.
    pub(crate) fn expand(&self, value: impl Fn(&Target, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.source.len());
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Variable(target) => value(target, &mut out),
            }
        }
        out
    }

    /// The text for a log: of variables only numbers that rules have set, never what the caller sent.
    pub(crate) fn redacted(&self, value: impl Fn(&Target, &mut Vec<u8>)) -> String {
        let out = self.expand(|target, out| {
            let mut own = Vec::new();
            if target.collection == Collection::Tx && !is_capture(target) {
                value(target, &mut own);
            }
            let is_number = !own.is_empty() && own.len() <= 9 && own.iter().all(u8::is_ascii_digit);
            out.extend_from_slice(if is_number { &own } else { b"*" });
        });
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Whether it is one of `TX.0` to `TX.9`, which hold what a pattern found.
fn is_capture(target: &Target) -> bool {
    (b'0'..=b'9').any(|digit| target.covers(&[digit]))
}
