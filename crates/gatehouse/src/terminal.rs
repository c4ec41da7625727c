//! What commands say: results on standard output, everything else on standard error.

use std::io::Write;

/// Prints a result. A closed pipe ends the program quietly, as `head` expects.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Says something beside the result; nobody may be listening any more.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
