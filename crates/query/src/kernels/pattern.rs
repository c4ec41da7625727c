//! Regular expressions. A pattern that is none is found when the query is lowered, if constant;
//! otherwise it matches nothing.

use kql::Function;

use super::strings::Window;
use super::{Kernel, Scratch, long_at, text_at};
use crate::cell::Cell;
use crate::json;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::Extract => extract,
        Function::ExtractAll => extract_all,
        Function::ReplaceRegex => replace_regex,
        Function::IndexOfRegex => index_of_regex,
        Function::CountOf => count_of,
        Function::Trim => |args, scratch| trim(args, scratch, true, true),
        Function::TrimStart => |args, scratch| trim(args, scratch, true, false),
        Function::TrimEnd => |args, scratch| trim(args, scratch, false, true),
    })
}

/// The position of the argument that is a regular expression, if the function takes one.
pub(crate) fn is_pattern(function: Function) -> Option<usize> {
    match function {
        Function::Extract
        | Function::ExtractAll
        | Function::Trim
        | Function::TrimStart
        | Function::TrimEnd => Some(0),
        Function::ReplaceRegex | Function::IndexOfRegex => Some(1),
        _ => None,
    }
}

fn extract<'a>(args: &[Cell<'a>], scratch: &Scratch) -> Cell<'a> {
    let Some(regex) = scratch.regex(text_at(args, 0)) else { return Cell::Null };
    let text = text_at(args, 2);
    let group = match &args[1] {
        Cell::Text(name) => regex.captures(text).and_then(|found| found.name(name)),
        other => other
            .as_long()
            .and_then(|group| usize::try_from(group).ok())
            .and_then(|group| regex.captures(text).and_then(|found| found.get(group))),
    };
    // A fourth argument is the type; the binder has made it the type of the call.
    Cell::or_null(group, |found| Cell::text(found.as_str().to_owned()))
}

fn extract_all<'a>(args: &[Cell<'a>], scratch: &Scratch) -> Cell<'a> {
    let Some(regex) = scratch.regex(text_at(args, 0)) else { return Cell::Null };
    let text = args.last().map_or("", Cell::str);
    let wanted: Option<Vec<usize>> = (args.len() == 3).then(|| {
        let names: Vec<Option<&str>> = regex.capture_names().collect();
        json::elements(text_at(args, 1))
            .filter_map(|group| match group.parse() {
                Ok(number) => Some(number),
                Err(_) => names.iter().position(|name| *name == Some(&*json::unquote(group))),
            })
            .collect()
    });
    let groups = wanted.unwrap_or_else(|| match regex.captures_len() {
        1 => vec![0],
        length => (1..length).collect(),
    });
    let mut rows = Vec::new();
    for found in regex.captures_iter(text) {
        let texts: Vec<&str> = groups
            .iter()
            .map(|group| found.get(*group).map_or("", |found| found.as_str()))
            .collect();
        rows.push(match texts.as_slice() {
            [single] => json::quoted(single),
            many => json::strings(many.iter().copied()),
        });
    }
    if rows.is_empty() { Cell::Null } else { Cell::dynamic(format!("[{}]", rows.join(","))) }
}

fn replace_regex<'a>(args: &[Cell<'a>], scratch: &Scratch) -> Cell<'a> {
    let Some(regex) = scratch.regex(text_at(args, 1)) else { return args[0].clone() };
    let rewrite = rewrite_groups(text_at(args, 2));
    Cell::text(regex.replace_all(text_at(args, 0), rewrite.as_str()).into_owned())
}

/// RE2 writes groups as `\1`, the regex crate as `${1}`.
fn rewrite_groups(rewrite: &str) -> String {
    let mut out = String::with_capacity(rewrite.len());
    let mut characters = rewrite.chars();
    while let Some(character) = characters.next() {
        match character {
            '$' => out.push_str("$$"),
            '\\' => match characters.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str("${");
                    out.push(digit);
                    out.push('}');
                }
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

fn index_of_regex<'a>(args: &[Cell<'a>], scratch: &Scratch) -> Cell<'a> {
    let text = text_at(args, 0);
    let Some(regex) = scratch.regex(text_at(args, 1)) else { return Cell::Null };
    if long_at(args, 2).is_some_and(|start| start < 0) {
        return Cell::Null;
    }
    let Some(window) = Window::new(text, &args[2..]) else { return Cell::Null };
    let found = regex.find_iter(window.text(text)).nth(window.occurrence - 1);
    Cell::Long(found.map_or(-1, |found| window.position(text, found.start())))
}

/// Plain occurrences may overlap; those of a regular expression do not.
fn count_of<'a>(args: &[Cell<'a>], scratch: &Scratch) -> Cell<'a> {
    let (text, wanted) = (text_at(args, 0), text_at(args, 1));
    let count = match text_at(args, 2) {
        "regex" => scratch.regex(wanted).map(|regex| regex.find_iter(text).count()),
        _ if wanted.is_empty() => Some(0),
        _ => Some(text.char_indices().filter(|(at, _)| text[*at..].starts_with(wanted)).count()),
    };
    Cell::or_null(count.and_then(|count| i64::try_from(count).ok()), Cell::Long)
}

fn trim<'a>(args: &[Cell<'a>], scratch: &Scratch, start: bool, end: bool) -> Cell<'a> {
    let pattern = text_at(args, 0);
    let mut text = text_at(args, 1);
    if start
        && let Some(regex) = scratch.regex(&format!("^(?:{pattern})"))
        && let Some(found) = regex.find(text)
    {
        text = &text[found.end()..];
    }
    if end
        && let Some(regex) = scratch.regex(&format!("(?:{pattern})$"))
        && let Some(found) = regex.find(text)
    {
        text = &text[..found.start()];
    }
    Cell::text(text.to_owned())
}
