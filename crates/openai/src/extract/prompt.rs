//! What a prompt will cost, counted before it is sent.

use super::{Direction, Input, extract, usage};

/// What an image in a prompt is taken to cost: one of 1024 by 1024 pixels in high detail.
const IMAGE_TOKENS: u64 = 765;
/// What a recording in a prompt is taken to cost: about half a minute.
const AUDIO_TOKENS: u64 = 300;
/// What a file in a prompt is taken to cost: about two pages.
const FILE_TOKENS: u64 = 1_500;

/// Tokens of a request's prompt, tools included, as well as they can be told beforehand; 0 for an
/// operation that is not paid by its prompt. The answer in `input` is to be empty.
pub fn prompt_tokens(input: &Input<'_>) -> u64 {
    let extraction = extract(input);
    let Some(counted) = usage::estimate(input, &extraction) else { return 0 };
    let mut tokens = u64::try_from(counted.prompt.unwrap_or(0)).unwrap_or(0);
    for part in &extraction.parts {
        tokens += match (part.direction, part.content_type) {
            (Direction::Prompt, "image") => IMAGE_TOKENS,
            (Direction::Prompt, "audio") => AUDIO_TOKENS,
            (Direction::Prompt, "file") => FILE_TOKENS,
            _ => 0,
        };
    }
    for name in ["tools", "functions"] {
        let tools = input.asked(name);
        if !tools.is_null() {
            let text = tools.to_string();
            tokens += input.tokenizer.count(input.vocabulary_model(), &text) as u64;
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use crate::{Body, Input, Kind, PathIds, Tokenizer};

    fn count(kind: Kind, operation_id: &str, body: &str) -> u64 {
        let input = Input {
            kind,
            subkind: "",
            operation_id,
            path_ids: &PathIds::default(),
            deployment: "gpt-4",
            request: &Body::read(Some("application/json"), body.as_bytes()),
            response: &Body::Empty,
            status: 0,
            streamed: false,
            tokenizer: &Tokenizer::new(),
        };
        super::prompt_tokens(&input)
    }

    #[test]
    fn prompts_are_counted_with_their_media_and_tools() {
        let chat = |body: &str| count(Kind::Chat, "ChatCompletions_Create", body);
        let plain = r#"{"messages":[{"role":"user","content":"tiktoken is great!"}]}"#;
        assert_eq!(chat(plain), 3 + 3 + 1 + 6);
        let image = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"tiktoken is great!"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
        assert_eq!(chat(image), 3 + 3 + 1 + 6 + 765);
        let tools = plain.replace("{\"messages\"", r#"{"tools":[{"type":"function"}],"messages""#);
        assert!(chat(&tools) > chat(plain));
        let embedding = r#"{"input":["tiktoken is great!","tiktoken is great!"]}"#;
        assert_eq!(count(Kind::Embedding, "Embeddings_Create", embedding), 12);
        assert_eq!(count(Kind::Files, "Files_Create", plain), 0);
        assert_eq!(chat("no JSON"), 0);
    }
}
