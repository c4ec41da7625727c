//! Data-driven tests: a file of cases, `input`, `----`, `expected`, cases apart by `====`.

mod conformance;
mod soundness;

/// Runs every case of `testdata/<file>`; `UPDATE_EXPECT=1` rewrites the expected sides.
pub(crate) fn check(file: &str, run: impl Fn(&str) -> String) {
    let path = format!("{}/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut rewritten, mut wrong) = (Vec::new(), Vec::new());
    for case in text.split("\n====\n") {
        let (input, expected) = case.split_once("\n----\n").unwrap_or((case.trim_end(), ""));
        let actual = run(input).trim_end().to_owned();
        if actual != expected.trim_end() {
            wrong.push(format!("{input}\n---- expected\n{expected}\n---- but got\n{actual}\n"));
        }
        rewritten.push(format!("{input}\n----\n{actual}"));
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, rewritten.join("\n====\n") + "\n").unwrap();
    } else {
        assert!(wrong.is_empty(), "{file}:\n{}", wrong.join("\n"));
    }
}
