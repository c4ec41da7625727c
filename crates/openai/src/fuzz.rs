//! Entry points for fuzzing: each takes any bytes and panics only if something we promise is broken.
//!
//! The fuzz crate stands outside the workspace; these functions are all it needs.

use crate::{
    Assembled, Body, Catalogue, Input, Kind, PathIds, Peek, Peeker, SseParser, StreamAssembler,
    Tokenizer, UsageFilter, extract, request_messages, response_messages,
};

/// Cuts the bytes behind the first one into pieces of the size that the first one tells.
fn pieces(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes.split_first() {
        Some((size, rest)) => (usize::from(*size).max(1), rest),
        None => (1, bytes),
    }
}

/// Any path and query, line by line: method, path, query.
pub fn identify(catalogue: &Catalogue, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let method = lines.next().unwrap_or_default();
    let path = lines.next().unwrap_or_default();
    let identified = catalogue.identify(method, path, lines.next());
    assert!(path.ends_with(identified.relative_path));
    if let Some(operation) = identified.operation {
        assert_eq!(operation.method, method);
    }
}

/// Any body: however it is cut, the same is seen, and JSON that serde accepts is not malformed.
pub fn peek(bytes: &[u8]) {
    let (size, body) = pieces(bytes);
    for content_type in ["application/json", "multipart/form-data; boundary=B", "text/plain"] {
        let seen = |size: usize| -> Peek {
            let mut peeker = Peeker::new(Some(content_type));
            body.chunks(size).for_each(|piece| peeker.push(piece));
            peeker.finish()
        };
        let whole = seen(body.len().max(1));
        assert_eq!(seen(size), whole);
        if content_type == "application/json"
            && serde_json::from_slice::<serde_json::Value>(body).is_ok()
        {
            assert_eq!(whole.malformed(), None);
        }
    }
}

/// Any event stream: however it is cut, the same events come out, and the same is left of it once
/// what asking for usage added is taken out.
pub fn sse(bytes: &[u8]) {
    let (size, stream) = pieces(bytes);
    let filtered = |size: usize| {
        let mut filter = UsageFilter::default();
        let mut left: Vec<u8> = Vec::new();
        stream.chunks(size).for_each(|piece| left.extend_from_slice(&filter.push(piece)));
        left.extend(filter.finish());
        left
    };
    assert_eq!(filtered(size), filtered(stream.len().max(1)));
    let seen = |size: usize| {
        let mut parser = SseParser::with_limit(4096);
        let mut events = Vec::new();
        for piece in stream.chunks(size) {
            parser.push(piece, |event| events.push((event.name.to_vec(), event.data.to_vec())));
        }
        parser.finish(|event| events.push((event.name.to_vec(), event.data.to_vec())));
        (events, parser.oversized())
    };
    assert_eq!(seen(size), seen(stream.len().max(1)));
}

/// Any event stream as an answer of every kind: however it is cut, the same answer comes out.
pub fn assemble(bytes: &[u8]) {
    let (size, stream) = pieces(bytes);
    for kind in Kind::ALL {
        for subkind in ["", "responses"] {
            let seen = |size: usize| -> Assembled {
                let mut assembler = StreamAssembler::with_limit(*kind, subkind, 1 << 16);
                stream.chunks(size).for_each(|piece| assembler.push(piece));
                assembler.finish()
            };
            assert_eq!(seen(size), seen(stream.len().max(1)));
        }
    }
}

/// Any bytes as request and answer of every kind of operation.
pub fn extraction(catalogue: &Catalogue, tokenizer: &Tokenizer, bytes: &[u8]) {
    let (at, rest) = pieces(bytes);
    let (request, response) = rest.split_at(at.min(rest.len()));
    for content_type in ["application/json", "multipart/form-data; boundary=B", "text/plain"] {
        let request = Body::read(Some(content_type), request);
        let response = Body::read(Some("application/json"), response);
        for operation in catalogue.operations() {
            let extraction = extract(&Input {
                kind: operation.kind,
                subkind: &operation.subkind,
                operation_id: &operation.log_operation_id,
                path_ids: &PathIds::default(),
                deployment: "",
                request: &request,
                response: &response,
                status: 200,
                streamed: false,
                tokenizer,
            });
            assert!(extraction.parts.iter().all(|part| !part.content.is_empty()));
            for list in [request_messages(&extraction), response_messages(&extraction)] {
                assert!(
                    list.is_empty() || serde_json::from_str::<serde_json::Value>(&list).is_ok()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config() -> ProptestConfig {
        ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
    }

    #[test]
    fn any_bytes_are_taken() {
        let catalogue = Catalogue::builtin();
        proptest!(config(), |(bytes in prop::collection::vec(any::<u8>(), 0..200))| {
            super::identify(&catalogue, &bytes);
            super::peek(&bytes);
            super::sse(&bytes);
            super::assemble(&bytes);
        });
    }

    #[test]
    fn any_path_is_taken() {
        let catalogue = Catalogue::builtin();
        let path = "(GET|POST)\n(/(openai|v1|deployments|models|threads|runs|chat|completions|files|%2f|a%b|é|)){0,20}\n(api-version=x|&|=|%){0,3}";
        proptest!(config(), |(path in path)| super::identify(&catalogue, path.as_bytes()));
    }

    #[test]
    fn streams_of_any_events_are_taken() {
        let event = "(event: (response\\.(created|completed|output_text\\.delta|output_item\\.added)|thread\\.message\\.delta|error)\n)?data: (\\{(\"(choices|delta|response|item|output_index|id|type|error)\":(1|\"a\"|null|\\[\\]|\\{\\}|\\[\\{\"index\":2,\"delta\":\\{\"content\":\"x\"\\}\\}\\]),){0,3}\"x\":1\\}|\\[DONE\\])\n\n";
        proptest!(config(), |(size in 1u8..9, events in prop::collection::vec(event, 0..8))| {
            let mut bytes = vec![size];
            bytes.extend_from_slice(events.concat().as_bytes());
            super::assemble(&bytes);
        });
    }

    #[test]
    fn any_json_is_taken() {
        let (catalogue, tokenizer) = (Catalogue::builtin(), Tokenizer::new());
        let text = "\\{(\"(messages|input|prompt|choices|data|output|usage|tools)\":(1|\"a\"|null|\\[1,\"b\",\\{\"role\":\"user\",\"content\":\\[\"c\"\\]\\}\\]|\\{\"a\":1\\}),){0,4}\"x\":1\\}";
        proptest!(config(), |(text in text)| {
            let mut bytes = vec![u8::try_from(text.len().min(255)).unwrap_or(255)];
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend_from_slice(text.as_bytes());
            super::extraction(&catalogue, &tokenizer, &bytes);
        });
    }
}
