//! Every record survives its frame.

use super::*;

fn headers() -> HeaderList {
    [("accept", "a\"b"), ("via", "1.1 x")].into_iter().collect()
}

/// With every member.
fn opened() -> Opened {
    Opened {
        received_at: Timestamp::from_unix_micros(1),
        method: "POST".into(),
        url: "http://h/é".into(),
        protocol: "HTTP/1.1".into(),
        tls_version: "1.3".into(),
        caller: CallerAddress {
            caller_ip: "::1".into(),
            peer_ip: "::2".into(),
            peer_port: 3,
            forwarded_for: "a, b".into(),
            certificate_subject: "CN=\\".into(),
        },
        target: Target {
            operation_id: "o".into(),
            surface_operation_id: "s".into(),
            surface: "openai".into(),
            kind: "chat".into(),
            subkind: "chat".into(),
            deployment: "d".into(),
            model: "m\n".into(),
            api_version: "v".into(),
            is_stream: true,
        },
        headers: headers(),
        head_bytes: 4,
        product_id: "p".into(),
        subscription_id: "s".into(),
        user_id: "u".into(),
        application_id: "a".into(),
        tenant_id: "t".into(),
        groups: vec!["g".into(), "\"".into()],
        region: "r".into(),
        rules_version: 5,
    }
}

/// With every member.
fn closed() -> Closed {
    Closed {
        closed_at: Timestamp::from_unix_micros(6),
        outcome: Outcome::ClientGone,
        status: 499,
        headers: headers(),
        dropped_headers: Some("te".into()),
        request_bytes: 1,
        response_bytes: 2,
        client_ms: 3,
        backend_ms: 4,
        first_byte_ms: Some(0),
        overhead_micros: 5,
        chunk_gap_ms_max: 6,
        chunks: 7,
        errors: vec![ErrorDetail { reason: "R".into(), ..ErrorDetail::default() }],
        own_body: "{}".into(),
        session: Some(SessionEnd { close_code: 1000, ..SessionEnd::default() }),
    }
}

#[test]
fn every_kind_survives_its_frame() {
    let id = InteractionId::mint(Timestamp::from_unix_micros(5), [1; 10]);
    let records = [
        Record::Opened(Box::new(opened())),
        Record::Opened(Box::default()),
        Record::BodyChunk(BodyChunk { side: Side::Response, data: Bytes::from_static(b"\0\xff") }),
        Record::MessageChunk(MessageChunk {
            side: Side::Request,
            at: Timestamp::from_unix_micros(-7),
            opcode: Opcode::Text,
            is_start: true,
            is_end: false,
            data: Bytes::from_static(b"{\"type\""),
        }),
        Record::MessageChunk(MessageChunk {
            side: Side::Response,
            at: Timestamp::from_unix_micros(1),
            opcode: Opcode::Close,
            is_start: true,
            is_end: true,
            data: Bytes::new(),
        }),
        Record::Dispatched(Box::new(Dispatched {
            sent_at: Timestamp::from_unix_micros(-1),
            attempt: 2,
            backend_id: "b".into(),
            method: "POST".into(),
            url: "http://b/".into(),
            headers: headers(),
            dropped_headers: Some(String::new()),
            body_changes: vec!["stream_options.include_usage".into()],
        })),
        Record::Answered(Box::new(Answered {
            answered_at: Timestamp::from_unix_micros(4),
            protocol: "HTTP/2".into(),
            status: 200,
            headers: headers(),
            attempt: 1,
        })),
        Record::Closed(Box::new(closed())),
        Record::Closed(Box::default()),
        Record::Refused(Box::new(Refused { opened: opened(), closed: closed() })),
        Record::Refused(Box::default()),
        Record::BackendState(Box::new(BackendState {
            state: "open".into(),
            status: Some(503),
            ..BackendState::default()
        })),
        Record::Objects(Box::new(Objects {
            made: vec![Object { id: "file-1".into(), ..Object::default() }],
            ..Objects::default()
        })),
        Record::Charges(Box::new(Charges {
            step: ChargeStep::Settled,
            charges: vec![Charge { counter: "calls/60s".into(), amount: 1 }],
            ..Charges::default()
        })),
    ];
    for record in records {
        let frame = record.clone().encode(id);
        assert_eq!(Kind::from_byte(frame.kind as u8), Some(frame.kind));
        assert_eq!(Record::decode(frame.kind, &frame.payload).expect("decodes"), record);
    }
}

#[test]
fn unknown_fields_of_a_later_version_are_ignored() {
    let payload = Bytes::from_static(br#"{"status":404,"invented_later":true}"#);
    let Record::Answered(answered) = Record::decode(Kind::Answered, &payload).expect("decodes")
    else {
        panic!("wrong kind");
    };
    assert_eq!(answered.status, 404);
}

#[test]
fn a_payload_of_another_shape_is_an_error() {
    for short in [&b""[..], &[0x31; 8], &[0x33; 9]] {
        let payload = Bytes::from_static(short);
        Record::decode(Kind::ClientMessage, &payload).expect_err("no head, or no such opcode");
    }
    let error = Record::decode(Kind::Closed, &Bytes::from_static(b"[")).expect_err("not JSON");
    assert_eq!(error.to_string(), "payload is not a Closed record");
}
