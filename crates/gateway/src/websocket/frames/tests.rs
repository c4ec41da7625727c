//! Frames made by hand, cut anywhere, and what is read from them.

use flate2::{Compress, Compression, FlushCompress};

use super::*;

/// A frame of these bits (FIN, RSV1 and opcode), masked as the sender must.
fn made(sender: Sender, bits: u8, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if sender == Sender::Client { 0x80 } else { 0 };
    let mut frame = vec![bits];
    match payload.len() {
        short @ 0..126 => frame.push(mask_bit | short as u8),
        middle @ 126..=0xffff => {
            frame.push(mask_bit | 126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(mask_bit | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    if sender == Sender::Client {
        frame.extend_from_slice(&mask);
    }
    let mask = if sender == Sender::Client { mask } else { [0; 4] };
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A message of one side under permessage-deflate, as RFC 7692 section 7.2.1 makes it.
fn deflated(compress: &mut Compress, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 1024);
    compress.compress_vec(data, &mut out, FlushCompress::Sync).expect("room enough");
    assert!(out.ends_with(&DEFLATE_TAIL));
    out.truncate(out.len() - 4);
    out
}

/// What comes of a stream that arrives in pieces of this size: the bytes to pass on, and the messages.
type Read = (Vec<u8>, Vec<(Opcode, Vec<u8>, bool)>);

fn read(mut reader: FrameReader, stream: &[u8], size: usize) -> Result<Read, Violation> {
    let (mut wire, mut messages) = (Vec::new(), Vec::<(Opcode, Vec<u8>, bool)>::new());
    let mut input = BytesMut::new();
    for piece in stream.chunks(size) {
        input.extend_from_slice(piece);
        while let Some(unit) = reader.next(&mut input)? {
            wire.extend_from_slice(&unit.wire);
            assert!(unit.data.len() <= INFLATED_BYTES.max(size), "{}", unit.data.len());
            let open = messages.iter_mut().rev().find(|(_, _, is_end)| !is_end);
            match open.filter(|_| !unit.is_start) {
                Some((opcode, data, is_end)) => {
                    assert_eq!(*opcode, unit.opcode);
                    data.extend_from_slice(&unit.data);
                    *is_end = unit.is_end;
                }
                None => {
                    assert!(unit.is_start);
                    messages.push((unit.opcode, unit.data.to_vec(), unit.is_end));
                }
            }
        }
    }
    assert!(input.is_empty() && reader.is_between_frames());
    Ok((wire, messages))
}

#[test]
fn bytes_pass_unchanged_and_messages_are_understood_wherever_they_are_cut() {
    for sender in [Sender::Client, Sender::Server] {
        let long = vec![b'x'; 70_000];
        let stream = [
            made(sender, 0x81, b"hello"),
            made(sender, 0x01, b"a mes"),
            made(sender, 0x89, b"ping"),
            made(sender, 0x00, &long[..200]),
            made(sender, 0x80, b""),
            made(sender, 0x82, &long),
            made(sender, 0x82, b""),
            made(sender, 0x8a, b""),
            made(sender, 0x88, b"\x03\xe8bye"),
        ]
        .concat();
        let expected = vec![
            (Opcode::Text, b"hello".to_vec(), true),
            (Opcode::Text, [b"a mes", &long[..200]].concat(), true),
            (Opcode::Ping, b"ping".to_vec(), true),
            (Opcode::Binary, long.clone(), true),
            (Opcode::Binary, Vec::new(), true),
            (Opcode::Pong, Vec::new(), true),
            (Opcode::Close, b"\x03\xe8bye".to_vec(), true),
        ];
        for size in [1, 2, 3, 7, 16, 1000, 1 << 20] {
            let (wire, messages) =
                read(FrameReader::new(sender, 1 << 20, None), &stream, size).expect("sound");
            assert_eq!(wire, stream, "{sender:?} {size}");
            assert_eq!(messages, expected, "{sender:?} {size}");
        }
    }
    assert_eq!(close_reason(b"\x03\xe8bye"), (1000, "bye".to_owned()));
    assert_eq!(close_reason(b""), (1005, String::new()));
}

#[test]
fn compressed_messages_are_read_with_and_without_context() {
    let texts: Vec<Vec<u8>> = (0..20)
        .map(|n| {
            format!("{{\"type\":\"response.audio.delta\",\"n\":{n}}}")
                .repeat(1 + n * 200)
                .into_bytes()
        })
        .collect();
    for keeps_context in [true, false] {
        let mut compress = Compress::new(Compression::default(), false);
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (place, text) in texts.iter().enumerate() {
            let packed = deflated(&mut compress, text);
            if !keeps_context {
                compress.reset();
            }
            // Now and then in fragments, only the first of which is marked; now and then not at all.
            let half = packed.len() / 2;
            match place % 3 {
                0 => stream.extend(made(Sender::Client, 0xc1, &packed)),
                1 => {
                    stream.extend(made(Sender::Client, 0x41, &packed[..half]));
                    stream.extend(made(Sender::Client, 0x89, b""));
                    expected.push((Opcode::Ping, Vec::new(), true));
                    stream.extend(made(Sender::Client, 0x80, &packed[half..]));
                }
                _ => {
                    stream.extend(made(Sender::Client, 0xc1, &packed));
                    stream.extend(made(Sender::Client, 0x81, b"plain"));
                }
            }
            let at = expected.len() - usize::from(place % 3 == 1);
            expected.insert(at, (Opcode::Text, text.clone(), true));
            if place % 3 == 2 {
                expected.push((Opcode::Text, b"plain".to_vec(), true));
            }
        }
        for size in [1, 5, 333, 1 << 20] {
            let inflater = Some(Inflater::new(keeps_context));
            let reader = FrameReader::new(Sender::Client, 1 << 20, inflater);
            let (wire, messages) = read(reader, &stream, size).expect("sound");
            assert!(wire == stream, "{size}");
            assert!(messages == expected, "{keeps_context} {size}");
        }
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let mut compress = Compress::new(Compression::best(), false);
    let packed = deflated(&mut compress, &vec![0; 64 << 20]);
    assert!(packed.len() < 100_000, "{}", packed.len());
    let stream = made(Sender::Client, 0xc2, &packed);
    let reader = FrameReader::new(Sender::Client, 1 << 20, Some(Inflater::new(true)));
    assert_eq!(read(reader, &stream, 4096).expect_err("a bomb"), Violation::TooLong);
}

#[test]
fn what_could_be_read_in_two_ways_is_a_violation() {
    let client = Sender::Client;
    let mut long = made(client, 0x82, b"");
    long[1] = 0x80 | 127;
    long.splice(2..2, u64::MAX.to_be_bytes());
    let streams: [(&str, Vec<u8>); 14] = [
        ("unmasked", made(Sender::Server, 0x81, b"x")),
        ("rsv2", made(client, 0xa1, b"x")),
        ("rsv3", made(client, 0x91, b"x")),
        ("compressed", made(client, 0xc1, b"x")),
        ("reserved data opcode", made(client, 0x83, b"x")),
        ("reserved control opcode", made(client, 0x8b, b"x")),
        ("long ping", made(client, 0x89, &[0; 126])),
        ("cut ping", made(client, 0x09, b"x")),
        ("compressed ping", made(client, 0xc9, b"x")),
        ("continuation of nothing", made(client, 0x80, b"x")),
        ("message in a message", [made(client, 0x01, b"x"), made(client, 0x81, b"x")].concat()),
        ("length out of range", long),
        ("close of one byte", made(client, 0x88, b"x")),
        ("garbage", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ];
    for (name, stream) in streams {
        for size in [1, 1000] {
            let reader = FrameReader::new(client, 1 << 20, None);
            let found = read(reader, &stream, size);
            assert!(matches!(found, Err(Violation::Protocol(_))), "{name}: {found:?}");
        }
    }
    let inflater = || Some(Inflater::new(true));
    let marked = [made(client, 0x41, b""), made(client, 0xc0, b"x")].concat();
    let found = read(FrameReader::new(client, 1 << 20, inflater()), &marked, 9);
    assert!(matches!(found, Err(Violation::Protocol(_))), "{found:?}");
    let damaged = made(client, 0xc1, &[0xff; 20]);
    let found = read(FrameReader::new(client, 1 << 20, inflater()), &damaged, 9);
    assert!(matches!(found, Err(Violation::Protocol(_))), "{found:?}");
}

#[test]
fn messages_are_held_to_their_length_before_their_bytes_come() {
    let whole = made(Sender::Server, 0x82, &[0; 1001]);
    let mut reader = FrameReader::new(Sender::Server, 1000, None);
    let mut head = BytesMut::from(&whole[..4]);
    assert_eq!(reader.next(&mut head), Err(Violation::TooLong));
    let pieces =
        [made(Sender::Server, 0x02, &[0; 600]), made(Sender::Server, 0x80, &[0; 600])].concat();
    let reader = FrameReader::new(Sender::Server, 1000, None);
    assert_eq!(read(reader, &pieces, 10).expect_err("too long"), Violation::TooLong);
}

#[test]
fn the_gateways_own_frames_are_read_by_both_sides() {
    for sender in [Sender::Client, Sender::Server] {
        let reason = "ü".repeat(100);
        let stream = [
            frame(sender, Opcode::Text, &[b'x'; 300]),
            frame(sender, Opcode::Pong, b"1"),
            close(sender, 1013, &reason),
        ]
        .concat();
        let (_, messages) = read(FrameReader::new(sender, 1000, None), &stream, 7).expect("sound");
        assert_eq!(messages[0], (Opcode::Text, vec![b'x'; 300], true));
        let (code, shown) = close_reason(&messages[2].1);
        assert_eq!((code, shown), (1013, "ü".repeat(60)));
    }
}
