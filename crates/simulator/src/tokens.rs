//! Counting prompt tokens, and hashing the prompt on the way.

use serde_json::Value;

use crate::config::Tokenizer;
use crate::text::{hash, mix};

/// Tokens a chat adds for each message, and once for the answer's start.
const PER_MESSAGE: u64 = 3;
/// Tokens counted for a picture or a sound, whatever its size.
const PER_MEDIUM: u64 = 85;

/// What a prompt amounts to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prompt {
    pub(crate) tokens: u64,
    /// Identifies the text.
    pub(crate) hash: u64,
    pub(crate) chars: u64,
    tokenizer: Tokenizer,
}

impl Prompt {
    pub(crate) fn new(tokenizer: Tokenizer, seed: u64) -> Self {
        Self { tokens: 0, hash: mix(seed, 0x51), chars: 0, tokenizer }
    }

    /// Adds a text.
    pub(crate) fn add(&mut self, text: &str) {
        self.tokens += count(self.tokenizer, text);
        self.chars += text.len() as u64;
        self.hash = hash(self.hash, text.as_bytes());
    }

    /// Adds every text inside a value: for tools and anything else that is not a message.
    pub(crate) fn add_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(items) => items.iter().for_each(|item| self.add_all(item)),
            Value::Object(map) => map.iter().for_each(|(name, item)| {
                self.add(name);
                self.add_all(item);
            }),
            Value::Null => {}
            other => self.add(&other.to_string()),
        }
    }

    /// Adds chat messages or response items.
    pub(crate) fn add_messages(&mut self, messages: &[Value]) {
        for message in messages {
            self.tokens += PER_MESSAGE;
            self.hash = mix(self.hash, 1);
            if let Some(role) = message.get("role").and_then(Value::as_str) {
                self.add(role);
            }
            match message.get("content") {
                Some(Value::Array(parts)) => parts.iter().for_each(|part| self.add_part(part)),
                Some(Value::String(text)) => self.add(text),
                _ => {}
            }
            for name in ["name", "tool_calls", "function_call", "output", "arguments"] {
                if let Some(value) = message.get(name) {
                    self.add_all(value);
                }
            }
        }
        self.tokens += PER_MESSAGE;
    }

    fn add_part(&mut self, part: &Value) {
        match part.get("text").and_then(Value::as_str) {
            Some(text) => self.add(text),
            None => {
                self.tokens += PER_MEDIUM;
                self.hash = hash(self.hash, part.to_string().as_bytes());
            }
        }
    }

    /// Adds token ids.
    pub(crate) fn add_ids(&mut self, ids: &[Value]) {
        self.tokens += ids.len() as u64;
        self.chars += ids.len() as u64 * 4;
        for id in ids {
            self.hash = mix(self.hash, id.as_u64().unwrap_or_default());
        }
    }
}

/// Tokens of a text by the chosen rule.
pub(crate) fn count(tokenizer: Tokenizer, text: &str) -> u64 {
    match tokenizer {
        Tokenizer::Words => words(text),
        Tokenizer::O200k => tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len() as u64,
    }
}

/// Each started eight ASCII letters or digits of a word, and every other character but white space, is a token.
fn words(text: &str) -> u64 {
    let mut tokens = 0;
    let mut run = 0u64;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            tokens += u64::from(run.is_multiple_of(8));
            run += 1;
            continue;
        }
        run = 0;
        // A continuation byte belongs to a character already counted.
        tokens += u64::from(!byte.is_ascii_whitespace() && byte & 0xC0 != 0x80);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_rule_is_as_documented() {
        assert_eq!(words(""), 0);
        assert_eq!(words("hello"), 1);
        assert_eq!(words("hello, world!"), 4);
        assert_eq!(words("understanding"), 2);
        assert_eq!(words("日本語"), 3);
    }

    #[test]
    fn the_vocabulary_can_be_used_instead() {
        assert_eq!(count(Tokenizer::O200k, "hello world"), 2);
    }
}
