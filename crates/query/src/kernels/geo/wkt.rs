//! Well-known text to GeoJSON.

/// Deepest nesting of collections.
const DEPTH_MAX: u32 = 16;

/// The GeoJSON of a geometry; none if the text is none.
pub(super) fn geometry(text: &str) -> Option<String> {
    let mut reader = Reader { rest: text };
    let found = reader.geometry(0)?;
    reader.blanks();
    reader.rest.is_empty().then_some(found)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, symbol: char) -> Option<()> {
        self.blanks();
        self.rest = self.rest.strip_prefix(symbol)?;
        Some(())
    }

    fn word(&mut self) -> &'t str {
        self.blanks();
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn geometry(&mut self, depth: u32) -> Option<String> {
        if depth > DEPTH_MAX {
            return None;
        }
        let (name, levels) = match &*self.word().to_ascii_uppercase() {
            "POINT" => {
                self.eat('(')?;
                let position = self.position()?;
                self.eat(')')?;
                return Some(format!("{{\"type\":\"Point\",\"coordinates\":{position}}}"));
            }
            "LINESTRING" => ("LineString", 1),
            "POLYGON" => ("Polygon", 2),
            "MULTIPOINT" => ("MultiPoint", 1),
            "MULTILINESTRING" => ("MultiLineString", 2),
            "MULTIPOLYGON" => ("MultiPolygon", 3),
            "GEOMETRYCOLLECTION" => {
                let parts = self.list(|reader| reader.geometry(depth + 1))?;
                return Some(format!("{{\"type\":\"GeometryCollection\",\"geometries\":{parts}}}"));
            }
            _ => return None,
        };
        let coordinates = self.nested(levels)?;
        Some(format!("{{\"type\":\"{name}\",\"coordinates\":{coordinates}}}"))
    }

    /// Positions in so many levels of brackets.
    fn nested(&mut self, levels: u32) -> Option<String> {
        if levels == 1 {
            return self.list(Self::position);
        }
        self.list(|reader| reader.nested(levels - 1))
    }

    /// `(a, b, …)` as a JSON array.
    fn list(&mut self, mut part: impl FnMut(&mut Self) -> Option<String>) -> Option<String> {
        self.eat('(')?;
        let mut parts = vec![part(self)?];
        while self.eat(',').is_some() {
            parts.push(part(self)?);
        }
        self.eat(')')?;
        Some(format!("[{}]", parts.join(",")))
    }

    /// `x y`, in brackets of its own if it likes.
    fn position(&mut self) -> Option<String> {
        let in_brackets = self.eat('(').is_some();
        let (x, y) = (self.number()?, self.number()?);
        if in_brackets {
            self.eat(')')?;
        }
        Some(format!("[{x},{y}]"))
    }

    /// A number as JSON writes it.
    fn number(&mut self) -> Option<String> {
        self.blanks();
        let end = self.rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')'));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
        let plain = text.trim_start_matches('+');
        Some(if plain.parse::<i64>().is_ok() { plain.to_owned() } else { kql::format_real(value) })
    }
}
