//! Answers that leave piece by piece, compressed where the client takes it.

use std::convert::Infallible;
use std::io::Write;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;

use super::Pieces;
use super::request::header as text;

/// A response whose body is made as it is read.
pub(crate) fn stream(content_type: &'static str, pieces: Pieces, asked: &HeaderMap) -> Response {
    let is_gzip = takes_gzip(text(asked, header::ACCEPT_ENCODING.as_str()));
    let pieces = if is_gzip { gzip(pieces) } else { pieces };
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<Bytes, Infallible>)));
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, header::HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    response
}

/// `gzip`, unless its weight is nought.
fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_gzip && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|q| q > 0.0))
    })
}

fn gzip(mut pieces: Pieces) -> Pieces {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    Box::new(std::iter::from_fn(move || {
        loop {
            let writer = encoder.as_mut()?;
            match pieces.next() {
                Some(piece) => {
                    writer.write_all(&piece).expect("memory takes every byte");
                    if !writer.get_ref().is_empty() {
                        return Some(Bytes::from(std::mem::take(writer.get_mut())));
                    }
                }
                None => {
                    let rest = encoder.take()?.finish().expect("memory takes every byte");
                    return Some(Bytes::from(rest));
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn gzip_is_taken_by_name_and_weight() {
        for (accepted, is_gzip) in [
            ("gzip, deflate", true),
            ("deflate;q=1, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(accepted), is_gzip, "{accepted}");
        }
    }

    #[test]
    fn pieces_are_the_same_unpacked() {
        let pieces: Vec<Bytes> = (0..500).map(|n| Bytes::from(format!("piece {n} "))).collect();
        let plain: Vec<u8> = pieces.iter().flatten().copied().collect();
        let packed: Vec<u8> = gzip(Box::new(pieces.into_iter())).flatten().collect();
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
    }
}
