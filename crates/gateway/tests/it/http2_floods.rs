//! HTTP/2 clients that flood or break the rules: their connection ends, others are unhurt, and what
//! can be told is recorded.

use std::time::Duration;

use event::Outcome;
use simulator::Simulator;

use crate::frames::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, chat_lines, frame,
};
use crate::support::{CHAT, HELLO, Setup, World, post, scripted, simulator, with_header};

async fn world() -> (Simulator, World) {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    (backend, world)
}

fn has_goaway(frames: &[crate::frames::Frame]) -> bool {
    frames.iter().any(|frame| frame.0 == GOAWAY)
}

async fn is_served(world: &World) {
    assert_eq!(world.call(post(CHAT, HELLO)).await.status, 200);
    assert_eq!(world.call_http2(post(CHAT, HELLO)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_over_the_limit_gets_the_gateways_own_answer_and_a_record() {
    let (_backend, world) = world().await;
    let long = with_header(post(CHAT, HELLO), "x-long", &"a".repeat(40_000));
    let mut many = post(CHAT, HELLO);
    for number in 0..120 {
        many.headers_mut().append("x-many", number.into());
    }
    for (place, request) in [long, many].into_iter().enumerate() {
        let answer = world.call_http2(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (431, "RequestHeaderFieldsTooLarge"));
        let stories = world.stories();
        assert_eq!(stories.len(), place + 1);
        assert_eq!(
            (stories[place].end().status, stories[place].start().protocol.as_str()),
            (431, "HTTP/2")
        );
        assert!(stories[place].start().url.ends_with(CHAT));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_far_over_the_limit_is_recorded_though_the_library_answers_it() {
    let (_backend, world) = world().await;
    let long = with_header(post(CHAT, HELLO), "x-long", &"a".repeat(140_000));
    assert_eq!(world.call_http2(long).await.status, 431);
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.end().outcome, Outcome::Refused);
    let error = &story.end().errors[0];
    assert_eq!((story.end().status, error.reason.as_str()), (431, "RequestHeaderFieldsTooLarge"));
    assert!(error.message.contains("1 HTTP/2 requests"), "{error:?}");
    is_served(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_no_request_is_recorded_and_its_neighbours_are_served() {
    let (_backend, world) = world().await;
    let mut client = Client::connect(&world).await;
    let mut lines = chat_lines();
    lines.push((b"transfer-encoding", b"chunked"));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&lines))).await;
    while client.next().await.expect("the stream is reset").0 != RST_STREAM {}
    client.send(&frame(HEADERS, END_HEADERS, 3, &block(&chat_lines()))).await;
    client.send(&frame(DATA, END_STREAM, 3, HELLO.as_bytes())).await;
    while client.next().await.expect("the stream is answered").0 != HEADERS {}
    let stories = world.ended(2).await;
    // The two are recorded beside each other: either may be first.
    let (answered, refused) = stories.iter().partition::<Vec<_>, _>(|s| s.end().status == 200);
    assert_eq!((answered.len(), refused.len()), (1, 1));
    let reasons: Vec<_> = refused[0].end().errors.iter().map(|e| e.reason.as_str()).collect();
    assert_eq!(reasons, ["RequestNotRead"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_reset_at_once_end_the_connection_and_are_recorded() {
    let (_backend, world) = world().await;
    let client = Client::connect(&world).await;
    let mut bytes = Vec::new();
    for stream in (1..4_000).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &block(&chat_lines())));
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    assert!(has_goaway(&client.flood(bytes).await));
    is_served(&world).await;
    let stories = world.ended(3).await;
    let unread = stories.iter().filter(|story| story.start().url.is_empty()).count();
    assert!(unread > 0, "{stories:?}");
    assert!(stories.len() < 100, "{} records", stories.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_reset_one_by_one_end_the_connection_too() {
    let backend = scripted(|_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let world = Setup::before(&[backend])
        .with(|config| {
            config.edge.streams_max = 4;
            config.edge.stream_resets_max = 30;
            config.capture.drain_ms_max = 1_000;
        })
        .start()
        .await;
    let mut client = Client::connect(&world).await;
    let mut answered = 0;
    for stream in (1..).step_by(2) {
        client.send(&frame(HEADERS, END_HEADERS, stream, &block(&chat_lines()))).await;
        client.send(&frame(DATA, END_STREAM, stream, HELLO.as_bytes())).await;
        // It is under way before it is reset.
        while world.gateway.status().received < u64::from(stream.div_ceil(2)) {
            tokio::task::yield_now().await;
        }
        if stream < 20 {
            client.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).await;
            continue;
        }
        // Eight that were given up are under way: the next is refused, and told so.
        while answered == 0 {
            let (kind, _, id, _) = client.next().await.expect("an answer");
            answered += u32::from(kind == HEADERS && id == stream);
        }
        break;
    }
    let many: Vec<u8> = (0..40).flat_map(|_| frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).collect();
    assert!(has_goaway(&client.flood(many).await));
    let stories = world.ended(11).await;
    let busy = stories.iter().filter(|story| story.end().status == 429).count();
    assert!(busy >= 1, "{stories:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_head_ends_the_connection_and_is_recorded() {
    let (_backend, world) = world().await;
    let client = Client::connect(&world).await;
    let mut bytes = frame(HEADERS, 0, 1, &block(&chat_lines()));
    for number in 0..2_000_u32 {
        let name = format!("x-{number}");
        bytes.extend(frame(CONTINUATION, 0, 1, &block(&[(name.as_bytes(), b"y")])));
    }
    assert!(has_goaway(&client.flood(bytes).await));
    is_served(&world).await;
    let stories = world.ended(3).await;
    assert_eq!(stories.len(), 3);
    assert_eq!(stories.iter().filter(|story| story.end().status == 400).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_use_end_the_connection() {
    let (_backend, world) = world().await;
    let empty = frame(HEADERS, END_HEADERS, 1, &block(&chat_lines()));
    for (start, flood) in [
        (Vec::new(), frame(PING, 0, 0, &[0; 8])),
        (Vec::new(), frame(SETTINGS, 0, 0, &[])),
        (Vec::new(), frame(2, 0, 1, &[0, 0, 0, 5, 1])),
        (Vec::new(), frame(99, 0, 0, b"unknown")),
        (empty, frame(DATA, 0, 1, &[])),
    ] {
        let client = Client::connect(&world).await;
        let frames = client.flood([start, flood.repeat(20_000)].concat()).await;
        assert!(has_goaway(&frames), "{flood:?}: {} frames", frames.len());
        assert!(frames.len() < 7_000, "{}", frames.len());
        is_served(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_at_rest_is_ended_politely() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| config.edge.idle_timeout_ms = 300)
        .start()
        .await;
    let mut client = Client::connect(&world).await;
    client.send(&frame(HEADERS, END_HEADERS, 1, &block(&chat_lines()))).await;
    client.send(&frame(DATA, END_STREAM, 1, HELLO.as_bytes())).await;
    let frames = tokio::spawn(async move {
        let mut frames = Vec::new();
        while let Some(frame) = client.next().await {
            if frame.0 == PING && frame.1 == 0 {
                client.send(&crate::frames::frame(PING, 1, 0, &frame.3)).await;
            }
            frames.push(frame);
        }
        frames
    });
    let frames = tokio::time::timeout(Duration::from_secs(20), frames).await.unwrap().unwrap();
    let kinds: Vec<u8> = frames.iter().map(|frame| frame.0).collect();
    let goaway = kinds.iter().position(|kind| *kind == GOAWAY).expect("a goodbye");
    assert!(kinds[..goaway].contains(&HEADERS), "the call was answered first: {kinds:?}");
    assert_eq!(world.stories().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_is_given_up_and_never_seen_as_complete() {
    let backend = scripted(|head, mut stream| async move {
        use tokio::io::AsyncWriteExt;
        let start =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        stream.write_all(start.as_bytes()).await.unwrap();
        let pieces = if head.contains("x-endless") { 100_000 } else { 1 };
        let piece = format!("data: {}\n\n", "x".repeat(1000));
        for _ in 0..pieces {
            if stream.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
        }
    })
    .await;
    let world = Setup::before(&[backend])
        .with(|config| {
            config.edge.answer_stall_timeout_ms = 300;
            config.capture.drain_ms_max = 300;
        })
        .start()
        .await;
    let mut client = Client::connect(&world).await;
    let mut lines = chat_lines();
    lines.push((b"x-endless", b"1"));
    // The window of a stream is 64 KiB, and this client never opens it further.
    client.send(&frame(HEADERS, END_HEADERS, 1, &block(&lines))).await;
    client.send(&frame(DATA, END_STREAM, 1, HELLO.as_bytes())).await;
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.end().outcome, Outcome::ClientGone);
    assert_eq!(world.call(post(CHAT, HELLO)).await.status, 200);
    // Should it read on after all, it must not take what it has for the whole.
    for stream in [0, 1] {
        client.send(&frame(WINDOW_UPDATE, 0, stream, &(16_u32 << 20).to_be_bytes())).await;
    }
    loop {
        let (kind, flags, stream, _) = client.next().await.expect("the stream is broken off");
        if (kind, stream) == (RST_STREAM, 1) {
            break;
        }
        assert!(kind != DATA || flags & END_STREAM == 0, "it ends as if it were whole");
    }
}
