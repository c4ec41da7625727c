//! Cases of `peek`.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn peek_pieces(content_type: &str, body: &[u8], size: usize) -> Peek {
    let mut peeker = Peeker::new(Some(content_type));
    for piece in body.chunks(size.max(1)) {
        peeker.push(piece);
    }
    peeker.finish()
}

fn peek(body: &str) -> Peek {
    peek_pieces("application/json", body.as_bytes(), usize::MAX)
}

const CHAT: &str = r#" {"messages":[{"role":"user","content":"model \"quoted\" {[ \\ \u00e9 naïve"}],
  "tools":[{"model":"decoy","stream":false}], "mod\u0065l":"gpt-\u0034o", "stream":true,
  "stream_options":{"x":{"include_usage":false},"include_usage":true}, "n":2,"max_tokens":1e2,
  "max_completion_tokens":77, "store": false, "conversation":{"meta":{"id":"no"},"id":"conv_1"}} "#;

#[test]
fn wanted_members_are_found_wherever_they_stand() {
    for size in 1..=CHAT.len() {
        let peek = peek_pieces("application/json", CHAT.as_bytes(), size);
        assert_eq!(peek.malformed(), None);
        assert_eq!(peek.model.as_deref(), Some("gpt-4o"));
        assert_eq!(peek.stream, Some(true));
        assert_eq!(peek.include_usage, Some(true));
        assert_eq!(peek.n, Some(2));
        assert_eq!(peek.max_tokens, None, "1e2 is no whole number as the API has them");
        assert_eq!(peek.output_tokens_max(), Some(77));
        assert_eq!(peek.store, Some(false));
        assert_eq!(peek.conversation.as_deref(), Some("conv_1"));
        assert_eq!(peek.object_start, Some(2));
        let span = |span: &Option<Range<u64>>| {
            let span = span.clone().expect("it is there");
            CHAT[span.start as usize..span.end as usize].to_owned()
        };
        assert_eq!(span(&peek.model_span), r#""gpt-\u0034o""#);
        assert_eq!(peek.ask_for_usage(), None);
    }
}

#[test]
fn the_last_of_two_members_counts() {
    assert_eq!(peek(r#"{"model":"a","model":"b"}"#).model.as_deref(), Some("b"));
    assert_eq!(peek(r#"{"model":"a","model":7}"#).model, None);
    let twice = r#"{"stream_options":{"include_usage":true},"stream_options":null}"#;
    assert_eq!(peek(twice).include_usage, None);
}

#[test]
fn a_body_is_made_to_name_a_model_and_nothing_else_changes() {
    for (body, want) in [
        (r#" {"model":"a","n":1}"#, r#" {"model":"b\"c","n":1}"#),
        (r#"{"n":1, "model" : null }"#, r#"{"n":1, "model" : "b\"c" }"#),
        (r#"{"model":"x","model":"a"}"#, r#"{"model":"x","model":"b\"c"}"#),
        (r#"{"messages":[{"model":"no"}]}"#, r#"{"model":"b\"c","messages":[{"model":"no"}]}"#),
        (r#"{}"#, r#"{"model":"b\"c"}"#),
    ] {
        let place = peek(body).model_place().expect("there is one");
        assert_eq!(spliced(body, &place.put("b\"c")), want);
    }
    assert_eq!(peek("[1]").model_place(), None);
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\r\n--\r\n--x\r\n\
                Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--x--\r\n";
    for size in 1..form.len() {
        let peek = peek_pieces("multipart/form-data; boundary=x", form.as_bytes(), size);
        let place = peek.model_place().expect("the form names one");
        assert_eq!(spliced(form, &place.put("w2")), form.replace("whisper", "w2"), "{size}");
    }
}

fn spliced(body: &str, splice: &Splice) -> String {
    let span = splice.span.start as usize..splice.span.end as usize;
    format!("{}{}{}", &body[..span.start], splice.text, &body[span.end..])
}

#[test]
fn a_body_is_made_to_ask_for_usage_by_one_splice() {
    for (body, want) in [
        (
            r#" {"stream":true}"#,
            Some(r#" {"stream_options":{"include_usage":true},"stream":true}"#),
        ),
        (
            r#"{"stream":true,"stream_options" : null}"#,
            Some(r#"{"stream":true,"stream_options" : {"include_usage":true}}"#),
        ),
        (
            r#"{"stream_options":{ },"stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true },"stream":true}"#),
        ),
        (
            r#"{"stream":true,"stream_options":{"include_obfuscation":{}}}"#,
            Some(
                r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":{}}}"#,
            ),
        ),
        (
            r#"{"stream":true,"stream_options":{"x":{},"include_usage": false}}"#,
            Some(r#"{"stream":true,"stream_options":{"x":{},"include_usage": true}}"#),
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":null,"x":1}}"#,
            Some(r#"{"stream":true,"stream_options":{"include_usage":true,"x":1}}"#),
        ),
        // The last of two counts.
        (
            r#"{"stream":true,"stream_options":{"include_usage":true},"stream_options":null}"#,
            Some(
                r#"{"stream":true,"stream_options":{"include_usage":true},"stream_options":{"include_usage":true}}"#,
            ),
        ),
        (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, None),
        (r#"{"stream":true,"stream_options":{"include_usage":"yes"}}"#, None),
        (r#"{"stream":true,"stream_options":{"include_usage":1}}"#, None),
        (r#"{"stream":true,"stream_options":[]}"#, None),
        (r#"{"stream":true,"stream_options":7}"#, None),
        (r#"{"stream":true,"stream_options":false}"#, None),
        (r#"{"stream":false}"#, None),
        (r#"{"stream":null}"#, None),
        (r#"{"stream":true,"stream":false}"#, None),
        ("{}", None),
        ("[true]", None),
    ] {
        for size in 1..=body.len() {
            let splice = peek_pieces("application/json", body.as_bytes(), size).ask_for_usage();
            let asked = splice.as_ref().map(|splice| spliced(body, splice));
            assert_eq!(asked.as_deref(), want, "{body} in pieces of {size}");
            if let (Some(splice), Some(asked)) = (splice, asked) {
                assert_eq!(splice.length_of(body.len() as u64), asked.len() as u64);
                assert_eq!(peek(&asked).include_usage, Some(true));
            }
        }
    }
}

#[test]
fn what_is_malformed_is_told_with_its_place() {
    for (body, offset) in [
        ("{\"a\":}", 5),
        ("{\"a\" 1}", 5),
        ("{a:1}", 1),
        ("{\"a\":1,}", 7),
        ("[1,]", 3),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("{\"a\":\"\u{1}\"}", 6),
        ("{\"a\":\"\\x\"}", 7),
        ("{\"a\":\"\\u00g0\"}", 10),
        ("{\"a\":01}", 6),
        ("{\"a\":-}", 6),
        ("{\"a\":1.}", 7),
        ("{\"a\":nul}", 8),
        ("{} x", 3),
        ("{\"a\":1", 6),
        ("nul", 3),
    ] {
        for size in 1..=body.len() {
            let peek = peek_pieces("application/json", body.as_bytes(), size);
            let found = peek.malformed().map(|malformed| malformed.offset);
            assert_eq!(found, Some(offset), "{body} in pieces of {size}");
        }
        assert!(serde_json::from_str::<Value>(body).is_err(), "{body}");
    }
    let deep = "[".repeat(PEEK_DEPTH_MAX + 1);
    let reason = peek(&deep).malformed().map(|malformed| malformed.reason);
    assert_eq!(reason, Some("nested too deeply"));
}

#[test]
fn invalid_utf8_is_found_across_pieces() {
    let body = b"{\"a\":\"\xe2\x82x\"}";
    for size in 1..=body.len() {
        let peek = peek_pieces("application/json", body, size);
        assert_eq!(peek.malformed().map(|m| m.reason), Some("invalid UTF-8"), "{size}");
    }
    let bodies: [&[u8]; 6] = [
        b"{\"a\":1\xff}",
        b"{\"a\":\"\\\xff\"}",
        b"\xff",
        b"{\"a\":\"\xf0\x9f\x8e\"}",
        b"{\"a\":tr\xe2\x82\"",
        b"7\xc3\xa9",
    ];
    for body in bodies {
        let whole = peek_pieces("application/json", body, body.len());
        assert!(whole.malformed().is_some(), "{body:?}");
        for size in 1..body.len() {
            assert_eq!(peek_pieces("application/json", body, size), whole, "{body:?}");
        }
    }
    let cut = peek_pieces("application/json", b"{\"a\":\"\xe2\x82", 3);
    assert!(cut.malformed().is_some());
}

#[test]
fn overlong_values_are_not_held() {
    let long = format!(r#"{{"model":"{}","stream":true}}"#, "x".repeat(1 << 20));
    let peek = peek(&long);
    assert_eq!((peek.model, peek.overlong, peek.stream), (None, true, Some(true)));
}

#[test]
fn bodies_without_a_content_type_are_recognised() {
    let mut peeker = Peeker::new(None);
    peeker.push(b"  ");
    peeker.push(b"\n{\"model\":\"m\"}");
    let peek = peeker.finish();
    assert_eq!((peek.model.as_deref(), peek.object_start), (Some("m"), Some(4)));
    assert_eq!(peek_pieces("audio/wav", b"RIFF", 2).format, PeekFormat::Other);
    assert_eq!(Peeker::new(None).finish(), Peek::default());
}

#[test]
fn forms_are_peeked_in_any_order() {
    let form = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n\0\r\n--\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--B--\r\n";
    for size in 1..=form.len() {
        let peek = peek_pieces("multipart/form-data; boundary=B", form, size);
        assert_eq!(peek.malformed(), None);
        assert_eq!(peek.model.as_deref(), Some("whisper-1"));
        assert_eq!(peek.stream, Some(true));
    }
    let cut = peek_pieces("multipart/form-data; boundary=B", &form[..100], 7);
    assert!(cut.malformed().is_some());
    let without = peek_pieces("multipart/form-data", form, 7);
    assert!(without.malformed().is_some());
}

#[test]
fn forms_name_objects_in_fields_and_not_in_files() {
    let part = |head: &str, value: &str| {
        format!("--B\r\nContent-Disposition: form-data; name={head}\r\n\r\n{value}\r\n")
    };
    let form = [
        part("\"video\"; filename=\"video_0.mp4\"", "video_0"),
        part("\"name\"", "cons_0"),
        part("\"consent\"", "cons_1"),
        part("\"video[id]\"", "video_1"),
        part("\"file_id\"", "file-1"),
        part("\"file_id\"", "file-1"),
        part("\"video\"", "not an id"),
    ];
    let form = form.concat() + "--B--\r\n";
    for size in [1, 7, 1000] {
        let peek = peek_pieces("multipart/form-data; boundary=B", form.as_bytes(), size);
        assert_eq!(peek.references, ["cons_1", "video_1", "file-1"]);
    }
}

#[test]
fn ids_of_objects_are_found_at_any_depth() {
    let body = r#"{"input":[{"type":"item_reference","id":"msg_1"},{"type":"message","content":[
        {"type":"input_file","file_id":"file-9"},{"type":"input_text","text":"file_id"}]},
        {"type":"function_call","id":"call_7","name":"x"}],
        "tools":[{"type":"file_search","vector_store_ids":["vs_1","vs_2",["vs_no"],{"x":"vs_no"}]},
        {"type":"code_interpreter","container":{"type":"auto","file_ids":["file-9","file-8"]}},
        {"type":"code_interpreter","container":"cntr_1"}],"validation_file":"file-7","id":"no-3"}"#;
    for size in [1, 3, 1000] {
        let peek = peek_pieces("application/json", body.as_bytes(), size);
        let found = ["msg_1", "file-9", "vs_1", "vs_2", "file-8", "cntr_1", "file-7"];
        assert_eq!(peek.references, found);
    }
    let many: Vec<String> = (0..2000).map(|n| format!("file-{n}")).collect();
    let body = serde_json::json!({ "file_ids": many }).to_string();
    let peek = peek(&body);
    assert_eq!((peek.references.len(), peek.too_many_references), (1024, true));
}

#[test]
fn items_count_as_references_only_where_they_bring_nothing_along() {
    for (item, want) in [
        (r#"{"type":"item_reference","id":"msg_1"}"#, &["msg_1"][..]),
        (r#"{"id":"msg_1","type":"item_reference","x":{"id":"rs_2","y":1}}"#, &["msg_1"]),
        (r#"{"id":"rs_1"}"#, &["rs_1"]),
        (r#"{"id":"rs_1","type":"reasoning","summary":[]}"#, &[]),
        (r#"{"id":"msg_1","id":"msg_2","type":"message"}"#, &["msg_1"]),
        (
            r#"{"type":"message","metadata":{"file_id":"file-1","a":{"id":"vs_1"}},"file_id":"file-2"}"#,
            &["file-2"],
        ),
        (r#"{"type":"file_id","id":"file-1"}"#, &["file-1"]),
        (r#"{"type":"item_reference","id":"msg_1"}"#, &["msg_1"]),
    ] {
        let body = format!(r#"{{"input":[{item}],"metadata":{{"file_id":"file-9"}}}}"#);
        for size in [1, 5, 1000] {
            let peek = peek_pieces("application/json", body.as_bytes(), size);
            assert_eq!(peek.references, want, "{body}");
            assert_eq!(peek.malformed(), None);
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u32>().prop_map(|n| Value::from(f64::from(n) / 7.0)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            members(inner).prop_map(Value::Object),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![
        Just("model"),
        Just("stream"),
        Just("stream_options"),
        Just("include_usage"),
        Just("conversation"),
        Just("id"),
        Just("n"),
        Just("max_tokens"),
        Just("x\"\\é"),
    ];
    prop::collection::vec((key, value), 0..8)
        .prop_map(|list| list.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn valid_json_is_seen_as_serde_sees_it(
        body in members(json()), pretty in any::<bool>(), cuts in prop::collection::vec(1usize..9, 1..20),
    ) {
        let body = Value::Object(body);
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
        let text = text.expect("it is JSON");
        let mut peeker = Peeker::new(Some("application/json"));
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            peeker.push(piece);
            rest = more;
        }
        let in_pieces = peeker.finish();
        prop_assert_eq!(&in_pieces, &peek(&text));
        prop_assert_eq!(in_pieces.malformed(), None);
        prop_assert_eq!(in_pieces.model.as_deref(), body["model"].as_str());
        prop_assert_eq!(in_pieces.stream, body["stream"].as_bool());
        prop_assert_eq!(in_pieces.include_usage, body["stream_options"]["include_usage"].as_bool());
        if let Some(splice) = in_pieces.ask_for_usage() {
            let asked: Value = serde_json::from_str(&spliced(&text, &splice)).expect("still JSON");
            prop_assert_eq!(&asked["stream_options"]["include_usage"], &Value::Bool(true));
            let without = |mut body: Value| {
                body.as_object_mut().expect("an object").remove("stream_options");
                body
            };
            prop_assert_eq!(without(asked), without(body.clone()));
        }
        prop_assert_eq!(in_pieces.n, body["n"].as_u64());
        prop_assert_eq!(in_pieces.max_tokens, body["max_tokens"].as_u64());
        let conversation = body["conversation"].as_str().or(body["conversation"]["id"].as_str());
        prop_assert_eq!(in_pieces.conversation.as_deref(), conversation);
    }

    #[test]
    fn any_bytes_are_judged_as_serde_judges_them(body in "[\\[\\]{}\",:0-9a-z\\\\ .eE+-]{0,24}") {
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        let malformed = peek(&body).malformed().is_some();
        prop_assert_eq!(valid || body.is_empty(), !malformed, "{}", body);
    }
}

/// Found by fuzzing.
#[test]
fn white_space_that_json_does_not_know_is_judged_the_same_however_it_is_cut() {
    let body = b"\x0c{\"{/\"Ps";
    let seen = |size: usize| {
        let mut peeker = Peeker::new(Some("text/plain"));
        body.chunks(size).for_each(|piece| peeker.push(piece));
        peeker.finish()
    };
    assert_eq!(seen(1), seen(body.len()));
    assert_eq!(seen(1).malformed(), None, "it does not pass for JSON");
}
