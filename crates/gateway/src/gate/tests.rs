//! The gate alone: framing, limits, and what it refuses.

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 8192, count_max: 100 };

/// What passes of a connection's bytes, request by request, or why it stops.
fn requests(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut gate = Gate::new(LIMITS);
    let mut requests = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match gate.admit_head(rest, 0) {
            Ok(true) => {}
            Ok(false) => return Err("partial".into()),
            Err(refusal) => return Err(refusal.code().to_owned()),
        }
        let passed = gate.pass(rest)?;
        gate.pass(&[])?;
        requests.push(String::from_utf8_lossy(&rest[..passed]).into_owned());
        rest = &rest[passed..];
    }
    Ok(requests)
}

#[test]
fn requests_are_told_apart_by_the_one_length_they_have() {
    let get = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
    let post = "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked\r\n\r\n\
                   5;x=\"y\"\r\nhello\r\n0a\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n";
    let all = [get, post, chunked, get].concat();
    assert_eq!(requests(all.as_bytes()).unwrap(), [get, post, chunked, get]);
}

#[test]
fn a_chunked_body_passes_the_same_however_it_is_cut() {
    let head = "POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "3;a=b\r\nabc\r\n0\r\nt: 1\r\n\r\nGET /next HTTP/1.1\r\n";
    let whole = [head, body].concat();
    let end = whole.find("GET /next").unwrap();
    for step in 1..whole.len() {
        let mut gate = Gate::new(LIMITS);
        assert!(gate.admit_head(whole.as_bytes(), 0).unwrap());
        let mut passed = 0;
        for piece in whole.as_bytes().chunks(step) {
            passed += gate.pass(piece).unwrap();
        }
        assert_eq!(passed, end, "in pieces of {step}");
        assert!(gate.is_at_head());
    }
}

#[test]
fn a_head_in_crumbs_is_read_when_it_is_whole() {
    let head = b"POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n";
    let mut gate = Gate::new(LIMITS);
    for length in 1..head.len() {
        assert!(!gate.admit_head(&head[..length], length - 1).unwrap(), "{length}");
    }
    assert!(gate.admit_head(head, head.len() - 1).unwrap());
    assert_eq!(gate.pass(head), Ok(head.len()));
    assert_eq!(gate.pass(b"helloGET"), Ok(5));
}

#[test]
fn what_two_readers_may_read_in_two_ways_is_refused() {
    let heads = [
        "content-length: 3\r\ncontent-length: 3\r\n",
        "content-length: 3, 3\r\n",
        "content-length: +3\r\n",
        "content-length: 0x3\r\n",
        "content-length: \r\n",
        "content-length: 99999999999999999999\r\n",
        "content_length: 3\r\n",
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: \x0bchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer_encoding: chunked\r\n",
        "x: a\n y: b\r\n",
        "x: a\r\n folded\r\n",
        "x: a\ny: b\r\n",
        "x: a\ry: b\r\n",
        "x: \0\r\n",
        "host: again\r\n",
    ];
    for lines in heads {
        let request = format!("POST / HTTP/1.1\r\nhost: h\r\n{lines}\r\nabc");
        assert_eq!(requests(request.as_bytes()), Err("BadRequest".into()), "{lines:?}");
    }
    for head in [
        "POST / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\nhost: h\n\n",
        "POST / HTTP/2.0\r\nhost: h\r\n\r\n",
        "POST  / HTTP/1.1\r\nhost: h\r\n\r\n",
    ] {
        assert_eq!(requests(head.as_bytes()), Err("BadRequest".into()), "{head:?}");
    }
}

#[test]
fn chunks_that_are_no_chunks_end_the_body() {
    let head = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in [
        "0x3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        ";x\r\nabc\r\n0\r\n\r\n",
        "0\r\n folded: 1\r\n\r\n",
        "0\r\nx: 1\n\r\n",
        "0\r\nx: 1\ry\r\n\r\n",
    ] {
        let request = [head, body].concat();
        assert!(requests(request.as_bytes()).is_err(), "{body:?}");
    }
    let long = format!("{head}3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(300));
    assert!(requests(long.as_bytes()).is_err());
    let long = format!("{head}0\r\nx: {}\r\n\r\n", "x".repeat(9000));
    assert!(requests(long.as_bytes()).is_err());
}

#[test]
fn heads_over_a_limit_say_which() {
    let code = |bytes: String| requests(bytes.as_bytes()).unwrap_err();
    assert_eq!(code(format!("GET /{}", "a".repeat(9000))), "UriTooLong");
    let lines = "x: y\r\n".repeat(101);
    assert_eq!(code(format!("GET / HTTP/1.1\r\n{lines}\r\n")), "RequestHeaderFieldsTooLarge");
    let long = "a".repeat(9000);
    let head = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {long}");
    assert_eq!(code(head.clone()), "RequestHeaderFieldsTooLarge");
    assert_eq!(code(head + "\r\n\r\n"), "RequestHeaderFieldsTooLarge");
}
