//! What is wrong with a rule file, and where.

use std::fmt;

/// What is wrong with a rule file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to the parser.
    pub file: String,
    /// The line, from 1, where the directive begins.
    pub line: usize,
    /// What is wrong and what to change.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// A name that is not known, with the known one that is nearest.
pub(crate) fn unknown<'a>(
    kind: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let lower = name.to_ascii_lowercase();
    let nearest = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_ascii_lowercase()), known))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, known)) if distance <= 1 + name.len() / 4 => {
            format!("{kind} `{name}` is not known; did you mean `{known}`?")
        }
        _ => format!("{kind} `{name}` is not known"),
    }
}
