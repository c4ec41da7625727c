//! What is refused: status, shape, headers and record.

use bytes::Bytes;
use event::Outcome;
use gateway::ErrorShape;
use http::Request;
use http_body_util::Full;

use crate::support::{
    CHAT, HELLO, KEY, NARROW_KEY, SUSPENDED_KEY, Setup, World, post, simulator, with_header,
};

fn bare(target: &str) -> Request<Full<Bytes>> {
    let mut request = post(target, HELLO);
    request.headers_mut().remove("api-key");
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_found_in_every_carrier() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let bearer = format!("Bearer {KEY}");
    let calls = [
        with_header(bare(CHAT), "api-key", KEY),
        with_header(bare(CHAT), "ocp-apim-subscription-key", KEY),
        with_header(bare(CHAT), "authorization", &bearer),
        bare(&format!("{CHAT}&subscription-key={KEY}")),
        bare(&format!("{CHAT}&api-key={KEY}")),
    ];
    for call in calls {
        let shown = format!("{call:?}");
        assert_eq!(world.call(call).await.status, 200, "{shown}");
    }
    let header_first = with_header(bare(&format!("{CHAT}&api-key={KEY}")), "api-key", "wrong");
    assert_eq!(world.call(header_first).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_shape_that_sdks_read_and_are_records() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| config.backends[0].deployments = vec!["gpt-4o".into()])
        .start()
        .await;
    let other = "/openai/deployments/nothing/chat/completions?api-version=2024-10-21";
    let v1 = "/openai/v1/chat/completions";
    let v1_other = r#"{"model":"nothing","messages":[]}"#;
    let cases: Vec<(Request<Full<Bytes>>, u16, &str, &str)> = vec![
        (bare(CHAT), 401, "SubscriptionKeyNotFound", "missing subscription key"),
        (with_header(bare(CHAT), "api-key", "x"), 401, "SubscriptionKeyInvalid", "invalid"),
        (with_header(bare(CHAT), "api-key", SUSPENDED_KEY), 401, "SubscriptionKeyInvalid", ""),
        (with_header(bare(CHAT), "api-key", NARROW_KEY), 403, "OperationNotAllowed", "product"),
        (post(other, HELLO), 404, "DeploymentNotFound", "gpt-4o"),
        (post(v1, v1_other), 404, "DeploymentNotFound", "model"),
        (post("/nowhere/at/all", HELLO), 404, "OperationNotFound", "base URL"),
        (post("/v1/v1/chat/completions", HELLO), 404, "OperationNotFound", "/v1/chat/completions"),
        (post(CHAT, "{\"messages\": [1,}"), 400, "BadRequest", "byte 16"),
    ];
    let mut refused = 0;
    for (request, status, code, words) in cases {
        let shown = format!("{request:?}");
        let answer = world.call(request).await;
        refused += 1;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{shown}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{message}");
        assert_eq!(answer.headers["x-should-retry"], "false");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
    let stories: Vec<_> = world
        .stories()
        .into_iter()
        .filter(|story| story.end().outcome == Outcome::Refused)
        .collect();
    assert_eq!(stories.len(), refused);
    let reasons = |story: &crate::support::Story| story.end().errors[0].reason.clone();
    assert!(stories.iter().any(|story| reasons(story) == "BaseUrlDoubled"));
    for story in &stories {
        assert_eq!(story.end().errors.len(), 1, "{story:?}");
        assert!(story.end().own_body.contains(&story.end().errors[0].reason));
        assert!(story.dispatched.is_empty());
    }
    let malformed = stories.iter().find(|story| story.end().status == 400).unwrap();
    assert_eq!(malformed.request, b"{\"messages\": [1,}", "the body stands as it was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_no_encoding_is_refused_with_its_offset_and_recorded_as_sent() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let mut request = post(CHAT, "");
    let body = Bytes::from_static(b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}");
    *request.body_mut() = Full::new(body.clone());
    let answer = world.call(request).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "BadRequest"));
    assert!(answer.text().contains("at byte 39"), "{}", answer.text());
    assert_eq!(world.story().request, body);
    assert_eq!(backend.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_product_is_held_to_its_deployment_even_if_the_body_names_it() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let ask = |model: &str| {
        let body = format!(r#"{{"input":"x","model":"{model}"}}"#);
        with_header(post("/openai/v1/embeddings", &body), "api-key", NARROW_KEY)
    };
    let denied = world.call(ask("text-embedding-3-large")).await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "DeploymentNotAllowed"));
    let allowed = world.call(ask("text-embedding-3-small")).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_error_shape_is_api_managements() {
    let world = Setup::before(&[])
        .with(|config| config.edge.error_shape = ErrorShape::ApiManagement)
        .start()
        .await;
    let answer = world.call(bare(CHAT)).await;
    assert_eq!(answer.json()["statusCode"], 401);
    assert!(answer.json()["message"].as_str().unwrap().starts_with("Access denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_no_http_get_the_same_shape_and_a_record() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let long = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\nx-long: {}\r\n\r\n", "a".repeat(40_000));
    let many = format!("POST {CHAT} HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(150));
    let lengths = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"
    );
    let cases = [
        (long.as_bytes(), 431, "RequestHeaderFieldsTooLarge"),
        (many.as_bytes(), 431, "RequestHeaderFieldsTooLarge"),
        (lengths.as_bytes(), 400, "BadRequest"),
        (b"NONSENSE\r\n\r\n", 400, "BadRequest"),
        (b"GET /v1/models HTTP/1.1\r\nbad header\r\n\r\n", 400, "BadRequest"),
        (b"\xff\xfe\xfd /v1 HTTP/1.1\r\n\r\n", 400, "BadRequest"),
    ];
    for (place, (bytes, status, code)) in cases.into_iter().enumerate() {
        let answer = world.raw(bytes).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{place}: {answer}");
        assert!(head.contains("connection: close"), "{head}");
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["error"]["code"], code);
        let stories = world.stories();
        assert_eq!(stories.len(), place + 1, "recorded before it is answered");
        assert_eq!(stories[place].end().status, status);
    }
    let stories = world.stories();
    assert_eq!(stories[0].start().method, "POST");
    assert_eq!(stories[0].start().url, CHAT);
    assert_eq!(backend.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_head_after_good_requests_on_one_connection_is_recorded_too() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let good = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{HELLO}",
        HELLO.len()
    );
    let answers = raw_turns(&world, &[good.as_bytes(), good.as_bytes(), b"???\r\n\r\n"]).await;
    assert!(answers.matches("HTTP/1.1 200 OK").count() == 2, "{answers}");
    assert!(answers.contains("HTTP/1.1 400 Bad Request"), "{answers}");
    assert!(answers.contains("\"BadRequest\""), "{answers}");
    assert_eq!(world.stories().len(), 3);
}

/// Sends each piece once the answer to the one before has begun.
async fn raw_turns(world: &World, pieces: &[&[u8]]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(world.address()).await.unwrap();
    let mut answers = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        stream.write_all(piece).await.unwrap();
        while String::from_utf8_lossy(&answers).matches("HTTP/1.1 ").count() <= place {
            let mut some = [0; 4096];
            let read = stream.read(&mut some).await.unwrap();
            assert!(read > 0);
            answers.extend_from_slice(&some[..read]);
        }
    }
    let _ = stream.read_to_end(&mut answers).await;
    String::from_utf8_lossy(&answers).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_are_not_asked_for_their_body() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let head = |key: &str| {
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\napi-key: {key}\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            HELLO.len()
        )
    };
    let answer = world.raw(head("wrong").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let turns = [head(KEY), HELLO.to_owned()];
    let pieces: Vec<&[u8]> = turns.iter().map(String::as_bytes).collect();
    let answers = raw_turns(&world, &pieces).await;
    assert!(answers.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_the_limit_are_refused_whether_their_length_is_told_or_not() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| config.edge.body_bytes_max = 1000)
        .start()
        .await;
    let long = format!(r#"{{"messages":[],"x":"{}"}}"#, "a".repeat(2000));
    let told = world.post(CHAT, &long).await;
    assert_eq!((told.status, told.code().as_str()), (413, "RequestBodyTooLarge"));
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    let answer = world.raw(chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(backend.requests(), 0);
}
