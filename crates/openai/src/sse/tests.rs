//! Cases of `sse`.

use proptest::prelude::*;

use super::*;

type Owned = (String, String, Option<String>, Option<u64>);

fn parse(pieces: &[&[u8]], limit: usize) -> (Vec<Owned>, u64) {
    let mut parser = SseParser::with_limit(limit);
    let mut events = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut sink = |event: SseEvent<'_>| {
        events.push((text(event.name), text(event.data), event.id.map(text), event.retry));
    };
    for piece in pieces {
        parser.push(piece, &mut sink);
    }
    parser.finish(&mut sink);
    (events, parser.oversized())
}

fn event(name: &str, data: &str) -> Owned {
    (name.into(), data.into(), None, None)
}

const STREAM: &str = "\u{feff}: hello\ndata: {\"a\":\"é\"}\n\nevent: x\r\ndata: one\r\ndata:two\r\n\r\nid: 7\rretry: 20\rdata\r\rdata: [DONE]\n\nevent: lost\n\nunknown: 1\ndata:  two spaces\nevent: y\n\ndata: cut";

fn expected() -> Vec<Owned> {
    vec![
        event("", "{\"a\":\"é\"}"),
        event("x", "one\ntwo"),
        ("".into(), "".into(), Some("7".into()), Some(20)),
        event("", "[DONE]"),
        event("y", " two spaces"),
        event("", "cut"),
    ]
}

#[test]
fn any_piece_size_gives_the_same_events() {
    let bytes = STREAM.as_bytes();
    for size in 1..=bytes.len() {
        let pieces: Vec<_> = bytes.chunks(size).collect();
        assert_eq!(parse(&pieces, 1000), (expected(), 0), "pieces of {size}");
    }
}

#[test]
fn an_event_within_one_piece_is_not_copied() {
    let piece = b"event: delta\ndata: {\"x\":1}\n\n".to_vec();
    let range = piece.as_ptr_range();
    let mut parser = SseParser::new();
    let mut seen = 0;
    parser.push(&piece, |event| {
        seen += 1;
        assert!(range.contains(&event.data.as_ptr()));
        assert!(range.contains(&event.name.as_ptr()));
    });
    assert_eq!(seen, 1);
}

#[test]
fn oversized_events_are_dropped_and_counted() {
    let big = format!("data: {}\n\ndata: ok\n\n", "x".repeat(100));
    let lines = format!("{}\ndata: ok\n\n", "data: 12345678\n".repeat(10));
    for text in [big, lines] {
        for size in 1..=text.len() {
            let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
            assert_eq!(parse(&pieces, 64), (vec![event("", "ok")], 1), "pieces of {size}");
        }
    }
}

#[test]
fn carriage_returns_at_the_end_of_a_piece_do_not_end_two_lines() {
    let pieces: [&[u8]; 4] = [b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"];
    assert_eq!(parse(&pieces, 100).0, [event("", "a\nb")]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn cuts_never_matter(
        text in "(data|event|id|retry|x)?(:| |\\r|\\n|\\r\\n|\\n\\n|a|é|7|\u{feff}|\0|data: |event: ){0,40}",
        cuts in prop::collection::vec(0usize..6, 1..20),
    ) {
        let mut pieces = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle().take(1000) {
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        prop_assert_eq!(parse(&pieces, 30), parse(&[text.as_bytes()], 30));
    }
}
