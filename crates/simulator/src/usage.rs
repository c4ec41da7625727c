//! What the simulator would bill: its own record of what each call used, for tests to add up. It is kept
//! apart from what answers say of usage, so that the one can be held against the other.

use std::collections::VecDeque;
use std::sync::Mutex;

/// What one call used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    /// Model, as it calls itself in answers.
    pub model: String,
    /// Tokens of the prompt, cached and audio ones included.
    pub prompt_tokens: u64,
    /// Tokens of the prompt that were cached: what the header `x-sim-cached-tokens` asked for.
    pub cached_tokens: u64,
    /// Tokens of the prompt that were sound.
    pub audio_prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Seconds of sound that were heard, by models that are billed by time.
    pub seconds: f64,
    /// Characters that were spoken.
    pub characters: u64,
    /// Images that were made, by models that are billed by image.
    pub images: u64,
    /// Their size.
    pub image_size: String,
    /// Their quality.
    pub image_quality: String,
    /// `priority` or `batch`; empty if it was served as it came.
    pub service_tier: &'static str,
    /// The answer tells what was used.
    pub is_told: bool,
}

/// The last calls that used something, bounded.
pub(crate) struct Book {
    kept_max: usize,
    list: Mutex<VecDeque<Used>>,
}

impl Book {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { kept_max, list: Mutex::default() }
    }

    pub(crate) fn add(&self, used: Used) {
        if self.kept_max == 0 {
            return;
        }
        let mut list = self.list.lock().expect("no holder of this lock panics");
        if list.len() >= self.kept_max {
            list.pop_front();
        }
        list.push_back(used);
    }

    pub(crate) fn list(&self) -> Vec<Used> {
        self.list.lock().expect("no holder of this lock panics").iter().cloned().collect()
    }
}
