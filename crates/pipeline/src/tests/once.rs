//! Exactly once: whatever crashes and refuses, every interaction is in the tables one time.

use std::sync::Arc;
use std::time::Instant;

use event::{
    BackendHealth, BackendState, Batch, Frame, Interaction, InteractionId, Message, Outcome,
    Record, Timestamp,
};
use proptest::prelude::*;

use crate::PipelineConfig;
use crate::enrich::Enricher;
use crate::tests::sink::MemorySink;
use crate::tests::story::{Story, chat_stream, entries, line_with};

/// What happens behind a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    Flush,
    /// The batch becomes visible and durable.
    FlushDurably,
    /// The sink refuses the batch; the thread begins again.
    Refuse,
    /// The process ends.
    Crash,
}

fn story(number: u8, shape: u8) -> Vec<Frame> {
    let story = Story::chat(number);
    match shape {
        0 => story.frames(),
        1 => story.answers("text/event-stream", chat_stream()).in_pieces(200).frames(),
        2 => vec![story.ends(Outcome::Refused, 429).refused_frame()],
        3 => story.asks("z".repeat(3_000)).in_pieces(400).frames(),
        4 => vec![backend_state(number)],
        // Still open when all is read: it is in no table, and nothing waits for it.
        _ => {
            let mut frames = story.frames();
            frames.pop();
            frames
        }
    }
}

fn backend_state(number: u8) -> Frame {
    let at = Timestamp::from_unix_micros(i64::from(number));
    let state = BackendState {
        noted_at: at,
        backend_id: format!("b{number}"),
        state: "open".into(),
        former_state: "closed".into(),
        status: Some(503),
        until: Some(at),
        ..BackendState::default()
    };
    Record::BackendState(Box::new(state)).encode(InteractionId::mint(at, [number; 10]))
}

/// Interleaves stories: each pick takes the next frame of one that is not at its end.
fn interleave(mut stories: Vec<Vec<Frame>>, picks: &[prop::sample::Index]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for pick in picks.iter().cycle() {
        stories.retain(|story| !story.is_empty());
        if stories.is_empty() {
            return frames;
        }
        let story = pick.index(stories.len());
        frames.push(stories[story].remove(0));
    }
    frames
}

fn config() -> PipelineConfig {
    PipelineConfig {
        inline_bytes_max: 512,
        body_memory_bytes_max: 1_024,
        memory_bytes_max: 4_096,
        ..PipelineConfig::default()
    }
}

fn run(enricher: &Arc<Enricher>, frames: &[Frame], events: &[Event]) -> MemorySink {
    let entries = entries(frames.iter().cloned());
    let sink = MemorySink::default();
    let work_dir = tempfile::tempdir().expect("a folder");
    let mut worker = line_with(enricher, &sink, config(), work_dir.path());
    let mut events = events.iter().copied();
    let mut at = 0;
    while at < entries.len() {
        worker.take(entries[at].clone(), Instant::now()).expect("it is taken");
        at += 1;
        match events.next().unwrap_or(Event::Nothing) {
            Event::Nothing => {}
            Event::Flush => worker.flush().expect("it is written"),
            Event::FlushDurably => {
                worker.flush().expect("it is written");
                sink.make_durable();
            }
            Event::Refuse => {
                worker.rewind();
                at = worker.next_sequence() as usize - 1;
            }
            Event::Crash => {
                drop(worker);
                sink.crash();
                worker = line_with(enricher, &sink, config(), work_dir.path());
                at = worker.next_sequence() as usize - 1;
            }
        }
    }
    worker.flush().expect("it is written");
    sink
}

fn rows(sink: &MemorySink) -> (Vec<Interaction>, Vec<Message>, Vec<BackendHealth>) {
    let health = sink.state().batches.iter().flat_map(|b| b.backend_health.clone()).collect();
    (sink.interactions(), sink.messages(), health)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => Just(Event::Nothing),
        2 => Just(Event::Flush),
        2 => Just(Event::FlushDurably),
        1 => Just(Event::Refuse),
        1 => Just(Event::Crash),
    ];
    prop::collection::vec(event, 0..120)
}

#[test]
fn every_interaction_is_in_the_tables_once_whatever_crashes() {
    let enricher = Arc::new(Enricher::new());
    let shapes = prop::collection::vec(0u8..6, 1..7);
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 1..40);
    let check = |(shapes, picks, events): (Vec<u8>, Vec<_>, Vec<Event>)| {
        let ended = shapes.iter().filter(|shape| **shape < 4).count();
        let stories = shapes.iter().zip(1..).map(|(shape, number)| story(number, *shape)).collect();
        let frames = interleave(stories, &picks);
        let calm = rows(&run(&enricher, &frames, &[]));
        prop_assert_eq!(calm.0.len(), ended);
        prop_assert_eq!(calm.2.len(), shapes.iter().filter(|shape| **shape == 4).count());
        let sink = run(&enricher, &frames, &events);
        prop_assert_eq!(rows(&sink), calm);
        // A cursor never goes back, and never past what is still open.
        let cursors: Vec<_> =
            sink.state().batches.iter().map(|batch: &Batch| batch.cursor).collect();
        for pair in cursors.windows(2) {
            prop_assert!(pair[0].applied < pair[1].applied);
            prop_assert!(pair[0].resume_from <= pair[1].resume_from);
        }
        Ok(())
    };
    let config =
        ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&(shapes, picks, events()), check).expect("exactly once");
}
