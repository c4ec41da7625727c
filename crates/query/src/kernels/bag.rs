//! Property bags and what parses into them.

use kql::Function;

use super::array::{array, elements};
use super::{Kernel, Scratch, text_at};
use crate::cell::Cell;
use crate::convert::{parse_json, to_json, to_text};
use crate::json::{self, Shape};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::ParseJson => |args, _| match &args[0] {
            Cell::Text(text) => parse_json(text),
            other => other.clone(),
        },
        Function::ExtractJson => extract_json,
        Function::DynamicToJson => |args, _| Cell::text(canonical(&to_json(&args[0]))),
        Function::BagKeys => keys,
        Function::BagPack => pack,
        Function::BagMerge => merge,
        Function::BagHasKey => has_key,
        Function::BagRemoveKeys => remove_keys,
        Function::BagSetKey => set_key,
        Function::BagZip => zip,
        Function::TreePath => tree_path,
        Function::ParsePath => parse_path,
    })
}

/// Members in order; a later one of the same name replaces the earlier.
#[derive(Debug, Default)]
pub(crate) struct Bag {
    members: Vec<(String, String)>,
}

impl Bag {
    /// Keeps the first value of a name.
    pub(crate) fn keep(&mut self, key: &str, json: &str) {
        if !self.members.iter().any(|(name, _)| name == key) {
            self.members.push((key.to_owned(), json.to_owned()));
        }
    }

    pub(crate) fn set(&mut self, key: &str, json: &str) {
        match self.members.iter_mut().find(|(name, _)| name == key) {
            Some((_, value)) => json.clone_into(value),
            None => self.members.push((key.to_owned(), json.to_owned())),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn json(&self) -> String {
        let mut out = String::from("{");
        for (position, (key, value)) in self.members.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            json::push_quoted(&mut out, key);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        out
    }
}

fn object<'s>(cell: &'s Cell<'_>) -> Option<&'s str> {
    match cell {
        Cell::Dynamic(json) if json::shape(json) == Shape::Object => Some(json),
        _ => None,
    }
}

fn extract_json<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(steps) = json::path(text_at(args, 0)) else { return Cell::Null };
    let Some(json) = json::compact(text_at(args, 1)) else { return Cell::Null };
    let found = json::follow(&json, &steps).map(|found| Cell::dynamic(found.to_owned()));
    found.map_or(Cell::Null, |found| Cell::text(to_text(&found).into_owned()))
}

/// The text with the members of its objects sorted by name.
fn canonical(text: &str) -> String {
    match json::shape(text) {
        Shape::Object => {
            let mut members: Vec<_> = json::entries(text).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            let mut bag = Bag::default();
            for (key, value) in members {
                bag.set(&key, &canonical(value));
            }
            bag.json()
        }
        Shape::Array => {
            let items: Vec<String> = json::elements(text).map(canonical).collect();
            array(&items).str().to_owned()
        }
        _ => text.to_owned(),
    }
}

fn keys<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(bag) = object(&args[0]) else { return Cell::Null };
    let names: Vec<_> = json::entries(bag).map(|(name, _)| name).collect();
    Cell::dynamic(json::strings(names.iter().map(|name| &**name)))
}

fn pack<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let mut bag = Bag::default();
    for pair in args.chunks_exact(2) {
        bag.set(&to_text(&pair[0]), &to_json(&pair[1]));
    }
    Cell::dynamic(bag.json())
}

/// The leftmost value of a name wins.
fn merge<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let mut bag = Bag::default();
    let mut is_any = false;
    for part in args.iter().filter_map(object) {
        is_any = true;
        for (key, value) in json::entries(part) {
            bag.keep(&key, value);
        }
    }
    if is_any { Cell::dynamic(bag.json()) } else { Cell::Null }
}

fn has_key<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(bag) = object(&args[0]) else { return Cell::Null };
    let key = text_at(args, 1);
    let has_path = key.starts_with("$.") || key.starts_with("$[");
    let found = match json::path(key) {
        Some(steps) if has_path => json::follow(bag, &steps),
        _ => json::member(bag, key),
    };
    Cell::Bool(found.is_some())
}

fn remove_keys<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(bag) = object(&args[0]) else { return Cell::Null };
    let doomed = elements(&args[1]).unwrap_or_default();
    let doomed: Vec<_> = doomed.into_iter().map(json::unquote).collect();
    let paths: Vec<Vec<json::Step>> = doomed
        .iter()
        .map(|key| match json::path(key) {
            Some(steps) if key.starts_with("$.") || key.starts_with("$[") => steps,
            _ => vec![json::Step::Member(key.to_string())],
        })
        .collect();
    let paths: Vec<&[json::Step]> = paths.iter().map(Vec::as_slice).collect();
    Cell::dynamic(without(bag, &paths))
}

/// The object without the members that the paths lead to.
fn without(text: &str, paths: &[&[json::Step]]) -> String {
    let mut bag = Bag::default();
    for (key, value) in json::entries(text) {
        let below: Vec<&[json::Step]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(step, _)| matches!(step, json::Step::Member(name) if *name == key))
            .map(|(_, rest)| rest)
            .collect();
        if below.iter().any(|rest| rest.is_empty()) {
            continue;
        }
        if below.is_empty() || json::shape(value) != Shape::Object {
            bag.set(&key, value);
        } else {
            bag.set(&key, &without(value, &below));
        }
    }
    bag.json()
}

fn set_key<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(text) = object(&args[0]) else { return Cell::Null };
    let mut bag = Bag::default();
    for (key, value) in json::entries(text) {
        bag.set(&key, value);
    }
    bag.set(text_at(args, 1), &to_json(&args[2]));
    Cell::dynamic(bag.json())
}

fn zip<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(keys) = elements(&args[0]) else { return Cell::Null };
    let values = elements(&args[1]).unwrap_or_default();
    let mut bag = Bag::default();
    for (position, key) in keys.iter().enumerate() {
        if json::shape(key) != Shape::String {
            continue;
        }
        bag.set(&json::unquote(key), values.get(position).copied().unwrap_or("null"));
    }
    Cell::dynamic(bag.json())
}

fn tree_path<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let mut paths = Vec::new();
    if let Cell::Dynamic(json) = &args[0] {
        walk(json, String::new(), &mut paths);
    }
    Cell::dynamic(json::strings(paths.iter().map(String::as_str)))
}

fn walk(text: &str, path: String, paths: &mut Vec<String>) {
    for (key, value) in json::entries(text) {
        let here = format!("{path}['{key}']");
        paths.push(here.clone());
        walk(value, here, paths);
    }
    if json::shape(text) == Shape::Array && json::elements(text).next().is_some() {
        let here = format!("{path}[0]");
        paths.push(here.clone());
        for element in json::elements(text) {
            let mut below = Vec::new();
            walk(element, here.clone(), &mut below);
            for path in below {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
    }
}

/// The parts of a file path or URI.
fn parse_path<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let text = text_at(args, 0);
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let separator = rest.rfind(['/', '\\']);
    let file = separator.map_or(rest, |at| &rest[at + 1..]);
    let directory = separator.map_or("", |at| &rest[..at]);
    let root = rest.find(['/', '\\']).map_or("", |at| &rest[..at]);
    let root = if root.ends_with(':') { root } else { "" };
    let name = directory.rfind(['/', '\\']).map_or(directory, |at| &directory[at + 1..]);
    let (file, stream) = file.split_once(':').unwrap_or((file, ""));
    let extension = file.rfind('.').map_or("", |at| &file[at + 1..]);
    let mut bag = Bag::default();
    for (key, value) in [
        ("Scheme", scheme),
        ("RootPath", root),
        ("DirectoryPath", directory),
        ("DirectoryName", name),
        ("Filename", file),
        ("Extension", extension),
        ("AlternateDataStreamName", stream),
    ] {
        bag.set(key, &json::quoted(value));
    }
    Cell::dynamic(bag.json())
}

/// An array of `[key, value]` for each member, or a bag of one member each.
pub(crate) fn members(json: &str, is_array: bool) -> Vec<String> {
    json::entries(json)
        .map(|(key, value)| {
            if is_array {
                return array(&[json::quoted(&key).as_str(), value]).str().to_owned();
            }
            let mut bag = Bag::default();
            bag.set(&key, value);
            bag.json()
        })
        .collect()
}
