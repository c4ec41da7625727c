//! No request makes an inspection panic, whatever its bytes are.

use proptest::prelude::*;
use waf::{Body, Request, Ruleset};

use crate::support::{OWN_SETTINGS, core_rule_set, rules};

/// Every operator and transformation over everything that a caller sends.
fn all() -> Ruleset {
    let mut text = String::new();
    let targets = "REQUEST_URI|ARGS|ARGS_NAMES|REQUEST_HEADERS|REQUEST_COOKIES|REQUEST_BODY|FILES|MULTIPART_PART_HEADERS|REQUEST_BASENAME";
    let operators = [
        "@rx (?i)a(b|c)*d",
        "@rx (?<=a)b(?!c)",
        "@pm a b select",
        "@containsWord a",
        "@within abc",
        "@detectSQLi",
        "@detectXSS",
        "@validateByteRange 1-255",
        "@validateUrlEncoding",
        "@validateUtf8Encoding",
        "@ipMatch 10.0.0.0/8",
        "@gt 3",
        "@endsWith %{tx.0}",
    ];
    let transformations = [
        "base64Decode",
        "base64DecodeExt",
        "cmdLine",
        "compressWhitespace",
        "cssDecode",
        "escapeSeqDecode",
        "hexDecode",
        "htmlEntityDecode",
        "jsDecode",
        "md5",
        "normalizePath",
        "normalizePathWin",
        "removeComments",
        "removeCommentsChar",
        "removeNulls",
        "removeWhitespace",
        "replaceComments",
        "sha1",
        "sqlHexDecode",
        "trim",
        "urlDecode",
        "urlDecodeUni",
        "urlEncode",
        "utf8toUnicode",
    ];
    let mut id = 1;
    for operator in operators {
        for transformation in transformations {
            text += &format!(
                "SecRule {targets} \"{operator}\" \"id:{id},phase:2,pass,capture,multiMatch,t:{transformation},t:lowercase,setvar:'tx.%{{MATCHED_VAR_NAME}}=+%{{MATCHED_VAR}}'\"\n"
            );
            id += 1;
        }
    }
    text += "SecAction \"id:9999,phase:1,pass,ctl:forceRequestBodyVariable=On\"\n";
    rules(&text)
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let chosen = prop::sample::select(vec![
        &b"%u00"[..],
        b"%",
        b"\\u",
        b"\\x4",
        b"&#x",
        b"&#99999999999;",
        b"/*",
        b"*/",
        b"--",
        b"#",
        b"../",
        b"<script",
        b"' or 1=1",
        b"{\"a\":[",
        b"--b\r\n",
        b"\r\n\r\n",
        b"content-disposition: form-data; name=\"",
        b"\xff\xfe",
        b"\xe2\x82",
        b"0x",
        b"\\377",
        b"==",
        b"//",
        b"\0",
        b"union select",
        b"=",
        b"&",
        b";",
    ]);
    prop_oneof![chosen.prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 0..24)]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

fn look(rules: &Ruleset, uri: &[u8], header: &[u8], body: &[u8], kind: &str) {
    let uri = format!("/{}", String::from_utf8_lossy(uri));
    let headers = [("content-type", kind.as_bytes()), ("cookie", header), ("x", header)];
    let request = Request {
        method: "POST",
        uri: &uri,
        protocol: "HTTP/1.1",
        headers: &headers,
        remote_address: None,
        unique_id: "",
        received_unix_micros: u64::from(header.len() as u32) << 32,
        body: Body::Read { bytes: body, is_partial: body.len().is_multiple_of(2) },
    };
    let verdict = rules.evaluate(&request, true);
    assert!(verdict.matches.len() <= waf::MATCHES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_request_makes_an_inspection_panic(
        uri in bytes(),
        header in bytes(),
        body in bytes(),
        kind in prop::sample::select(vec![
            "application/json", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded", "text/plain",
        ]),
    ) {
        thread_local!(static RULES: (Ruleset, Option<Ruleset>) = (all(), core_rule_set(OWN_SETTINGS)));
        RULES.with(|(own, core)| {
            look(own, &uri, &header, &body, kind);
            core.iter().for_each(|core| look(core, &uri, &header, &body, kind));
        });
    }

    #[test]
    fn no_rule_file_makes_the_parser_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "SecRule ", "SecAction ", "ARGS|!ARGS:/a/ ", "\"@rx (a\" ", "\"id:1,", "phase:2,", "chain\"", "\n", "\\\n", "'", "\"", "&TX:", "%{",
        "}", "setvar:tx.a=+1,", "skipAfter:X", "SecMarker X", "ctl:ruleRemoveById=", "1-2", "#", "é",
    ]), 0..30)) {
        let files = [waf::RuleFile { name: "f".to_owned(), text: pieces.concat() }];
        let _ = Ruleset::parse(&files, Vec::new(), &|_, _| Ok(String::new()));
    }
}
