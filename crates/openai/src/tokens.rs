//! Counting tokens locally, where the provider tells none, and turning token ids into text.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tiktoken_rs::CoreBPE;

/// Tokens every chat message costs beside its text.
const TOKENS_PER_MESSAGE: usize = 3;
/// Tokens with which every chat answer is primed.
const TOKENS_PER_ANSWER: usize = 3;
/// Token ids that one input may have; longer ones are left as numbers.
const TOKEN_IDS_MAX: usize = 1 << 20;

/// The vocabularies, built when first needed (tens of milliseconds) and shared by all clones.
#[derive(Clone, Default)]
pub struct Tokenizer {
    shared: Arc<Vocabularies>,
}

#[derive(Default)]
struct Vocabularies {
    o200k: OnceLock<Option<CoreBPE>>,
    cl100k: OnceLock<Option<CoreBPE>>,
    p50k: OnceLock<Option<CoreBPE>>,
    r50k: OnceLock<Option<CoreBPE>>,
}

/// A vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// GPT-4o, GPT-4.1, GPT-5 and the o series.
    O200k,
    /// GPT-4, GPT-3.5 and the embedding models; also of models we do not know.
    Cl100k,
    /// Codex and text-davinci-002 and -003.
    P50k,
    /// GPT-3.
    R50k,
}

impl Encoding {
    /// The vocabulary of a model or of a deployment named after one.
    pub fn of_model(model: &str) -> Self {
        let model = model.strip_prefix("ft:").unwrap_or(model).to_ascii_lowercase();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
        if starts(&["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss", "chatgpt-4o", "gpt-image"])
            || starts(&["o1", "o3", "o4", "gpt4o", "gpt-realtime", "gpt-audio", "codex-mini"])
            || starts(&["computer-use"])
        {
            return Self::O200k;
        }
        if starts(&["text-davinci-002", "text-davinci-003", "code-davinci", "code-cushman"]) {
            return Self::P50k;
        }
        let first = ["davinci", "curie", "babbage", "ada"];
        let second_generation = model.ends_with("-002");
        if !second_generation
            && (first.contains(&model.as_str())
                || starts(&["text-davinci-001", "text-curie", "text-babbage", "text-ada-001"]))
        {
            return Self::R50k;
        }
        Self::Cl100k
    }
}

impl Tokenizer {
    /// A tokenizer whose vocabularies are still unbuilt.
    pub fn new() -> Self {
        Self::default()
    }

    /// The vocabulary of a model is built: counting does not begin with a wait.
    pub fn is_ready(&self, model: &str) -> bool {
        self.cell(Encoding::of_model(model)).get().is_some()
    }

    /// Tokens of a text for a model. Of a vocabulary that cannot be built, a quarter of the bytes.
    pub fn count(&self, model: &str, text: &str) -> usize {
        match self.vocabulary(Encoding::of_model(model)) {
            Some(vocabulary) => vocabulary.count_ordinary(text),
            None => text.len().div_ceil(4),
        }
    }

    /// Tokens of a chat prompt: role, name and text of every message with what surrounds them.
    pub fn count_messages<'a>(
        &self,
        model: &str,
        messages: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> usize {
        let mut tokens = TOKENS_PER_ANSWER;
        for (role, text) in messages {
            tokens += TOKENS_PER_MESSAGE + self.count(model, role) + self.count(model, text);
        }
        tokens
    }

    /// The text that token ids stand for; what is no UTF-8 is replaced. None if an id is unknown.
    pub fn decode(&self, model: &str, ids: &[u32]) -> Option<String> {
        if ids.len() > TOKEN_IDS_MAX {
            return None;
        }
        let bytes = self.vocabulary(Encoding::of_model(model))?.decode_bytes(ids).ok()?;
        Some(
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        )
    }

    fn vocabulary(&self, encoding: Encoding) -> Option<&CoreBPE> {
        let build: fn() -> _ = match encoding {
            Encoding::O200k => || tiktoken_rs::o200k_base().ok(),
            Encoding::Cl100k => || tiktoken_rs::cl100k_base().ok(),
            Encoding::P50k => || tiktoken_rs::p50k_base().ok(),
            Encoding::R50k => || tiktoken_rs::r50k_base().ok(),
        };
        self.cell(encoding).get_or_init(build).as_ref()
    }

    fn cell(&self, encoding: Encoding) -> &OnceLock<Option<CoreBPE>> {
        match encoding {
            Encoding::O200k => &self.shared.o200k,
            Encoding::Cl100k => &self.shared.cl100k,
            Encoding::P50k => &self.shared.p50k,
            Encoding::R50k => &self.shared.r50k,
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_their_vocabularies() {
        for (model, encoding) in [
            ("gpt-4o-mini", Encoding::O200k),
            ("ft:gpt-4o:org::id", Encoding::O200k),
            ("o3-mini", Encoding::O200k),
            ("gpt-4", Encoding::Cl100k),
            ("gpt-35-turbo", Encoding::Cl100k),
            ("text-embedding-3-small", Encoding::Cl100k),
            ("text-embedding-ada-002", Encoding::Cl100k),
            ("davinci-002", Encoding::Cl100k),
            ("text-davinci-003", Encoding::P50k),
            ("davinci", Encoding::R50k),
            ("", Encoding::Cl100k),
        ] {
            assert_eq!(Encoding::of_model(model), encoding, "{model}");
        }
    }

    #[test]
    fn counts_and_decodes_as_the_published_vocabularies_do() {
        let tokenizer = Tokenizer::new();
        assert_eq!(tokenizer.count("gpt-4", "tiktoken is great!"), 6);
        assert_eq!(tokenizer.count("", ""), 0);
        let ids = [83, 1609, 5963, 374, 2294, 0];
        let text = tokenizer.clone().decode("gpt-4", &ids);
        assert_eq!(text.as_deref(), Some("tiktoken is great!"));
        assert_eq!(tokenizer.decode("gpt-4", &[u32::MAX]), None);
        let messages = [("user", "tiktoken is great!")];
        assert_eq!(tokenizer.count_messages("gpt-4", messages), 3 + 3 + 1 + 6);
    }
}
