//! What was billed already: an answer that is looked up tells its usage again, one that is made in the
//! background tells it only when it is looked up.

use std::collections::{HashSet, VecDeque};

use openai::{Body, Extraction, Tree};

use crate::ended::Ended;

/// Objects that are remembered; the oldest is forgotten first, and billed again if it is looked up after
/// that, as after a restart.
const REMEMBERED_MAX: usize = 100_000;

/// Objects made in the background whose usage is in a row.
#[derive(Default)]
pub(crate) struct Billed {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Billed {
    /// The usage that an answer tells stands in no row yet.
    pub(crate) fn takes(&mut self, ended: &Ended, extraction: &Extraction) -> bool {
        let answer = match &ended.response.parsed {
            Body::Json(answer) => answer,
            _ => &Tree::Null,
        };
        let late = match answer["object"].as_str() {
            Some("response") if answer["background"] == Tree::Bool(true) => &extraction.provider_id,
            Some("batch") => &extraction.provider_id,
            Some("thread.run" | "thread.run.stream") => &extraction.run_id,
            _ => return !extraction.usage_is_repeated,
        };
        self.remember(late)
    }

    /// False if it was known.
    fn remember(&mut self, id: &str) -> bool {
        if id.is_empty() || !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_billed_once_and_the_oldest_is_forgotten() {
        let mut billed = Billed::default();
        assert!(billed.remember("a"));
        assert!(!billed.remember("a"));
        assert!(!billed.remember(""));
        for number in 0..REMEMBERED_MAX {
            assert!(billed.remember(&number.to_string()));
        }
        assert_eq!((billed.ids.len(), billed.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(billed.remember("a"));
    }
}
