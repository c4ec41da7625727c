//! What is wrong with a URL that nobody knows, where it looks like a wrong base URL.

use std::fmt;

use super::path::{Segments, is_word};

/// What is wrong with a base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The prefix stands twice, as in `/openai/openai/…` or `/v1/v1/…`: the SDK adds it itself.
    DoubledPrefix,
    /// The base URL is the URL of an operation, as in `/v1/chat/completions/chat/completions`.
    OperationAsBase,
    /// There is something before the prefix that does not belong there.
    ForeignPrefix,
}

impl Problem {
    /// The name it is recorded under.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DoubledPrefix => "BaseUrlDoubled",
            Self::OperationAsBase => "OperationUrlAsBaseUrl",
            Self::ForeignPrefix => "BaseUrlHasForeignPath",
        }
    }
}

/// How to mend a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What is wrong.
    pub problem: Problem,
    /// The part of the path that is too much, with its leading slash.
    pub surplus: String,
    /// The path that is probably meant.
    pub suggested_path: String,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { surplus, suggested_path, .. } = self;
        f.write_str(match self.problem {
            Problem::DoubledPrefix => {
                "the prefix stands twice: the client library adds it to the base URL itself"
            }
            Problem::OperationAsBase => {
                "the base URL already names an operation: it must end before it"
            }
            Problem::ForeignPrefix => "the base URL has a part that is not served here",
        })?;
        write!(f, "; remove \"{surplus}\" so that the path becomes {suggested_path}")
    }
}

impl Hint {
    /// Looks for the longest end of the path that is known. Only called for unknown paths.
    pub(crate) fn find(segments: &Segments<'_>, knows: &dyn Fn(&str) -> bool) -> Option<Self> {
        let all = segments.as_slice();
        if segments.overflowed {
            return None;
        }
        (1..all.len()).find_map(|cut| {
            let suggested_path = format!("/{}", segments.tail(cut));
            if !knows(&suggested_path) {
                return None;
            }
            let kept_prefix = repeated_prefix(&all[..cut], &all[cut..]);
            let surplus = format!("/{}", all[kept_prefix..cut].join("/"));
            let suggested_path = match kept_prefix {
                0 => suggested_path,
                _ => format!("/{}{suggested_path}", all[..kept_prefix].join("/")),
            };
            let problem = problem(&all[kept_prefix..cut], &all[cut..]);
            Some(Self { problem, surplus, suggested_path })
        })
    }
}

/// `/openai/v1/v1/files` means `/openai/v1/files`, not `/v1/files`: the `openai` stays.
fn repeated_prefix(cut: &[&str], rest: &[&str]) -> usize {
    let starts = |word| rest.first().is_some_and(|first| is_word(first, word));
    let openai_v1 = cut.len() == 2 && is_word(cut[0], "openai") && is_word(cut[1], "v1");
    usize::from(openai_v1 && starts("v1"))
}

fn problem(surplus: &[&str], rest: &[&str]) -> Problem {
    let prefix_words = ["openai", "v1", "deployments", "models"];
    let is_prefix_word = |segment: &str| prefix_words.iter().any(|word| is_word(segment, word));
    let mut after_deployments = false;
    let only_prefix = surplus.iter().all(|segment| {
        let fits = after_deployments || is_prefix_word(segment);
        after_deployments = is_word(segment, "deployments");
        fits
    });
    if only_prefix && rest.first().is_some_and(|first| is_prefix_word(first)) {
        return Problem::DoubledPrefix;
    }
    let operations = [
        "completions",
        "embeddings",
        "responses",
        "chat",
        "transcriptions",
        "generations",
        "threads",
    ];
    if surplus.iter().any(|segment| operations.iter().any(|word| is_word(segment, word))) {
        return Problem::OperationAsBase;
    }
    if only_prefix { Problem::DoubledPrefix } else { Problem::ForeignPrefix }
}
