//! The page of the configuration, from its JSON Schema: every field with its path, type, default
//! and meaning.

use std::fmt::Write;

use serde_json::Value;

use super::{cell, title};
use crate::config::Config;

const INTRODUCTION: &str = "\
The file is YAML, `gatehouse.yaml` unless `--config` or `GATEHOUSE_CONFIG` names another. Every field
has a default, but `backends` needs an entry; an unknown field is an error.
`[]` in a path stands for each entry of a list. Relative paths start at the file's folder.

A variable `GATEHOUSE__SECTION__FIELD` sets a field over the file, as in
`GATEHOUSE__LEDGER__DURABILITY=overlap`; its value is YAML. Lists are set as a whole.

`gatehouse config validate` checks a file, `gatehouse config schema` prints the JSON Schema for an
editor. Secrets never stand in the file, only the place where they are found.

";

/// A struct of the configuration, to be shown as a section.
struct Section {
    /// Path of its fields without the last dot; empty at the top.
    path: String,
    /// What it is, from the field that holds it.
    meaning: String,
    /// Its schema.
    schema: Value,
    /// What its fields are by default here, where that is not what they are elsewhere.
    given: Value,
}

/// What a field is.
enum Shape {
    /// A section, or a list of them.
    Section { schema: Value, is_list: bool },
    /// A single value: name of its type, and what there is to say of its choices.
    Value { name: String, choices: String },
}

pub(super) fn render() -> String {
    let root = schemars::schema_for!(Config).to_value();
    let mut page = title("Configuration", "configuration");
    page.push_str(INTRODUCTION);
    let top = Section {
        path: String::new(),
        meaning: String::new(),
        schema: root.clone(),
        given: Value::Null,
    };
    page.push_str(&section(&root, &top));
    page
}

/// A section with its fields, followed by the sections within it.
fn section(root: &Value, section: &Section) -> String {
    let mut rows = String::new();
    let mut inner = Vec::new();
    for (name, field) in section.schema["properties"].as_object().into_iter().flatten() {
        let path = match section.path.as_str() {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let meaning = field["description"].as_str().unwrap_or_default();
        let given = Some(&section.given[name]).filter(|given| !given.is_null());
        let given = given.unwrap_or(&field["default"]);
        match shape(root, field) {
            Shape::Section { schema, is_list } => {
                let path = if is_list { format!("{path}[]") } else { path };
                let mut meaning = meaning.to_owned();
                if is_list || given.is_null() {
                    let _ = write!(meaning, " Default: {}.", default(name, given));
                }
                inner.push(Section { path, meaning, schema, given: given.clone() });
            }
            Shape::Value { name: type_name, choices } => {
                let default = default(name, given);
                let meaning = cell(&format!("{meaning}{choices}"));
                let _ = writeln!(rows, "| `{path}` | {type_name} | {default} | {meaning} |");
            }
        }
    }
    let heading = match section.path.as_str() {
        "" => "Top level",
        path => path,
    };
    let mut out = format!("## {heading}\n\n");
    if !section.meaning.is_empty() {
        let _ = writeln!(out, "{}\n", cell(&section.meaning));
    }
    let _ = write!(out, "| field | type | default | meaning |\n|---|---|---|---|\n{rows}");
    for inner in inner {
        let _ = write!(out, "\n{}", self::section(root, &inner));
    }
    out
}

fn shape(root: &Value, field: &Value) -> Shape {
    // A field that may be null has its schema as one of two.
    let field = field["anyOf"].get(0).unwrap_or(field);
    let target = resolve(root, field);
    if target["properties"].is_object() {
        return Shape::Section { schema: target.clone(), is_list: false };
    }
    let items = resolve(root, &field["items"]);
    if items["properties"].is_object() {
        return Shape::Section { schema: items.clone(), is_list: true };
    }
    if let Some(choices) = target["oneOf"].as_array() {
        return choice(choices);
    }
    let name = if items.is_null() {
        type_name(target).to_owned()
    } else {
        format!("list of {}s", type_name(items))
    };
    Shape::Value { name, choices: String::new() }
}

/// What a schema refers to, or itself.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

/// A field with a few possible values, each with its meaning.
fn choice(choices: &[Value]) -> Shape {
    let mut text = String::new();
    let mut is_word = true;
    for choice in choices {
        let value = match choice["const"].as_str() {
            Some(word) => word.to_owned(),
            None => {
                is_word = false;
                let name = choice["required"][0].as_str().unwrap_or_default();
                format!("{name}: …")
            }
        };
        let meaning = choice["description"].as_str().unwrap_or_default();
        let _ = write!(text, " `{value}`: {meaning}");
    }
    Shape::Value { name: if is_word { "word" } else { "place" }.to_owned(), choices: text }
}

fn type_name(schema: &Value) -> &str {
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("integer") => "whole number",
        Some("boolean") => "true or false",
        Some("string") => "text",
        kind => kind.unwrap_or("any"),
    }
}

fn default(name: &str, given: &Value) -> String {
    match given {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{}`", cell(text)),
        Value::Array(entries) if entries.is_empty() => "empty".to_owned(),
        Value::Number(number) if name.contains("bytes") => {
            let size = number.as_u64().and_then(size).map_or(String::new(), |s| format!(" ({s})"));
            format!("`{number}`{size}")
        }
        value => format!("`{}`", cell(&value.to_string())),
    }
}

/// A round number of bytes in its largest unit.
fn size(bytes: u64) -> Option<String> {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let is_round = |shift: u32| bytes > 0 && bytes.trailing_zeros() >= shift;
    let (shift, unit) = units.into_iter().find(|(shift, _)| is_round(*shift))?;
    Some(format!("{} {unit}", bytes >> shift))
}
