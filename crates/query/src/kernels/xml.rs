//! `parse_xml`: elements become members of bags, attributes members whose names begin with `@`, text
//! beside them `#text`; elements of one name become an array.

use kql::Function;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::Kernel;
use crate::cell::Cell;
use crate::json::quoted;

/// Longest text that is read, as in Kusto.
const BYTES_MAX: usize = 128 * 1024;
const DEPTH_MAX: usize = 128;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::ParseXml => |args, _| Cell::or_null(document(args[0].str()), Cell::dynamic),
    })
}

/// An element while it is read.
#[derive(Default)]
struct Element {
    name: String,
    /// Names and their values, in the order they first came.
    members: Vec<(String, Vec<String>)>,
    text: String,
}

impl Element {
    fn add(&mut self, name: String, json: String) {
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(json),
            None => self.members.push((name, vec![json])),
        }
    }

    fn json(mut self) -> String {
        let text = self.text.trim();
        if self.members.is_empty() {
            return if text.is_empty() { "null".to_owned() } else { quoted(text) };
        }
        if !text.is_empty() {
            let text = quoted(text);
            self.add("#text".to_owned(), text);
        }
        let member = |(name, values): &(String, Vec<String>)| match &values[..] {
            [one] => format!("{}:{one}", quoted(name)),
            several => format!("{}:[{}]", quoted(name), several.join(",")),
        };
        format!("{{{}}}", self.members.iter().map(member).collect::<Vec<_>>().join(","))
    }
}

/// None if the text is no XML document, is too long, or has a document type.
fn document(text: &str) -> Option<String> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if open.len() > DEPTH_MAX {
                    return None;
                }
                open.push(element(&start)?);
            }
            Event::Empty(start) => {
                let mut empty = element(&start)?;
                let name = std::mem::take(&mut empty.name);
                open.last_mut()?.add(name, empty.json());
            }
            Event::End(_) => {
                let mut closed = open.pop()?;
                let name = std::mem::take(&mut closed.name);
                open.last_mut()?.add(name, closed.json());
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(name) => {
                let character = match name.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&name)?.to_owned(),
                };
                open.last_mut()?.text.push_str(&character);
            }
            Event::DocType(_) => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let root = open.pop()?;
    let is_document = open.is_empty() && root.text.trim().is_empty() && root.members.len() == 1;
    is_document.then(|| root.json())
}

fn element(start: &BytesStart<'_>) -> Option<Element> {
    let mut element = Element { name: start.name().0.to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
        element.add(format!("@{}", attribute.key.0), quoted(&value));
    }
    Some(element)
}
