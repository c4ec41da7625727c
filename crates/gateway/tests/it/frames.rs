//! HTTP/2 written by hand, for what no library would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{CHAT, KEY, LIMIT, World};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame's kind, flags, stream and payload.
pub(crate) type Frame = (u8, u8, u32, Vec<u8>);

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literals, not indexed and not compressed (RFC 7541, section 6.2.2).
pub(crate) fn block(lines: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in lines {
        bytes.push(0);
        for text in [name, value] {
            integer(&mut bytes, text.len());
            bytes.extend(*text);
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(bytes: &mut Vec<u8>, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else {
        bytes.push(u8::try_from(value).unwrap());
        return;
    };
    bytes.push(127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}

/// The lines of a good call's head.
pub(crate) fn chat_lines() -> Vec<(&'static [u8], &'static [u8])> {
    vec![
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"h"),
        (b":path", CHAT.as_bytes()),
        (b"api-key", KEY.as_bytes()),
        (b"content-type", b"application/json"),
    ]
}

/// A connection that has said hello.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(world: &World) -> Self {
        Self::begin(TcpStream::connect(world.address()).await.unwrap()).await
    }

    pub(crate) async fn begin(mut stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self(stream)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next frame; none if the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, id @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some((kind, flags, u32::from_be_bytes(id), payload))
        };
        tokio::time::timeout(LIMIT, reading).await.expect("a frame or the end")
    }

    /// Sends what may well be cut off, and reads up to the end at the same time.
    pub(crate) async fn flood(self, bytes: Vec<u8>) -> Vec<Frame> {
        let (mut read, mut write) = self.0.into_split();
        let sending = tokio::spawn(async move {
            // The connection is ended while it is written to.
            let _ = write.write_all(&bytes).await;
            write
        });
        let mut all = Vec::new();
        let reading = tokio::time::timeout(LIMIT, read.read_to_end(&mut all)).await;
        // A reset is an end as well.
        let _ = reading.expect("the connection ends");
        sending.abort();
        let mut frames = Vec::new();
        let mut rest = &all[..];
        while let Some((&[a, b, c, kind, flags, ..], _)) = rest.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(payload) = rest.get(9..9 + length) else { break };
            let id = u32::from_be_bytes(rest[5..9].try_into().unwrap());
            frames.push((kind, flags, id, payload.to_vec()));
            rest = &rest[9 + length..];
        }
        frames
    }
}
