//! The page that a browser shows whose sign-in was refused: why, and what to do.
//!
//! It runs nothing and loads nothing; whatever a name or a provider says is shown as text.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;\
    color-scheme:light dark}";

/// The problem as a page for browsers, as a document for programs.
pub(crate) fn answer(problem: Problem, headers: &HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    if !accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return problem.into_response();
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Nothing may be loaded, run or framed; the page's own style alone holds.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(Sha256::digest(STYLE))
    );
    let heads = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
    ];
    (status, heads, page(&problem.detail)).into_response()
}

fn page(detail: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Not signed in – Gatehouse</title>\
         <style>{STYLE}</style><main><h1>You are not signed in</h1><p>{}</p>\
         <p><a href=\"/\">Back to the sign-in page</a></p></main></html>",
        shown(detail)
    )
}

/// As text, whatever it holds.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}
