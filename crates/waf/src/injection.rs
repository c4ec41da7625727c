//! SQL injection and cross-site scripting as libinjection finds them.
//!
//! The port is memory-safe but young (docs/adr/0038-waf.md). Should it panic on a value, the value counts
//! as an attack and nothing else is harmed: an inspection must end with an answer.

use std::panic::catch_unwind;

/// Longest beginning of a value that is read as SQL. It is judged by its first five words once comments and
/// expressions are folded, and the time for that grows with the square of the length.
const SQL_BYTES_MAX: usize = 4 << 10;

/// The value would change a SQL statement that it is put into.
pub(crate) fn is_sql(value: &[u8]) -> bool {
    let value = &value[..value.len().min(SQL_BYTES_MAX)];
    catch_unwind(|| libinjectionrs::detect_sqli(value).is_injection()).unwrap_or(true)
}

/// The value would run as script in a page that it is put into.
pub(crate) fn is_script(value: &[u8]) -> bool {
    catch_unwind(|| libinjectionrs::detect_xss(value).is_injection()).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn injections_are_told_from_ordinary_text() {
        for text in ["1' or '1'='1", "1 union select a from b", "-1; drop table x--", "1) or (1=1"]
        {
            assert!(is_sql(text.as_bytes()), "{text}");
        }
        for text in ["hello", "it's a test", "select the best of them", "a=b", ""] {
            assert!(!is_sql(text.as_bytes()), "{text}");
        }
        for text in
            ["<script>a", "<img src=x onerror=a>", "x\" onload=\"a", "<a href=javascript:a>"]
        {
            assert!(is_script(text.as_bytes()), "{text}");
        }
        for text in ["hello", "a < b and b > c", "<b>bold</b>", ""] {
            assert!(!is_script(text.as_bytes()), "{text}");
        }
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "'",
            "\"",
            "`",
            "--",
            "/*",
            "*/",
            "/*!",
            "#",
            "@@",
            "@`",
            "0x",
            "0b1",
            "1e",
            ".",
            "$$",
            "$a$",
            "q'(",
            "n'",
            "x'",
            "{",
            "[",
            "\\",
            ";",
            "<",
            "<!--",
            "<![CDATA[",
            "<?",
            "<%",
            "&#x",
            "&#",
            "=",
            "/",
            ">",
            "on",
            "style",
            "union",
            "select",
            "sp_password",
            "\u{e9}",
            "\0",
            " ",
            "\u{a0}",
            "u&'",
            "||",
            "<=>",
            ":=",
        ]);
        let pieces = prop::collection::vec(piece, 0..20).prop_map(|all| all.concat().into_bytes());
        prop_oneof![pieces, prop::collection::vec(any::<u8>(), 0..64)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Not through `catch_unwind`: here it would hide what is looked for.
        #[test]
        fn the_port_does_not_panic(value in hostile()) {
            libinjectionrs::detect_sqli(&value);
            libinjectionrs::detect_xss(&value);
        }
    }
}
