//! Requests that two readers may read in two ways: how one is hidden in another, or in its head.
//!
//! `@ID@` stands for the number of the case, which names the request that is meant and the canary that
//! must never arrive.

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, RST_STREAM, block,
};
use crate::support::KEY;

/// One case: what it tries, and the bytes.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The request that must never reach a backend. Where the gateway itself sees it as a request, it
/// lacks a key.
const CANARY: &str = "GET /openai/canary/@ID@ HTTP/1.1\r\nHost: h\r\n\r\n";
/// The target that is meant.
const TARGET: &str = "/openai/case/@ID@";

/// All cases over HTTP/1.1.
pub(crate) fn http1() -> Vec<Case> {
    let mut cases = Cases(Vec::new());
    lengths(&mut cases);
    encodings(&mut cases);
    pairs(&mut cases);
    line_ends(&mut cases);
    folds(&mut cases);
    control_characters(&mut cases);
    chunks(&mut cases);
    trailers(&mut cases);
    targets(&mut cases);
    methods_and_versions(&mut cases);
    hosts(&mut cases);
    expectations(&mut cases);
    connections(&mut cases);
    cases.0
}

struct Cases(Vec<Case>);

impl Cases {
    fn raw(&mut self, name: String, bytes: Vec<u8>) {
        self.0.push(Case { name, bytes });
    }

    /// A request with these lines (with their ends) and this body, and the canary behind.
    fn add(&mut self, name: impl Into<String>, lines: impl AsRef<[u8]>, body: impl AsRef<[u8]>) {
        let line = format!("POST {TARGET} HTTP/1.1\r\n");
        self.with_line(name, &line, lines, body);
    }

    fn with_line(
        &mut self,
        name: impl Into<String>,
        line: impl AsRef<[u8]>,
        lines: impl AsRef<[u8]>,
        body: impl AsRef<[u8]>,
    ) {
        let own = format!("Host: h\r\napi-key: {KEY}\r\n");
        let bytes = [
            line.as_ref(),
            own.as_bytes(),
            lines.as_ref(),
            b"\r\n",
            body.as_ref(),
            CANARY.as_bytes(),
        ]
        .concat();
        self.raw(name.into(), bytes);
    }
}

fn lengths(cases: &mut Cases) {
    let values: &[&[u8]] = &[
        b"0",
        b"5",
        b"+5",
        b"-5",
        b"-0",
        b"05",
        b"0x5",
        b"5,5",
        b"5, 5",
        b"5, 6",
        b"5;6",
        b"5 6",
        b"1e1",
        b"\xd9\xa5",
        b"5\t",
        b"",
        b" ",
        b"99999999999999999999",
        b"18446744073709551615",
        b"9223372036854775808",
        b"5.0",
        b"\x0b5",
        b"5\x00",
        b"NaN",
        b"5\r\n 6",
        b"5\n6",
        b"5\r6",
        b"\"5\"",
        b"five",
        b"5,",
        b",5",
    ];
    for value in values {
        let line = [b"Content-Length: ", *value, b"\r\n"].concat();
        cases.add(format!("length {}", value.escape_ascii()), line, "hello");
    }
    let names: &[&[u8]] = &[
        b"content-length",
        b"CONTENT-LENGTH",
        b"Content-Length ",
        b"Content-Length\t",
        b" Content-Length",
        b"\tContent-Length",
        b"Content_Length",
        b"Content-Length\x0b",
        b"Content\x00-Length",
        b"Content-Length\x00",
        b"\xefContent-Length",
        b"Content Length",
        b"(Content-Length)",
        b"Content-Length:",
    ];
    for name in names {
        for value in ["5", "50"] {
            let line = [*name, b": ", value.as_bytes(), b"\r\n"].concat();
            cases.add(format!("length as {} {value}", name.escape_ascii()), line, "hello");
        }
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let line = format!("{method} {TARGET} HTTP/1.1\r\n");
        cases.with_line(format!("{method} with a length"), &line, "Content-Length: 5\r\n", "hello");
        cases.with_line(format!("{method} without a length"), &line, "", "hello\r\n\r\n");
    }
}

const ENCODINGS: &[&[u8]] = &[
    b"chunked",
    b"Chunked",
    b"CHUNKED",
    b"\tchunked",
    b"chunked\t",
    b"chunked ",
    b"chunked,",
    b",chunked",
    b"chunked, identity",
    b"identity, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked, chunked",
    b"xchunked",
    b"chunkedx",
    b"chunked;q=1",
    b"chunked;",
    b"\"chunked\"",
    b"'chunked'",
    b"chunk",
    b"chunked\x0b",
    b"\x0bchunked",
    b"ch\x00unked",
    b"identity",
    b"",
    b"cow",
    b"chunked\x00",
    b"\xa0chunked",
    b"chun\r\n ked",
    b"\r\n chunked",
    b"\n chunked",
    b"chunked\r",
    b"c\xc4\xa7unked",
];

fn encodings(cases: &mut Cases) {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    for value in ENCODINGS {
        let line = [b"Transfer-Encoding: ", *value, b"\r\n"].concat();
        let name = value.escape_ascii();
        cases.add(format!("encoding {name}"), &line, body);
        let before = [b"Content-Length: 15\r\n", &line[..]].concat();
        cases.add(format!("length, then encoding {name}"), before, body);
        let after = [&line[..], b"Content-Length: 4\r\n"].concat();
        cases.add(format!("encoding {name}, then length"), after, body);
    }
    let names: &[&[u8]] = &[
        b"transfer-encoding",
        b"TRANSFER-ENCODING",
        b"Transfer-Encoding ",
        b"Transfer-Encoding\t",
        b" Transfer-Encoding",
        b"Transfer_Encoding",
        b"Transfer-Encoding\x0b",
        b"Transfer-Encoding\x00",
        b"Transfer\x00Encoding",
        b"Transfer-\r\nEncoding",
        b"Transfer-Encoding\r",
        b"X\nTransfer-Encoding",
        b"X: y\rTransfer-Encoding",
        b"\x80Transfer-Encoding",
        b"Transfer Encoding",
    ];
    for name in names {
        let line = [*name, b": chunked\r\n"].concat();
        cases.add(format!("encoding as {}", name.escape_ascii()), &line, body);
        let both = [&line[..], b"Content-Length: 15\r\n"].concat();
        cases.add(format!("encoding as {} and a length", name.escape_ascii()), both, body);
    }
    let line = format!("POST {TARGET} HTTP/1.0\r\n");
    cases.with_line("encoding in 1.0", &line, "Transfer-Encoding: chunked\r\n", body);
    let lines = "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 15\r\n";
    cases.with_line("encoding and length in 1.0", &line, lines, body);
}

fn pairs(cases: &mut Cases) {
    let lines = [
        "Content-Length: 5\r\n",
        "Content-Length: 05\r\n",
        "Content-Length: 0\r\n",
        "content-length: 6\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-encoding: identity\r\n",
        "Transfer-Encoding: cow\r\n",
    ];
    for first in lines {
        for second in lines {
            let name = format!("{} and {}", first.trim_end(), second.trim_end());
            cases.add(name, [first, second].concat(), "5\r\nhello\r\n0\r\n\r\n");
        }
    }
}

fn line_ends(cases: &mut Cases) {
    for end in ["\n", "\r", "\r\r\n", "\n\r", "\x0b\r\n", "\u{85}", "\u{2028}"] {
        let name = end.escape_debug();
        let line = format!("POST {TARGET} HTTP/1.1{end}");
        cases.with_line(
            format!("line end {name} after the first"),
            line,
            "Content-Length: 5\r\n",
            "hello",
        );
        cases.add(
            format!("line end {name} after a length"),
            format!("Content-Length: 5{end}"),
            "hello",
        );
        let hidden = format!("X: y{end}Content-Length: 0\r\nContent-Length: 5\r\n");
        cases.add(format!("line end {name} hides a length"), hidden, "hello");
        let hidden = format!("X: y{end}Transfer-Encoding: chunked\r\nContent-Length: 15\r\n");
        cases.add(format!("line end {name} hides an encoding"), hidden, "5\r\nhello\r\n0\r\n\r\n");
        let split = format!("X: y{end}{end}{CANARY}");
        cases.add(format!("line end {name} twice"), split, "");
    }
    let bytes = format!(
        "\r\n\r\nPOST {TARGET} HTTP/1.1\r\nHost: h\r\napi-key: {KEY}\r\nContent-Length: 0\r\n\r\n\r\n\r\n{CANARY}"
    );
    cases.raw("empty lines before and between".into(), bytes.into_bytes());
}

fn folds(cases: &mut Cases) {
    for fold in ["\r\n ", "\r\n\t", "\n ", "\r ", "\r\n  \r\n "] {
        for line in [
            format!("X: y{fold}Content-Length: 50\r\nContent-Length: 5\r\n"),
            format!("Content-Length:{fold}5\r\n"),
            format!("Content-Length: 5{fold}0\r\n"),
            format!("Transfer-Encoding:{fold}chunked\r\nContent-Length: 5\r\n"),
        ] {
            cases.add(format!("fold {}", line.escape_debug()), &line, "hello");
        }
    }
    let line = format!("POST {TARGET} HTTP/1.1\r\n Content-Length: 50\r\n");
    cases.with_line("the first line is folded", line, "Content-Length: 5\r\n", "hello");
}

fn control_characters(cases: &mut Cases) {
    for byte in [0_u8, 1, 7, 8, 9, 0x0b, 0x0c, 0x0d, 0x1b, 0x20, 0x7f, 0x80, 0xa0, 0xff] {
        let shown = format!("byte {byte:#04x}");
        let length = b"Content-Length: 5\r\n";
        let in_name = [b"X", &[byte][..], b"Y: z\r\n", length].concat();
        cases.add(format!("{shown} in a name"), in_name, "hello");
        let in_value = [b"X: a", &[byte][..], b"z\r\n", length].concat();
        cases.add(format!("{shown} in a value"), in_value, "hello");
        let line = [format!("POST {TARGET}/").as_bytes(), &[byte], b"x HTTP/1.1\r\n"].concat();
        cases.with_line(format!("{shown} in the path"), line, length, "hello");
        let line = [b"PO", &[byte][..], format!("ST {TARGET} HTTP/1.1\r\n").as_bytes()].concat();
        cases.with_line(format!("{shown} in the method"), line, length, "hello");
    }
}

fn chunks(cases: &mut Cases) {
    let encoding = "Transfer-Encoding: chunked\r\n";
    let long = format!("5;{}", "x".repeat(300));
    let sizes: &[&[u8]] = &[
        b"5",
        b"05",
        b"00000000000000000005",
        b"0x5",
        b"5h",
        b"-5",
        b"+5",
        b" 5",
        b"5 ",
        b"\t5",
        b"5\t",
        b"5;a",
        b"5;a=b;c=\"d\"",
        b"5 ;a",
        b"5; a = b",
        b"5;a\nb",
        b"5;a\rb",
        b"5;\x00",
        b"5;\"\r\n\"",
        b"FFFFFFFFFFFFFFFF",
        b"10000000000000005",
        b"8000000000000000",
        b"",
        b"g",
        b"5\x00",
        b"5,5",
        b"5.0",
        b"\r\n5",
        b"\n5",
        b"5\n",
        b"5\x0b",
        b"\xef\xbc\x95",
        b"5;a=\x80",
        long.as_bytes(),
    ];
    for size in sizes {
        let body = [*size, b"\r\nhello\r\n0\r\n\r\n"].concat();
        cases.add(
            format!("chunk size {}", size[..size.len().min(30)].escape_ascii()),
            encoding,
            body,
        );
    }
    for (name, body) in [
        ("size ends with a line feed", "5\nhello\r\n0\r\n\r\n"),
        ("data ends with a line feed", "5\r\nhello\n0\r\n\r\n"),
        ("data ends with a carriage return", "5\r\nhello\r0\r\n\r\n"),
        ("data without an end", "5\r\nhello0\r\n\r\n"),
        ("data too long", "5\r\nhello world\r\n0\r\n\r\n"),
        ("data too short", "5\r\nhe\r\n0\r\n\r\n"),
        ("all line feeds", "5\nhello\n0\n\n"),
        ("last chunk ends with line feeds", "5\r\nhello\r\n0\n\n"),
        ("last chunk of many noughts", "5\r\nhello\r\n0000\r\n\r\n"),
        ("last chunk with extension", "5\r\nhello\r\n0;ext=1\r\n\r\n"),
        ("last chunk with spaces", "5\r\nhello\r\n0  \r\n\r\n"),
        ("no last line", "5\r\nhello\r\n0\r\n"),
        ("no last chunk", "5\r\nhello\r\n"),
        ("two last chunks", "0\r\n\r\n0\r\n\r\n"),
        ("negative nought", "5\r\nhello\r\n-0\r\n\r\n"),
        ("only a line end", "\r\n"),
        ("line end before", "\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("size in an extension", "5;5\r\nhello\r\n0\r\n\r\n"),
        ("canary in an extension", "5;\r\nGET /openai/canary/@ID@ HTTP/1.1\r\nhello\r\n0\r\n\r\n"),
    ] {
        cases.add(format!("chunks: {name}"), encoding, body);
    }
}

fn trailers(cases: &mut Cases) {
    let long = "x: ".to_owned() + &"y".repeat(40_000);
    let many = "x: y\r\n".repeat(200);
    for trailer in [
        "Content-Length: 50",
        "Transfer-Encoding: chunked",
        "Host: evil",
        "api-key: other",
        "Authorization: Bearer other",
        "Expect: 100-continue",
        "Connection: close",
        "X: y\r\n folded: z",
        " X: y",
        "X: y\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "no colon",
        ": no name",
        "X : y",
        "X: \0",
        "GET /openai/canary/@ID@ HTTP/1.1",
        &long,
        &many,
    ] {
        let body = format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n");
        let name = trailer[..trailer.len().min(40)].escape_debug().to_string();
        cases.add(format!("trailer {name}"), "Transfer-Encoding: chunked\r\n", &body);
        let told =
            "TE: trailers\r\nTrailer: Content-Length, Host\r\nTransfer-Encoding: chunked\r\n";
        cases.add(format!("trailer {name}, announced"), told, &body);
    }
}

fn targets(cases: &mut Cases) {
    let long = format!("{TARGET}/{}", "a".repeat(66_000));
    for target in [
        "http://h/openai/case/@ID@",
        "http://evil/openai/case/@ID@",
        "http://h@evil/openai/case/@ID@",
        "http://evil:80/openai/case/@ID@",
        "https://h/openai/case/@ID@",
        "ftp://h/openai/case/@ID@",
        "h:80",
        "//evil/openai/case/@ID@",
        "*",
        "openai/case/@ID@",
        "",
        "?x=y",
        "/openai/case/@ID@#fragment",
        "/openai/case/@ID@?x=#y",
        "/openai/case/@ID@ HTTP/1.1",
        "/openai/case/@ID@ /other",
        "/openai/case/@ID@\t",
        "\t/openai/case/@ID@",
        " /openai/case/@ID@",
        "/openai/case/@ID@%0d%0aX:%20y",
        "/openai/case/@ID@%00",
        "/openai/case/@ID@\\..\\canary",
        "/openai/case/../canary/@ID@",
        "/openai/case/%2e%2e/canary/@ID@",
        "/openai/case/..%2fcanary/@ID@",
        "/openai/case/..;/canary/@ID@",
        "/openai/./case/@ID@",
        "/openai/case/@ID@/%",
        "/openai/case/@ID@/%zz",
        "/openai/case/@ID@/<>\"`{}|^",
        "/openai/case/@ID@/\u{e4}\u{f6}",
        &long,
    ] {
        let line = format!("POST {target} HTTP/1.1\r\n");
        let name = target[..target.len().min(60)].escape_debug().to_string();
        cases.with_line(format!("target {name}"), line, "Content-Length: 5\r\n", "hello");
    }
}

fn methods_and_versions(cases: &mut Cases) {
    let long = "A".repeat(40_000);
    for method in [
        "post",
        "P OST",
        "POST\t",
        "",
        " ",
        "POST:",
        "\"POST\"",
        "CONNECT",
        "TRACE",
        "PRI",
        "GET\0",
        "P\u{d6}ST",
        "GET /openai/canary/@ID@ HTTP/1.1\r\nX",
        "HTTP/1.1",
        &long,
    ] {
        let line = format!("{method} {TARGET} HTTP/1.1\r\n");
        let name = method[..method.len().min(40)].escape_debug().to_string();
        cases.with_line(format!("method {name}"), line, "Content-Length: 5\r\n", "hello");
    }
    for version in [
        "HTTP/1.0",
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/3",
        "HTTP/1.1 ",
        "HTTP/ 1.1",
        "http/1.1",
        "HTTP/01.1",
        "HTTP/1.10",
        "HTTP/1",
        "HTTP/1.1.1",
        "HTTP/+1.1",
        "HTTPS/1.1",
        "",
        "HTTP/1.1\t",
        "HTTP/1,1",
        "ICE/1.0",
        "HTTP/1.\0",
    ] {
        let line = format!("POST {TARGET} {version}\r\n");
        let lines = "Connection: keep-alive\r\nContent-Length: 5\r\n";
        cases.with_line(format!("version {}", version.escape_debug()), line, lines, "hello");
    }
    let simple = format!("GET {TARGET}\r\n{CANARY}");
    cases.raw("a request of HTTP/0.9".into(), simple.into_bytes());
}

fn hosts(cases: &mut Cases) {
    for lines in [
        "",
        "Host: h\r\nHost: h\r\n",
        "Host: h\r\nHost: evil\r\n",
        "Host:\r\n",
        "Host: h evil\r\n",
        "Host: h, evil\r\n",
        "Host: h/../evil\r\n",
        "Host: h#@evil\r\n",
        "Host: h?x\r\n",
        "Host : h\r\n",
        " Host: h\r\n",
        "Host: h\r\n evil\r\n",
        "Host: h\\evil\r\n",
        "Host: user@h\r\n",
        "Host: h:80:80\r\n",
        "Host: [::1\r\n",
        "Host: \u{e4}\r\n",
        "Host: h\0\r\n",
        "H\u{f6}st: h\r\n",
    ] {
        let bytes = format!(
            "POST {TARGET} HTTP/1.1\r\n{lines}api-key: {KEY}\r\nContent-Length: 5\r\n\r\nhello{CANARY}"
        );
        cases.raw(format!("hosts {}", lines.escape_debug()), bytes.into_bytes());
    }
}

fn expectations(cases: &mut Cases) {
    for expect in [
        "100-continue",
        "100-Continue",
        "200-ok",
        "100-continue, x",
        "100-continue;q=1",
        "",
        "100-continue\r\nExpect: 100-continue",
        "100-continue\r\nExpect: other",
        "y 100-continue",
    ] {
        let name = expect.escape_debug();
        let lines = format!("Expect: {expect}\r\nContent-Length: 5\r\n");
        cases.add(format!("expect {name}"), lines, "hello");
        let lines = format!("Expect: {expect}\r\nTransfer-Encoding: chunked\r\n");
        cases.add(format!("expect {name}, chunked"), lines, "5\r\nhello\r\n0\r\n\r\n");
    }
    let lines = "Expect: 100-continue\r\nContent-Length: 0\r\n";
    cases.add("expect without a body", lines, "");
    let wrong = format!(
        "POST {TARGET} HTTP/1.1\r\nHost: h\r\napi-key: wrong\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n{CANARY}"
    );
    cases.raw("expect refused, and the canary as the body".into(), wrong.into_bytes());
}

fn connections(cases: &mut Cases) {
    for named in [
        "content-length",
        "transfer-encoding",
        "host",
        "close, transfer-encoding",
        "keep-alive, api-key",
        "close, content-length, x",
        "upgrade",
        "te",
        ",,,",
        "content-length, transfer-encoding",
        "\"close\"",
    ] {
        let lines = format!("Connection: {named}\r\nContent-Length: 5\r\n");
        cases.add(format!("connection {named}"), lines, "hello");
        let lines = format!("Connection: {named}\r\nTransfer-Encoding: chunked\r\n");
        cases.add(format!("connection {named}, chunked"), lines, "5\r\nhello\r\n0\r\n\r\n");
    }
    for upgrade in ["h2c", "websocket", "TLS/1.0", "HTTP/2.0", "other"] {
        let lines = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 5\r\n"
        );
        cases.add(format!("upgrade to {upgrade}"), lines, "hello");
        let line = format!("GET {TARGET} HTTP/1.1\r\n");
        let lines = format!("Connection: Upgrade\r\nUpgrade: {upgrade}\r\n");
        cases.with_line(format!("GET with upgrade to {upgrade}"), line, lines, "");
    }
    let lines = "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nContent-Length: 5\r\n";
    cases.add("proxy-connection", lines, "hello");
}

/// One case over HTTP/2: the frames of one request.
pub(crate) struct Case2 {
    pub(crate) name: String,
    pub(crate) frames: Vec<Frame>,
}

type Line<'a> = (&'a [u8], &'a [u8]);

const PSEUDO: [Line<'static>; 4] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"h"),
    (b":path", TARGET.as_bytes()),
];

/// All cases over HTTP/2.
pub(crate) fn http2() -> Vec<Case2> {
    let mut cases = Cases2(Vec::new());
    headers2(&mut cases);
    pseudo2(&mut cases);
    values2(&mut cases);
    trailers2(&mut cases);
    bodies2(&mut cases);
    cases.0
}

struct Cases2(Vec<Case2>);

impl Cases2 {
    fn frames(&mut self, name: String, frames: Vec<Frame>) {
        self.0.push(Case2 { name, frames });
    }

    /// These lines and a key, and a body.
    fn lines(&mut self, name: String, lines: &[Line<'_>]) {
        let mut all = lines.to_vec();
        all.push((b"api-key", KEY.as_bytes()));
        self.frames(name, vec![head(0, &all), data(END_STREAM, "hello")]);
    }

    /// A good head with these lines behind.
    fn add(&mut self, name: String, lines: &[Line<'_>]) {
        self.lines(name, &[&PSEUDO[..], lines].concat());
    }
}

fn head(flags: u8, lines: &[Line<'_>]) -> Frame {
    (HEADERS, END_HEADERS | flags, 1, block(lines))
}

fn data(flags: u8, text: &str) -> Frame {
    (DATA, flags, 1, text.as_bytes().to_vec())
}

fn headers2(cases: &mut Cases2) {
    let lines: &[Line<'_>] = &[
        (b"connection", b"close"),
        (b"connection", b"keep-alive, transfer-encoding"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"identity"),
        (b"transfer_encoding", b"chunked"),
        (b"upgrade", b"websocket"),
        (b"te", b"gzip"),
        (b"te", b"trailers"),
        (b"te", b"trailers, chunked"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Upper", b"y"),
        (b"content-length", b"5"),
        (b"content-length", b"4"),
        (b"content-length", b"6"),
        (b"content-length", b"0"),
        (b"content-length", b"+5"),
        (b"content-length", b"05"),
        (b"content-length", b"5, 5"),
        (b"content-length", b""),
        (b"content-length", b"99999999999999999999"),
        (b"content_length", b"5"),
        (b"host", b"h"),
        (b"host", b"evil"),
        (b"host", b""),
        (b"expect", b"100-continue"),
        (b"http2-settings", b"AAMAAABk"),
        (b"", b"no name"),
        (b"x y", b"z"),
        (b"x:y", b"z"),
        (b"x\r\ny", b"z"),
        (b"x\0", b"z"),
        (b"x\xff", b"z"),
        (b"x: y\r\ntransfer-encoding", b"chunked"),
    ];
    for (name, value) in lines {
        let shown = format!("h2 {}: {}", name.escape_ascii(), value.escape_ascii());
        cases.add(shown, &[(name, value)]);
    }
    cases.add("h2 two lengths".into(), &[(b"content-length", b"5"), (b"content-length", b"5")]);
    cases.add(
        "h2 lengths that differ".into(),
        &[(b"content-length", b"5"), (b"content-length", b"0")],
    );
    cases.add("h2 two hosts".into(), &[(b"host", b"h"), (b"host", b"h")]);
}

fn pseudo2(cases: &mut Cases2) {
    for (place, line) in PSEUDO.into_iter().enumerate() {
        let name = line.0.escape_ascii();
        let mut lines = PSEUDO.to_vec();
        lines.remove(place);
        cases.lines(format!("h2 without {name}"), &lines);
        let mut lines = PSEUDO.to_vec();
        lines.push(line);
        cases.lines(format!("h2 {name} twice"), &lines);
        let mut lines = PSEUDO.to_vec();
        let late = lines.remove(place);
        lines.extend([(&b"x"[..], &b"y"[..]), late]);
        cases.lines(format!("h2 {name} behind a header"), &lines);
    }
    for name in [&b":status"[..], b":unknown", b":protocol", b":", b":Path", b":path "] {
        let mut lines = PSEUDO.to_vec();
        lines.push((name, b"200"));
        cases.lines(format!("h2 with {}", name.escape_ascii()), &lines);
    }
}

fn values2(cases: &mut Cases2) {
    let tricks: &[(usize, &[u8])] = &[
        (0, b""),
        (0, b"post"),
        (0, b"PO ST"),
        (0, b"POST /openai/canary/@ID@ HTTP/1.1\r\nx: y"),
        (0, b"GET\r\n"),
        (0, b"\0"),
        (0, b"CONNECT"),
        (0, b"PRI"),
        (1, b""),
        (1, b"ftp"),
        (1, b"http://evil/openai/canary/@ID@?"),
        (1, b"http\r\n"),
        (2, b""),
        (2, b"evil/x"),
        (2, b"user@h"),
        (2, b"h\r\nx: y"),
        (2, b"h evil"),
        (2, b"h\0"),
        (2, b"[::1"),
        (3, b""),
        (3, b"*"),
        (3, b"openai/case/@ID@"),
        (3, b"http://evil/openai/case/@ID@"),
        (3, b"//evil/openai/case/@ID@"),
        (3, b"/openai/case/@ID@ HTTP/1.1\r\nHost: h\r\n\r\nGET /openai/canary/@ID@"),
        (3, b"/openai/case/@ID@\r\nx: y"),
        (3, b"/openai/case/@ID@\n"),
        (3, b"/openai/case/@ID@\0"),
        (3, b"/openai/case/@ID@ x"),
        (3, b"/openai/case/@ID@\tx"),
        (3, b"/openai/case/@ID@#x"),
        (3, b"/openai/case/../canary/@ID@"),
        (3, b"/openai/case/%2e%2e/canary/@ID@"),
        (3, b"/openai/case/@ID@\x7f"),
        (3, b"/openai/case/@ID@\xff"),
        (3, b"/openai/case/@ID@%0d%0a"),
        (3, b"?x=y"),
    ];
    for (place, value) in tricks {
        let mut lines = PSEUDO.to_vec();
        lines[*place].1 = value;
        let name = lines[*place].0.escape_ascii();
        cases.lines(format!("h2 {name} is {}", value.escape_ascii()), &lines);
    }
    for value in [
        &b"a\r\nb"[..],
        b"a\nb",
        b"a\rb",
        b"a\0b",
        b"a\r\n\r\nGET /openai/canary/@ID@ HTTP/1.1\r\n\r\n",
        b"a\r\ntransfer-encoding: chunked",
        b" a",
        b"a ",
        b"\ta",
        b"a\x7f",
        b"\xff",
        b"a\x0b",
    ] {
        cases.add(format!("h2 value {}", value.escape_ascii()), &[(b"x", value)]);
    }
}

fn trailers2(cases: &mut Cases2) {
    let good = [&PSEUDO[..], &[(b"api-key", KEY.as_bytes())]].concat();
    let lines: &[Line<'_>] = &[
        (b"x", b"y"),
        (b"content-length", b"50"),
        (b"transfer-encoding", b"chunked"),
        (b"host", b"evil"),
        (b"connection", b"close"),
        (b":path", b"/openai/canary/@ID@"),
        (b"x", b"y\r\n\r\nGET /openai/canary/@ID@ HTTP/1.1\r\n\r\n"),
    ];
    for (name, value) in lines {
        let shown = format!("h2 trailer {}: {}", name.escape_ascii(), value.escape_ascii());
        let frames = vec![head(0, &good), data(0, "hello"), head(END_STREAM, &[(name, value)])];
        cases.frames(shown, frames);
    }
}

fn bodies2(cases: &mut Cases2) {
    let key: Line<'_> = (b"api-key", KEY.as_bytes());
    let good = [&PSEUDO[..], &[key]].concat();
    let with = |line: Line<'static>| [&good[..], &[line]].concat();
    let five = with((b"content-length", b"5"));
    let canary = CANARY;
    for (name, frames) in [
        ("no body, but a length", vec![head(END_STREAM, &five)]),
        ("a canary as the body", vec![head(0, &good), data(END_STREAM, canary)]),
        ("more than the length", vec![head(0, &five), data(0, "hello"), data(END_STREAM, canary)]),
        ("less than the length", vec![head(0, &five), data(END_STREAM, "he")]),
        (
            "length nought and a canary",
            vec![head(0, &with((b"content-length", b"0"))), data(END_STREAM, canary)],
        ),
        ("chunks as the body", vec![head(0, &good), data(END_STREAM, "0\r\n\r\n")]),
        ("data behind the end", vec![head(END_STREAM, &good), data(END_STREAM, canary)]),
        (
            "data behind the data",
            vec![head(0, &good), data(END_STREAM, "hello"), data(END_STREAM, canary)],
        ),
        ("a second head behind the end", vec![head(END_STREAM, &good), head(END_STREAM, &good)]),
        (
            "a second head that does not end",
            vec![head(0, &good), head(0, &good), data(END_STREAM, canary)],
        ),
        ("a reset behind the head", vec![head(0, &good), (RST_STREAM, 0, 1, vec![0, 0, 0, 8])]),
        (
            "padding longer than the frame",
            vec![head(0, &good), (DATA, 8 | END_STREAM, 1, b"\xffhello".to_vec())],
        ),
        (
            "data between head and continuation",
            vec![
                (HEADERS, 0, 1, block(&good)),
                data(END_STREAM, canary),
                (CONTINUATION, END_HEADERS, 1, Vec::new()),
            ],
        ),
        (
            "a continuation of another stream",
            vec![(HEADERS, 0, 1, block(&good)), (CONTINUATION, END_HEADERS, 3, Vec::new())],
        ),
        (
            "a continuation too many",
            vec![head(0, &good), (CONTINUATION, END_HEADERS, 1, block(&[(b"x", b"y")]))],
        ),
        (
            "a header table that is no table",
            vec![(HEADERS, END_HEADERS | END_STREAM, 1, vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])],
        ),
    ] {
        cases.frames(format!("h2 {name}"), frames);
    }
}
