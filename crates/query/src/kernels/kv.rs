//! Key-value pairs in text, as `parse-kv` takes them apart.

use kql::Function;

use super::{Bag, Kernel, Scratch, at, text_at};
use crate::cell::Cell;
use crate::json;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, { Function::ParseKv => parse })
}

/// How pairs are written.
struct Form<'a> {
    pair: &'a str,
    key_value: &'a str,
    open: Option<char>,
    close: Option<char>,
    escape: Option<char>,
}

/// (text, wanted keys, pair delimiters, key-value delimiters, quotes, escape, greedy).
fn parse<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let mut quotes = text_at(args, 4).chars();
    let open = quotes.next();
    let form = Form {
        pair: text_at(args, 2),
        key_value: text_at(args, 3),
        open,
        close: quotes.next().or(open),
        escape: text_at(args, 5).chars().next(),
    };
    let wanted: Vec<String> =
        json::elements(text_at(args, 1)).map(|key| json::unquote(key).into_owned()).collect();
    let greedy = at(args, 6).and_then(Cell::as_bool) == Some(true);
    let pairs =
        if greedy { form.greedy(text_at(args, 0), &wanted) } else { form.pairs(text_at(args, 0)) };
    let mut bag = Bag::default();
    for (key, value) in pairs {
        if wanted.contains(&key) {
            bag.keep(&key, &json::quoted(&value));
        }
    }
    Cell::dynamic(bag.json())
}

impl Form<'_> {
    /// Every pair, in order; text without a value is passed over.
    fn pairs(&self, text: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(|c| self.pair.contains(c));
            if rest.is_empty() {
                return pairs;
            }
            let (key, after) = self.part(rest, self.key_value);
            rest = after;
            if !rest.starts_with(|c| self.key_value.contains(c)) {
                continue;
            }
            rest = skip_one(rest);
            let (value, after) = self.part(rest, "");
            rest = after;
            pairs.push((key, value));
        }
    }

    /// A part that ends at a pair delimiter or one of the further ends; quotes keep those in.
    fn part<'t>(&self, text: &'t str, ends: &str) -> (String, &'t str) {
        let mut out = String::new();
        let mut chars = text.char_indices().peekable();
        if let (Some(open), Some(close)) = (self.open, self.close)
            && text.starts_with(open)
        {
            chars.next();
            while let Some((at, c)) = chars.next() {
                if Some(c) == self.escape
                    && let Some((_, escaped)) = chars.next()
                {
                    out.push(escaped);
                } else if c == close {
                    return (out, &text[at + c.len_utf8()..]);
                } else {
                    out.push(c);
                }
            }
            return (out, "");
        }
        for (at, c) in chars {
            if self.pair.contains(c) || ends.contains(c) {
                return (out, &text[at..]);
            }
            out.push(c);
        }
        (out, "")
    }

    /// A value goes on to the next key, pair delimiters and all.
    fn greedy(&self, text: &str, wanted: &[String]) -> Vec<(String, String)> {
        let mut starts: Vec<(usize, usize, &String)> = Vec::new();
        for key in wanted {
            for (at, _) in text.match_indices(key.as_str()) {
                let before = text[..at].chars().next_back();
                let after = at + key.len();
                let follows = text[after..].starts_with(|c| self.key_value.contains(c));
                if follows && before.is_none_or(|c| self.pair.contains(c)) {
                    starts.push((at, after, key));
                    break;
                }
            }
        }
        starts.sort_unstable_by_key(|(at, ..)| *at);
        let ends = starts.iter().skip(1).map(|(at, ..)| *at).chain([text.len()]);
        let pairs = starts.iter().zip(ends);
        pairs
            .map(|((_, after, key), end)| {
                let value = skip_one(text.get(*after..end).unwrap_or(""));
                let value = value.trim_end_matches(|c| self.pair.contains(c));
                ((*key).clone(), value.to_owned())
            })
            .collect()
    }
}

fn skip_one(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}
