//! What commands say: results on standard output, everything else on standard error.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two looks of what turns while something is waited for.
const TURN: Duration = Duration::from_millis(120);

/// Shows on a terminal that something is waited for, and for how long, until it is dropped.
pub(crate) struct Waiting(ProgressBar);

impl Waiting {
    pub(crate) fn begin(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.set_style(style.expect("the template is well-formed"));
        bar.enable_steady_tick(TURN);
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

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

/// Stored text on one line of a terminal. It may drive the terminal, turn the line around or hide itself: what
/// does not show is written out, as in the portal. The joiners U+200C and U+200D stay: scripts and emoji need them.
pub(crate) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => line.push(' '),
            hidden if is_hidden(hidden) => line.push_str(&format!("‹U+{:04X}›", u32::from(hidden))),
            shown => line.push(shown),
        }
    }
    line
}

fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_drives_a_terminal_or_hides_is_written_out() {
        assert_eq!(plain("gpt\u{1b}[31m red\u{202e}gnp.exe"), "gpt‹U+001B›[31m red‹U+202E›gnp.exe");
        assert_eq!(plain("a\tb\r\nc\u{9b}2J"), "a b  c‹U+009B›2J");
        assert_eq!(plain("Grüße 👩\u{200d}💻 مرحبا"), "Grüße 👩\u{200d}💻 مرحبا");
    }
}
