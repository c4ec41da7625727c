//! How interactions end, and what their rows say of it.

use std::io::Write;
use std::time::Instant;

use event::{
    AdminAction, BackendState, Dispatched, InteractionId, Json, Note, Outcome, Record, Timestamp,
};

use crate::tests::sink::MemorySink;
use crate::tests::story::{
    START_MICROS, Story, chat_stream, dispatched, entries, line, one, run, told,
};
use crate::{ErrorKind, PipelineConfig};

#[test]
fn a_chat_fills_every_column_it_has_something_for() {
    let (row, messages, sink) = one(&Story::chat(1));
    assert_eq!(row.time_generated, Timestamp::from_unix_micros(START_MICROS));
    assert_eq!((row.outcome.as_str(), row.response_code), ("complete", 200));
    assert_eq!((row.total_time, row.backend_time, row.client_time), (120, 110, 10));
    assert_eq!(row.gateway_overhead.to_string(), "1.5");
    assert_eq!(row.time_to_first_byte, Some(100));
    assert_eq!((row.backend_id.as_str(), row.attempts), ("backend-1", 1));
    assert_eq!(row.backend_response_code, Some(200));
    assert_eq!(row.user_agent, "sdk/1");
    assert_eq!(row.caller_ip_address, "10.1.2.3");
    assert_eq!(row.client_certificate_subject, "CN=ann,O=finance");
    assert_eq!(
        row.request_headers.0,
        r#"{"content-type":"application/json","user-agent":"sdk/1"}"#
    );
    assert_eq!((row.request_size, row.response_size), (400, 500));
    assert!(row.is_request_success && !row.is_stream_completion);
    assert_eq!((row.ledger_sequence, row.stream_outcome.as_str()), (6, ""));
    assert_eq!(row.model_name, "gpt-4o-2024-08-06");
    assert_eq!(row.request_id, "chatcmpl-1");
    assert_eq!(
        (row.prompt_tokens, row.completion_tokens, row.total_tokens),
        (Some(9), Some(3), Some(12))
    );
    assert_eq!(row.usage_source, "reported");
    assert_eq!(row.finish_reason, "stop");
    // 9 × 2.50 + 3 × 10.00 dollars per million
    assert_eq!(row.cost_usd.map(|cost| cost.0), Some(52_500_000));
    assert!(!row.price_version.is_empty());
    assert!(row.request_parameters.0.contains(r#""temperature":0.5"#));
    let expected = ["prompt user text: Say hi", "completion assistant text: Hi there"];
    assert_eq!(told(&sink, &messages), expected);
    assert_eq!(messages[1].sequence_number, 1);
    assert_eq!(messages[1].correlation_id, row.correlation_id);
    assert_eq!(messages[1].apim_subscription_id, "team-a");
}

#[test]
fn a_streamed_answer_tells_the_same_as_one_that_is_not() {
    let (unary, unary_messages, _) = one(&Story::chat(1));
    for pieces in [1, 7, 100_000] {
        let story = Story::chat(1).answers("text/event-stream; charset=utf-8", chat_stream());
        let (row, messages, sink) = one(&story.in_pieces(pieces));
        assert_eq!(messages, unary_messages);
        assert!(row.is_stream_completion);
        assert_eq!(row.stream_outcome, "complete");
        assert_eq!(row.usage_source, "final_chunk");
        assert_eq!(row.total_tokens, unary.total_tokens);
        assert_eq!(row.cost_usd, unary.cost_usd);
        assert_eq!(row.response_body_bytes, chat_stream().len() as i64);
        let body: serde_json::Value =
            serde_json::from_str(&sink.text(&row.response_body)).expect("the joined JSON");
        assert_eq!(body["choices"][0]["message"]["content"], "Hi there");
        assert_eq!(body["usage"]["total_tokens"], 12);
    }
}

#[test]
fn the_first_token_is_the_first_output_of_a_stream_and_not_its_first_piece() {
    let streamed = Story::chat(1).answers("text/event-stream", chat_stream()).in_events();
    let (row, _, _) = one(&streamed);
    // Behind what was asked, where it went, that it was answered, and who speaks.
    assert_eq!((row.time_to_first_byte, row.time_to_first_token), (Some(100), Some(106)));
    let (interrupted, _, _) = one(&streamed.ends(Outcome::Interrupted, 0));
    assert_eq!((interrupted.time_to_first_token, interrupted.total_time), (Some(106), 106));

    let mut late = Story::chat(1).answers("text/event-stream", chat_stream());
    late.closed.closed_at = Timestamp::from_unix_micros(START_MICROS + 104_000);
    let (row, _, _) = one(&late);
    assert_eq!((row.time_to_first_token, row.total_time), (Some(104), 104), "no more than all");

    let role = chat_stream().split_inclusive("\n\n").next().expect("an event").to_owned();
    for story in [Story::chat(1), Story::chat(1).answers("text/event-stream", role)] {
        assert_eq!(one(&story).0.time_to_first_token, None);
    }
}

#[test]
fn the_first_token_of_a_compressed_stream_is_dated_too() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut pieces = Vec::new();
    for event in chat_stream().split_inclusive("\n\n") {
        gzip.write_all(event.as_bytes()).and_then(|()| gzip.flush()).expect("memory takes it");
        pieces.push(std::mem::take(gzip.get_mut()));
    }
    let mut story = Story::chat(1).answers("text/event-stream", "");
    story = story.answer_header("content-encoding", "gzip");
    story.response = pieces;
    assert_eq!(one(&story).0.time_to_first_token, Some(106));
}

#[test]
fn a_cut_stream_keeps_what_came_and_says_so() {
    let whole = chat_stream();
    let cut = &whole[..whole.find("there").expect("it is said")];
    for (outcome, expected) in [
        (Outcome::ClientGone, "client_abort"),
        (Outcome::BackendFailed, "backend_abort"),
        (Outcome::Interrupted, "gateway_abort"),
        (Outcome::GatewayFailed, "gateway_abort"),
    ] {
        let story = Story::chat(1).answers("text/event-stream", cut).ends(outcome, 200);
        let (row, messages, sink) = one(&story);
        assert_eq!(row.stream_outcome, expected);
        assert!(row.is_stream_completion);
        assert!(told(&sink, &messages).contains(&"completion assistant text: Hi ".to_owned()));
    }
}

#[test]
fn an_error_under_the_name_of_a_stream_is_shown_as_it_is() {
    let error = r#"{"error":{"code":"429","message":"slow down"}}"#;
    let story = Story::chat(1).answers("text/event-stream", error).ends(Outcome::Complete, 429);
    let (row, _, sink) = one(&story.in_pieces(3));
    assert_eq!(sink.text(&row.response_body), error);
    assert!(!row.is_stream_completion && !row.is_request_success);
    assert_eq!(row.prompt_tokens, None, "an error used no tokens");
    assert_eq!(row.cost_usd, None);
}

#[test]
fn an_error_inside_a_stream_becomes_the_last_error() {
    let stream = "data: {\"error\":{\"code\":\"overloaded\",\"message\":\"busy\"}}\n\n";
    let (row, _, _) = one(&Story::chat(1).answers("text/event-stream", stream));
    assert_eq!(row.last_error_reason, "overloaded");
    assert_eq!(row.stream_outcome, "backend_abort");
}

#[test]
fn of_two_attempts_at_once_the_answered_one_is_shown() {
    for (answered, backend) in [(0, "late"), (1, "backend-1"), (2, "late")] {
        let mut story = Story::chat(1);
        story.answered.as_mut().expect("it is answered").attempt = answered;
        let mut frames = story.frames();
        let place = frames.iter().position(|frame| frame.kind == event::Kind::Answered);
        let late = Dispatched { backend_id: "late".into(), ..dispatched(2) };
        let late = Record::Dispatched(Box::new(late)).encode(frames[0].interaction);
        frames.insert(place.expect("it is answered"), late);
        let sink = run(frames);
        let row = &sink.interactions()[0];
        assert_eq!((row.backend_id.as_str(), row.attempts), (backend, 2));
    }
}

#[test]
fn a_backends_state_is_a_row_of_its_own_table() {
    let at = Timestamp::from_unix_micros(START_MICROS);
    let state = BackendState {
        noted_at: at,
        backend_id: "east".into(),
        backend_url: "https://east.test".into(),
        scope: "deployment".into(),
        deployment: "gpt-4o".into(),
        state: "open".into(),
        former_state: "closed".into(),
        reason: "server_error".into(),
        message: "three in a row".into(),
        status: Some(503),
        failures: 3,
        in_flight: 7,
        until: Some(Timestamp::from_unix_micros(START_MICROS + 1_000_000)),
        is_periodic: false,
        unnoted: 2,
        region: "here".into(),
    };
    let id = InteractionId::mint(at, [1; 10]);
    let sink = run([Record::BackendState(Box::new(state)).encode(id)]);
    assert!(sink.interactions().is_empty());
    let batch = sink.state().batches[0].clone();
    let [row] = &batch.backend_health[..] else { panic!("{batch:?}") };
    assert_eq!((row.backend_id.as_str(), row.deployment_name.as_str()), ("east", "gpt-4o"));
    assert_eq!((row.state.as_str(), row.former_state.as_str()), ("open", "closed"));
    assert_eq!((row.response_code, row.failures, row.in_flight), (Some(503), 3, 7));
    assert_eq!(row.until.map(|until| until.millis_since(at)), Some(1_000));
    assert_eq!((row.unnoted_changes, row.ledger_sequence), (2, 1));
    assert_eq!(batch.cursor.applied, 1);
}

#[test]
fn a_note_is_a_row_of_its_own_table() {
    let at = Timestamp::from_unix_micros(START_MICROS);
    let action = AdminAction {
        time_generated: at,
        operation_name: "subscriptions/update".into(),
        target_id: "team".into(),
        after: Json(r#"{"state":"suspended"}"#.into()),
        ..AdminAction::default()
    };
    let record = Record::Note(Box::new(Note::AdminAction(action.clone())));
    let sink = run([record.encode(InteractionId::mint(at, [1; 10]))]);
    let batch = sink.state().batches[0].clone();
    let row = AdminAction { ledger_sequence: 1, ..action };
    assert_eq!(batch.notes, [Note::AdminAction(row)]);
    assert_eq!(batch.cursor.applied, 1);
}

#[test]
fn a_refused_request_is_a_row() {
    let mut story =
        Story::chat(3).ends(Outcome::Refused, 401).fails("authenticate", "SubscriptionKeyNotFound");
    story.closed.own_body = r#"{"error":{"code":"401","message":"who are you"}}"#.into();
    let sink = run([story.refused_frame()]);
    let rows = sink.interactions();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.outcome.as_str(), row.response_code, row.attempts), ("refused", 401, 0));
    assert_eq!(row.last_error_reason, "SubscriptionKeyNotFound");
    assert_eq!(row.last_error_elapsed, Some(42));
    assert!(row.errors.0.starts_with(r#"[{"source":"authenticate","#), "{}", row.errors.0);
    assert_eq!(sink.text(&row.response_body), story.closed.own_body);
    assert_eq!(row.response_body_sha256.len(), 64);
    assert_eq!((row.backend_response_code, row.cost_usd), (None, None));
    assert_eq!(sink.state().batches[0].cursor.applied, 1);
}

#[test]
fn an_interrupted_request_keeps_its_prompt_and_ends_when_last_heard_of() {
    let mut story = Story::chat(1).ends(Outcome::Interrupted, 0);
    story.answered = None;
    story.response.clear();
    story.closed.closed_at = Timestamp::from_unix_micros(START_MICROS + 3_600_000_000);
    story.closed.request_bytes = 0;
    let (row, messages, sink) = one(&story);
    assert_eq!((row.outcome.as_str(), row.total_time), ("interrupted", 2));
    assert_eq!(row.request_size, 300 + row.request_body_bytes);
    assert_eq!(sink.text(&row.response_body), "");
    assert_eq!(row.response_body_sha256, "");
    assert_eq!(told(&sink, &messages), ["prompt user text: Say hi"]);
}

#[test]
fn only_the_last_attempt_is_the_answer() {
    let story = Story::chat(1);
    let mut frames = story.frames();
    let failed = Story::chat(1).answers("application/json", r#"{"error":{"code":"500"}}"#);
    let first_attempt = failed.frames()[3..5].to_vec();
    let second = Record::Dispatched(Box::new(dispatched(2))).encode(story.id);
    frames.splice(3..3, first_attempt.into_iter().chain([second]));
    let sink = run(frames);
    let row = sink.interactions().remove(0);
    assert_eq!((row.backend_id.as_str(), row.attempts), ("backend-2", 2));
    assert_eq!(row.finish_reason, "stop");
    let tried: serde_json::Value = serde_json::from_str(&row.backend_attempts.0).expect("JSON");
    let told = |at: usize| (tried[at]["BackendId"].clone(), tried[at]["Status"].clone());
    assert_eq!(told(0), ("backend-1".into(), 200.into()));
    assert_eq!(told(1), ("backend-2".into(), 200.into()));
    assert!(tried[0]["SentAfter"].as_f64().expect("a number") >= 0.0, "{tried}");
}

#[test]
fn a_damaged_frame_costs_what_it_held_and_not_the_interaction() {
    let story = Story::chat(1);
    for damaged in [0, 2, 3, 5] {
        let mut frames = story.frames();
        frames[damaged].payload = bytes::Bytes::from_static(b"{");
        let sink = run(frames);
        let rows = sink.interactions();
        assert_eq!(rows.len(), 1, "frame {damaged}");
        assert_eq!(rows[0].last_error_reason, "RecordDamaged");
        assert_eq!(rows[0].time_generated.unix_millis(), START_MICROS / 1_000);
        assert!(sink.text(&rows[0].request_body).contains("Say hi"));
    }
}

#[test]
fn an_end_without_beginning_is_a_row_that_says_so() {
    let frames = Story::chat(1).frames().split_off(4);
    let sink = run(frames);
    let rows = sink.interactions();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].last_error_reason, "RecordIncomplete");
    assert_eq!(rows[0].correlation_id, Story::chat(1).id.to_string());
}

#[test]
fn what_a_sink_refuses_is_kept_and_a_refused_blob_is_an_error_to_begin_again_from() {
    let sink = MemorySink::default();
    let work_dir = tempfile::tempdir().expect("a folder");
    let mut line = line(&sink, PipelineConfig::default(), work_dir.path());
    let long = Story::chat(1).asks("x".repeat(100_000));
    sink.state().refusals = 2;
    sink.state().blob_refusals = 1;
    let mut failed = None;
    for entry in entries(long.frames()) {
        failed = failed.or(line.take(entry, Instant::now()).err());
    }
    assert_eq!(failed.map(|error| error.kind()), Some(ErrorKind::Sink));
    line.rewind();
    for entry in entries(long.frames()) {
        line.take(entry, Instant::now()).expect("the blob is taken now");
    }
    line.flush().expect("the third attempt is taken");
    let rows = sink.interactions();
    assert_eq!(rows.len(), 1);
    assert_eq!(sink.bytes(&rows[0].request_body).len(), 100_000);
}
