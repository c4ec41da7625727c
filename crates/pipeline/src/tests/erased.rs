//! Tables made anew from a ledger that content was erased from.

use std::time::Instant;

use bytes::Bytes;
use event::{Frame, Interaction, Kind, Outcome, SessionEnd};
use ledger::Entry;

use crate::PipelineConfig;
use crate::tests::sink::MemorySink;
use crate::tests::story::{Story, chat_stream, entries, line, run};

/// The frames as the ledger reads them once those of some kinds are erased.
fn without(frames: Vec<Frame>, kinds: &[Kind]) -> Vec<Entry> {
    let mut read = entries(frames);
    for entry in read.iter_mut().filter(|entry| kinds.contains(&entry.frame.kind)) {
        let gone = std::mem::replace(&mut entry.frame.payload, Bytes::new());
        entry.erased_bytes = u32::try_from(gone.len()).ok();
    }
    read
}

const BODIES: [Kind; 2] = [Kind::RequestChunk, Kind::ResponseChunk];

fn run_entries(read: Vec<Entry>) -> MemorySink {
    let sink = MemorySink::default();
    let work_dir = tempfile::tempdir().expect("a folder");
    let config = PipelineConfig { body_memory_bytes_max: 16, ..PipelineConfig::default() };
    let mut line = line(&sink, config, work_dir.path());
    for entry in read {
        line.take(entry, Instant::now()).expect("the sink takes it");
    }
    line.flush().expect("the sink takes it");
    sink
}

/// The row of a story whose bodies were erased; it has no messages, and nothing was written beside it.
fn erased(story: &Story, kinds: &[Kind]) -> Interaction {
    let sink = run_entries(without(story.frames(), kinds));
    assert!(sink.messages().is_empty());
    assert!(sink.state().blobs.is_empty());
    let mut rows = sink.interactions();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

/// What the row says where nothing was erased, without its content and what only bodies tell.
fn expected(story: &Story) -> Interaction {
    let mut row = run(story.frames()).interactions().remove(0);
    row.erase_content();
    Interaction {
        model_name: story.opened.target.model.clone(),
        request_id: String::new(),
        finish_reason: String::new(),
        usage_source: String::new(),
        price_version: String::new(),
        prompt_tokens: None,
        completion_tokens: None,
        total_tokens: None,
        cost_usd: None,
        time_to_first_token: None,
        ..row
    }
}

#[test]
fn an_erased_chat_keeps_who_when_and_how_much_and_claims_nothing_of_what_it_said() {
    let whole = Story::chat(1).in_pieces(20);
    for story in [
        whole.clone(),
        whole.clone().answers("text/event-stream", chat_stream()).in_pieces(9),
        whole.clone().ends(Outcome::ClientGone, 200),
        whole.clone().fails("forward-request", "BackendConnectionFailure"),
        // It would be called cut, or no JSON, if its pieces had only been lost.
        whole.clone().answer_header("content-encoding", "gzip"),
        whole.asks_as("multipart/form-data; boundary=x", "--x\r\n\r\nhi\r\n--x--"),
    ] {
        let row = erased(&story, &BODIES);
        assert_eq!(row, expected(&story));
        assert!(row.is_content_erased && row.request_body_bytes > 0 && row.response_body_bytes > 0);
    }
}

#[test]
fn what_an_erasure_that_was_cut_short_left_is_not_shown_either() {
    let story = Story::chat(1).in_pieces(20);
    for kinds in [[Kind::RequestChunk], [Kind::ResponseChunk]] {
        assert_eq!(erased(&story, &kinds), expected(&story));
    }
}

#[test]
fn an_erased_answer_of_an_attempt_that_was_given_up_does_not_count() {
    let mut story = Story::chat(1);
    let mut frames = story.frames();
    let again: Vec<_> = frames[2..4].to_vec();
    // Dispatched, answered, a piece; then dispatched and answered again.
    frames.splice(5..5, again.into_iter().chain([frames[4].clone()]));
    let sink = run_entries(without(frames, &BODIES));
    let row = sink.interactions().remove(0);
    assert_eq!(row.response_body_bytes, story.response.concat().len() as i64);

    // The gateway's own answer took its place.
    story.closed.own_body = r#"{"error":{"code":"502"}}"#.into();
    let row = erased(&story, &BODIES);
    assert_eq!(row.response_body_bytes, story.closed.own_body.len() as i64);
    assert_eq!(row, expected(&story));
}

#[test]
fn an_erased_session_is_still_one() {
    let mut story = Story::of("realtime", "realtime", "Realtime", "wss://gw.example/realtime");
    story.closed.status = 101;
    let end = SessionEnd { close_reason: "said enough".into(), ..SessionEnd::default() };
    story.closed.session = Some(end);
    let mut frames = story.frames();
    let message = |kind: Kind| Frame {
        interaction: story.id,
        kind,
        payload: Bytes::from_static(b"\x31\0\0\0\0\0\0\0\0{\"type\":\"said\"}"),
    };
    frames.splice(2..2, [message(Kind::ClientMessage), message(Kind::ServerMessage)]);
    let sink = run_entries(without(frames, &[Kind::ClientMessage, Kind::ServerMessage]));
    let row = sink.interactions().remove(0);
    assert!(row.is_content_erased && row.is_stream_completion && row.is_request_success);
    assert_eq!((row.stream_outcome.as_str(), row.outcome.as_str()), ("complete", "complete"));
    assert!(row.request_parameters.0.is_empty() && row.last_error_reason.is_empty());
    assert!(sink.messages().is_empty());
}
