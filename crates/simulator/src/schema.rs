//! An instance of a JSON schema, so that structured outputs and tool arguments are valid for it.

use serde_json::{Map, Value, json};

use crate::text::{Words, mix};

/// Deepest nesting that is filled; below it everything is null or empty.
const DEPTH_MAX: usize = 12;
/// Most members and items made in all.
const NODES_MAX: usize = 2000;

/// A value that fits `schema`, drawn from `seed`.
pub(crate) fn instance(schema: &Value, seed: u64) -> Value {
    let mut maker = Maker { root: schema, seed, nodes: 0 };
    maker.make(schema, 0)
}

struct Maker<'a> {
    root: &'a Value,
    seed: u64,
    nodes: usize,
}

impl Maker<'_> {
    fn make(&mut self, schema: &Value, depth: usize) -> Value {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Value::Null;
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(values) =
            schema.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty())
        {
            return values[(self.draw() % values.len() as u64) as usize].clone();
        }
        if let Some(target) =
            schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'))
        {
            let target = self.root.pointer(target).cloned().unwrap_or(Value::Null);
            return self.make(&target, depth + 1);
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema.get(word).and_then(|choices| choices.get(0)) {
                return self.make(&first.clone(), depth + 1);
            }
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => json!(self.bounded(schema).round() as i64),
            "number" => json!(self.bounded(schema)),
            "boolean" => json!(self.draw().is_multiple_of(2)),
            "null" => Value::Null,
            _ => json!(Words { seed: self.draw(), tokens: 2 }.text()),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut map = Map::new();
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            map.insert(name.clone(), self.make(property, depth + 1));
        }
        Value::Object(map)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
        let Some(item) = schema.get("items") else { return json!([]) };
        (0..least).map(|_| self.make(item, depth + 1)).collect()
    }

    fn bounded(&mut self, schema: &Value) -> f64 {
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        let low = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|low| low + 1.0));
        let high = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|high| high - 1.0));
        let low = low.unwrap_or_else(|| high.map_or(1.0, |high| high.min(1.0)));
        let high = high.unwrap_or(low + 41.0).max(low);
        (low + (self.draw() % 42) as f64).min(high)
    }

    fn draw(&mut self) -> u64 {
        mix(self.seed, self.nodes as u64)
    }
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string"),
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_fits_its_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": "integer", "minimum": 3, "maximum": 5},
                "kind": {"enum": ["x", "y"]},
                "tree": {"$ref": "#/$defs/node"},
                "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
            },
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        });
        let value = instance(&schema, 9);
        assert!((3..=5).contains(&value["a"].as_i64().unwrap()));
        assert!(["x", "y"].contains(&value["kind"].as_str().unwrap()));
        assert!(value["tree"]["next"].is_object());
        assert!(value["maybe"].is_string());
        assert_eq!(value["list"].as_array().unwrap().len(), 2);
        assert_eq!(value, instance(&schema, 9));
    }
}
