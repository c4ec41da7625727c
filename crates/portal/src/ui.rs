//! The portal's page and its files, embedded from `web/dist`.
//!
//! The page is the same for every screen: its script reads the path. It may run the scripts and
//! styles of this binary and nothing else, whatever a stored prompt says.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

include!(concat!(env!("OUT_DIR"), "/dist.rs"));

/// A file of the built portal.
struct File {
    path: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
}

/// Stands in the page where the nonce belongs.
const NONCE_MARK: &str = "__NONCE__";
const NONCE_BYTES: usize = 16;
/// Files below this folder carry a hash of their content in their names.
const HASHED: &str = "/assets/";
/// The first parts of the paths that belong to screens.
const SCREENS: [&str; 13] = [
    "",
    "access",
    "alerts",
    "audit",
    "backends",
    "clients",
    "cost",
    "dashboards",
    "live",
    "logs",
    "requests",
    "settings",
    "sign-in",
];

/// What paths that programs call begin with.
const PROGRAMS: [&str; 6] = ["/admin/", "/auth/", "/scim/", "/v1/", "/v2/", "/openai/"];

/// Headers that every answer of this listener carries.
const EVERYWHERE: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The page or file at this path; none if the path is not the portal's.
pub(crate) fn answer(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    if let Ok(at) = FILES.binary_search_by(|file| file.path.cmp(uri.path())) {
        return Some(file(&FILES[at], headers));
    }
    let first = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
    SCREENS.contains(&first).then(page)
}

/// The page for an address at which there is no screen, where a person asks for one: it says so, and what
/// there is. Programs are told in their own words.
pub(crate) fn nowhere(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_person = method == Method::GET && accepted?.contains("text/html");
    let is_of_programs = PROGRAMS.iter().any(|start| uri.path().starts_with(start));
    (is_person && !is_of_programs).then(|| (StatusCode::NOT_FOUND, page()).into_response())
}

/// Adds the headers that every answer carries.
pub(crate) async fn harden(mut response: Response) -> Response {
    for (name, value) in EVERYWHERE {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page() -> Response {
    let nonce = nonce();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; \
         style-src 'self' 'nonce-{nonce}'; img-src 'self' blob:; media-src blob:; \
         connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let heads = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    (heads, PAGE.replace(NONCE_MARK, &nonce)).into_response()
}

fn file(file: &File, headers: &HeaderMap) -> Response {
    let content_type = match file.path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    };
    let caching = match file.path.starts_with(HASHED) {
        true => "public, max-age=31536000, immutable",
        false => "public, max-age=86400",
    };
    let mut builder = Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, caching)
        .header(header::VARY, "accept-encoding");
    let body = match file.brotli.filter(|_| takes_brotli(headers)) {
        Some(packed) => {
            builder = builder.header(header::CONTENT_ENCODING, "br");
            packed
        }
        None => file.plain,
    };
    builder.body(Body::from(body)).expect("these headers are well-formed")
}

/// True if `br` is among the encodings taken, and not with a weight of zero.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|choice| {
        let (name, weight) = choice.split_once(';').unwrap_or((choice, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").parse::<f32>().unwrap_or(0.0);
        name.trim().eq_ignore_ascii_case("br") && weight > 0.0
    })
}

/// A fresh nonce, as hexadecimal digits.
fn nonce() -> String {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes).expect("a system without randomness cannot serve pages safely");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, encoding: &str) -> Option<Response> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, encoding.parse().expect("a header"));
        answer(&Method::GET, &path.parse().expect("a path"), &headers)
    }

    fn value(response: &Response, name: header::HeaderName) -> String {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn every_page_has_a_nonce_of_its_own_and_the_policy_names_it() {
        let mut nonces = Vec::new();
        for path in ["/", "/requests/0198", "/logs?q=x"] {
            let response = get(path, "br").expect("a screen");
            let policy = value(&response, header::CONTENT_SECURITY_POLICY);
            let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
            let nonce = nonce.expect("a nonce").to_owned();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a page");
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(body.contains(&format!("nonce=\"{nonce}\"")) && !body.contains(NONCE_MARK));
            assert!(!policy.contains("unsafe") && policy.starts_with("default-src 'none'"));
            nonces.push(nonce);
        }
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 3);
    }

    #[test]
    fn hashed_files_are_kept_for_ever_and_packed_for_those_who_take_it() {
        let script = FILES.iter().find(|file| file.path.ends_with(".js")).expect("a script");
        let packed = get(script.path, "gzip, br;q=0.5").expect("a file");
        assert_eq!(value(&packed, header::CONTENT_ENCODING), "br");
        assert!(value(&packed, header::CACHE_CONTROL).ends_with("immutable"));
        let plain = get(script.path, "gzip, br;q=0").expect("a file");
        assert_eq!(value(&plain, header::CONTENT_ENCODING), "");
    }

    #[test]
    fn paths_of_the_api_are_not_pages() {
        assert!(get("/admin/v1/nothing", "br").is_none());
        assert!(get("/v1/rest/query", "br").is_none());
        assert!(get("/assets/nothing.js", "br").is_none());
        assert!(answer(&Method::POST, &"/".parse().expect("a path"), &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_person_who_is_lost_gets_a_page_and_a_program_does_not() {
        let nowhere = |path: &str, accept: &str| {
            let accept = accept.parse().expect("a header");
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept)]);
            super::nowhere(&Method::GET, &path.parse().expect("a path"), &headers)
        };
        let page = nowhere("/overview", "text/html,application/xhtml+xml").expect("a page");
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        assert!(value(&page, header::CONTENT_SECURITY_POLICY).contains("nonce-"));
        assert!(nowhere("/overview", "application/json").is_none());
        assert!(nowhere("/admin/v1/nothing", "text/html").is_none());
    }
}
