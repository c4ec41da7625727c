//! A small blocking HTTP client for the command line's own calls to a gateway on this machine.
//!
//! HTTP/1.0, one connection per exchange, so that the end of the answer is the end of the
//! connection. Model traffic never goes this way: that is the crate `net`.

use std::io::{Cursor, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Longest answer held, in bytes; what is saved as it comes may be longer.
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

/// Sends a request; the body of an answer 200 goes into `out`.
pub(crate) fn fetch(
    address: SocketAddr,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<Response> {
    save(connect(address)?, address, request, out)
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
    let (status, begun) = begin(&mut stream, address, request)?;
    let mut body = Vec::new();
    copy(&mut begun.chain(stream).take(ANSWER_BYTES_MAX), &mut body)?;
    Ok(Response { status, body })
}

/// Sends a request on an open connection; the body of an answer 200 goes into `out` as it comes, and
/// what is answered otherwise is returned.
pub(crate) fn save(
    mut stream: impl Read + Write,
    address: SocketAddr,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<Response> {
    let (status, begun) = begin(&mut stream, address, request)?;
    let mut body = Vec::new();
    let mut rest = begun.chain(stream);
    match status {
        200 => copy(&mut rest, out)?,
        _ => copy(&mut rest.take(ANSWER_BYTES_MAX), &mut body)?,
    }
    Ok(Response { status, body })
}

/// Sends a request; the status of the answer, and what has come of its body with the head.
fn begin(
    stream: &mut (impl Read + Write),
    address: SocketAddr,
    request: &Request<'_>,
) -> anyhow::Result<(u16, Cursor<Vec<u8>>)> {
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
    let (mut answer, mut piece) = (Vec::new(), [0; 8 << 10]);
    let end = loop {
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let read = stream.read(&mut piece)?;
        if read == 0 || answer.len() > HEAD_BYTES_MAX {
            bail!("the answer has no head");
        }
        answer.extend_from_slice(&piece[..read]);
    };
    let head = std::str::from_utf8(&answer[..end]).context("the answer's head is no text")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.context("the answer has no status")?;
    Ok((status, Cursor::new(answer.split_off(end + 4))))
}

/// All there is; some connections end without TLS's farewell.
fn copy(from: &mut impl Read, to: &mut dyn Write) -> anyhow::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&piece[..read])?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
