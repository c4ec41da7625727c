//! The types that dynamic values have, as `buildschema` tells them.

use crate::json::{self, Shape};

/// What was seen in one place.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// Names of scalar types, in the order they were met.
    scalars: Vec<&'static str>,
    members: Vec<(String, Schema)>,
    elements: Option<Box<Schema>>,
}

impl Schema {
    /// Adds a value.
    pub(crate) fn see(&mut self, text: &str) {
        let scalar = match json::shape(text) {
            Shape::Null => return,
            Shape::Array => {
                let elements = self.elements.get_or_insert_default();
                json::elements(text).for_each(|element| elements.see(element));
                return;
            }
            Shape::Object => {
                for (key, value) in json::entries(text) {
                    let at = self.members.iter().position(|(known, _)| *known == *key);
                    let at = at.unwrap_or_else(|| {
                        self.members.push((key.into_owned(), Self::default()));
                        self.members.len() - 1
                    });
                    self.members[at].1.see(value);
                }
                return;
            }
            Shape::Bool => "bool",
            Shape::Number if text.parse::<i64>().is_ok() => "long",
            Shape::Number => "double",
            Shape::String => "string",
        };
        if !self.scalars.contains(&scalar) {
            self.scalars.push(scalar);
        }
    }

    /// One type, or an array of all that were met.
    pub(crate) fn json(&self) -> String {
        let mut all: Vec<String> = self.scalars.iter().map(|name| format!("\"{name}\"")).collect();
        let mut members: Vec<String> = self
            .members
            .iter()
            .map(|(key, schema)| format!("{}:{}", json::quoted(key), schema.json()))
            .collect();
        members.extend(self.elements.iter().map(|of| format!("\"indexer\":{}", of.json())));
        if !members.is_empty() {
            all.push(format!("{{{}}}", members.join(",")));
        }
        match &all[..] {
            [single] => single.clone(),
            _ => format!("[{}]", all.join(",")),
        }
    }
}
