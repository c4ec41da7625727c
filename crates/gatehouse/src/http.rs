//! A small blocking HTTP client for the command line's own calls to a gateway on this machine.
//!
//! HTTP/1.0, one connection per exchange, so that the end of the answer is the end of the
//! connection. Model traffic never goes this way: that is the crate `net`.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// Longest answer read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// A request to send.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// What came back.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Sends a request and reads the whole answer.
pub(crate) fn send(address: SocketAddr, request: &Request<'_>) -> anyhow::Result<Response> {
    converse(connect(address)?, address, request)
}

/// An open connection.
pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Sends a request on an open connection and reads the whole answer.
pub(crate) fn converse(
    mut stream: impl Read + Write,
    address: SocketAddr,
    request: &Request<'_>,
) -> anyhow::Result<Response> {
    let mut head = format!(
        "{} {} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n",
        request.method,
        request.target,
        request.body.len()
    );
    for (name, value) in request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body)?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        // Some end without TLS's farewell.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        read => drop(read?),
    }
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the answer has no head")?;
    let head = std::str::from_utf8(&answer[..end]).context("the answer's head is no text")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Response {
        status: status.context("the answer has no status")?,
        body: answer.split_off(end + 4),
    })
}
